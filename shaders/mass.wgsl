// mass: for rows whose whole mass matters (no top-k, not greedy). Each invocation adds up the integer weights of one
// group. A group whose delegate has no weight, or lies below min-p, is not read. Twin: src/reference/mass.ts.

override WORKGROUP_SIZE: u32;
override LIMITED: u32 = 0u; // 1 if min-p counts here for a row of the call

// Which tokens count, and what they weigh.
struct Weighing {
  half_max: f32,
  scale: f32,
  limit: u32, // distance at `limit_scale`
  limit_scale: f32,
}

// How far a token is; as far as can be if it does not count.
fn distance_within(by: Weighing, bits: u32) -> u32 {
  let away = distance_of(by.half_max, bits, by.scale);
  if (LIMITED == 0u) {
    return away;
  }
  return select(MAX_DISTANCE, away, distance_of(by.half_max, bits, by.limit_scale) <= by.limit);
}

fn distances_within(by: Weighing, bits: vec4<u32>) -> vec4<u32> {
  return vec4(
    distance_within(by, bits.x),
    distance_within(by, bits.y),
    distance_within(by, bits.z),
    distance_within(by, bits.w),
  );
}

// The usual groups lie wholly in the row: nothing is asked inside the loop.
fn mass_of_whole(first: u32, by: Weighing) -> vec2<u32> {
  let zero = call.zero;
  var sums = Halves();
  for (var j = 0u; j < QUADS; j++) {
    sums = add_weights(sums, distances_within(by, unpack(logits[first + j * LANES])), zero);
  }
  return join_halves(sums, QUADS * 4u);
}

// Any group.
fn mass_of_group(row: Row, first: u32, by: Weighing) -> vec2<u32> {
#if PROCESSED
  let zero = call.zero;
  var sums = Halves();
  for (var j = 0u; j < QUADS; j++) {
    sums = add_weights(sums, distances_within(by, load_quad(row, first + j * LANES)), zero);
  }
  return join_halves(sums, QUADS * 4u);
#else
  var sum = vec2(0u);
  for (var j = 0u; j < QUADS * 4u; j++) {
    sum = add64(sum, vec2(weight_of(distance_within(by, load_token(row, place_of_token(first, j)))), 0u));
  }
  return sum;
#endif
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn mass_main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let group = workgroup_id.x * WORKGROUP_SIZE + lid;
  let plan = &call.plans[workgroup_id.y]; // a pointer, or all of it is read
  let flags = (*plan).flags;
  if (group >= call.groups || (flags & FLAG_MASS) == 0u) {
    return;
  }
  let at = workgroup_id.y * call.groups + group;
  let delegate = delegates[at];
  // What top-p measures is at the filters' temperature; with top-p off the masses are already those of the draw.
  let filter_scale = (*plan).filter_scale;
  let scale = select((*plan).draw_scale, filter_scale, (flags & FLAG_TOP_P) != 0u);
  // Min-p counts here if it comes before top-p, or if there is no top-p to come before.
  let limited = (flags & FLAG_MIN_P) != 0u && (flags & (FLAG_TOP_P | FLAG_MIN_P_FIRST)) != FLAG_TOP_P;
  let limit = select(MAX_DISTANCE - 1u, (*plan).min_p_distance, limited);
  let limit_scale = select(scale, filter_scale, limited);
  let half_max = logit_of_key(atomicLoad(&records[call.first_row + workgroup_id.y].rising_key)) * 0.5;
  var mass = vec2(0u);
  if (delegate != 0u && distance_of_key(half_max, delegate, limit_scale) <= limit) {
    let by = Weighing(half_max, scale, limit, limit_scale);
    let row = row_of(workgroup_id.y);
    let first = quad_of(group, 0u);
    if (is_whole(row, group)) {
      mass = mass_of_whole(row.first_quad + first, by);
    } else {
      mass = mass_of_group(row, first, by);
    }
  }
  masses[at + workgroup_id.y * call.groups] = mass;
}
