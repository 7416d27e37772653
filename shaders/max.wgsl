// max: one streaming pass. Each invocation reads a group of tokens and leaves the group's largest key, its delegate;
// the row's largest comes from an atomic maximum, which is exact in any order. Twin: src/reference/max.ts.

override WORKGROUP_SIZE: u32;

@compute @workgroup_size(WORKGROUP_SIZE)
fn max_main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let group = workgroup_id.x * WORKGROUP_SIZE + lid;
  let row = row_of(workgroup_id.y);
  var delegate = 0u;
  if (group < call.groups) {
    let whole = is_whole(row, group);
    let first = quad_of(group, 0u);
    var largest = vec4(0u);
    for (var j = 0u; j < QUADS; j++) {
      largest = max(largest, raw_keys(load_quad_of(row, first + j * LANES, whole)));
    }
    let keys = final_keys(largest);
    delegate = max(max(keys.x, keys.y), max(keys.z, keys.w));
    delegates[workgroup_id.y * call.groups + group] = delegate;
  }
#if SUBGROUPS
  delegate = subgroupMax(delegate);
  if (subgroupElect()) {
    atomicMax(&records[call.first_row + workgroup_id.y].rising_key, delegate);
  }
#else
  if (delegate != 0u) {
    atomicMax(&records[call.first_row + workgroup_id.y].rising_key, delegate);
  }
#endif
}
