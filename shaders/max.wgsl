// max: one streaming pass. Each invocation reads a group of tokens and leaves the group's largest key, its delegate;
// the row's largest comes from an atomic maximum, which is exact in any order. Twin: src/reference/max.ts.

override WORKGROUP_SIZE: u32;

// The largest of many floats, told from their bits as signed integers: of the floats from +0 up, the largest integer,
// lifted so that positive NaNs wrap round to the bottom; of those from -0 down, the smallest integer.
struct Extremes {
  lifted: i32,
  lowest: i32,
}

const LIFT = 0x7fffff;

// Quad by quad down to one number each, because a CPU has no registers for four.
fn extremes_with(seen: Extremes, bits: vec4<u32>) -> Extremes {
  let integers = bitcast<vec4<i32>>(bits);
  let lifted = integers + vec4(LIFT);
  return Extremes(
    max(seen.lifted, max(max(lifted.x, lifted.y), max(lifted.z, lifted.w))),
    min(seen.lowest, min(min(integers.x, integers.y), min(integers.z, integers.w))),
  );
}

// Key of the largest; 0 if all are NaN or -inf.
fn key_of_extremes(seen: Extremes) -> u32 {
  return keys_of(vec4(bitcast<u32>(select(seen.lowest, seen.lifted - LIFT, seen.lifted >= LIFT)))).x;
}

// Written out, because a loop over so little costs a CPU as much as the reads.
fn extremes_of_4(seen: Extremes, first: u32) -> Extremes {
  var all = extremes_with(seen, unpack(logits[first]));
  all = extremes_with(all, unpack(logits[first + LANES]));
  all = extremes_with(all, unpack(logits[first + 2u * LANES]));
  return extremes_with(all, unpack(logits[first + 3u * LANES]));
}

fn extremes_of_16(seen: Extremes, first: u32) -> Extremes {
  var all = extremes_of_4(seen, first);
  all = extremes_of_4(all, first + 4u * LANES);
  all = extremes_of_4(all, first + 8u * LANES);
  return extremes_of_4(all, first + 12u * LANES);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn max_main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let group = workgroup_id.x * WORKGROUP_SIZE + lid;
  let row = row_of(workgroup_id.y);
  var delegate = 0u;
  if (group < call.groups) {
    let first = quad_of(group, 0u);
    var seen = Extremes(-0x7fffffff, 0x7fffffff);
    if (QUADS >= 16u && is_whole(row, group)) {
      seen = extremes_of_16(seen, row.first_quad + first);
      for (var j = 16u; j < QUADS; j += 16u) {
        seen = extremes_of_16(seen, row.first_quad + first + j * LANES);
      }
    } else {
#if PROCESSED
      for (var j = 0u; j < QUADS; j++) {
        seen = extremes_with(seen, load_quad(row, first + j * LANES));
      }
#else
      for (var j = 0u; j < QUADS * 4u; j++) {
        seen = extremes_with(seen, vec4(load_token(row, place_of_token(first, j))));
      }
#endif
    }
    delegate = key_of_extremes(seen);
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
