// list: writes down what draw left of every row, in no order: token, key and draw weight. What there is no room for is
// counted, and the host makes room and runs it once more. Twin: src/reference/list.ts.

override WORKGROUP_SIZE: u32;

// [rows] of (count, room, first entry), then entries of (token, key, weight).
@group(2) @binding(0) var<storage, read_write> listing: array<atomic<u32>>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn list_main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let group = workgroup_id.x * WORKGROUP_SIZE + lid;
  let record = call.first_row + workgroup_id.y;
  let max_key = records[record].max_key;
  let kept = kept_part(record);
  if (group >= call.groups || max_key == 0u) {
    return;
  }
  if (delegates[workgroup_id.y * call.groups + group] < kept.upto.key) {
    return;
  }
  let row = row_of(workgroup_id.y);
  let half_max = logit_of_key(records[record].base_key) * 0.5;
  let header = record * 3u;
  let room = atomicLoad(&listing[header + 1u]);
  let first = atomicLoad(&listing[header + 2u]);
  for (var j = 0u; j < QUADS; j++) {
    let quad = quad_of(group, j);
    let keys = keys_of(load_quad(row, quad));
    let ids = ids_from(id_of(row, quad));
    var left = in_part(keys, ids, kept);
    while (any(left)) {
      let lane = first_lane(left);
      let slot = atomicAdd(&listing[header], 1u);
      if (slot < room) {
        let distance = distance_of_key(half_max, keys[lane], records[record].draw_scale);
#if STAGES
        let adaptive = adaptive_of(record);
        let weight = adapted(exp2fix(vec4(distance)), adaptive).x;
#else
        let weight = weight_of(distance);
#endif
        let entry = (first + slot) * 3u;
        atomicStore(&listing[entry], ids[lane]);
        atomicStore(&listing[entry + 1u], keys[lane]);
        atomicStore(&listing[entry + 2u], weight);
      }
      left &= QUAD_LANES != vec4(lane);
    }
  }
}
