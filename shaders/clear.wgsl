// clear: takes the marks of all rows away when the token is drawn, so that the next call finds zeros. Only words of
// touched places can be set. Twin: src/reference/clear.ts.

override WORKGROUP_SIZE: u32;

@compute @workgroup_size(WORKGROUP_SIZE)
fn clear_main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let word = workgroup_id.x * WORKGROUP_SIZE + lid;
  if (word >= mark_words()) {
    return;
  }
  let marks = workgroup_id.y * overlay_stride() + word * 2u;
  let places = workgroup_id.y * overlay_stride() + mark_words() * 2u + word * 32u;
  for (var bits = atomicLoad(&overlay[marks]); bits != 0u; bits &= bits - 1u) {
    atomicStore(&overlay[places + firstTrailingBit(bits)], 0u);
  }
  atomicStore(&overlay[marks], 0u);
  atomicStore(&overlay[marks + 1u], 0u);
}
