// mass: for rows whose whole mass matters (no top-k, not greedy). Each invocation adds up the integer weights of one
// group. A group whose delegate has no weight, or lies below min-p, is not read. Twin: src/reference/mass.ts.

override WORKGROUP_SIZE: u32;

// The usual groups lie wholly in the row, and all their tokens count: nothing is asked inside the loop.
fn mass_of_group(first: u32, half_max: f32, scale: f32) -> vec2<u32> {
  let zero = call.zero;
  var sums = Halves();
  for (var j = 0u; j < QUADS; j++) {
    sums = add_weights(sums, distances(half_max, unpack(logits[first + j * LANES]), scale), zero);
  }
  return join_halves(sums, QUADS * 4u);
}

// Any group, and only the tokens that lie within `limit` at `limit_scale`.
fn mass_within(row: Row, first: u32, half_max: f32, scale: f32, limit: u32, limit_scale: f32) -> vec2<u32> {
  let zero = call.zero;
  var sums = Halves();
  for (var j = 0u; j < QUADS; j++) {
    let bits = load_quad(row, first + j * LANES);
    let within = distances(half_max, bits, limit_scale) <= vec4(limit);
    sums = add_weights(sums, select(vec4(MAX_DISTANCE), distances(half_max, bits, scale), within), zero);
  }
  return join_halves(sums, QUADS * 4u);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn mass_main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let group = workgroup_id.x * WORKGROUP_SIZE + lid;
  let plan = call.plans[workgroup_id.y];
  if (group >= call.groups || (plan.flags & FLAG_MASS) == 0u) {
    return;
  }
  let at = workgroup_id.y * call.groups + group;
  let delegate = delegates[at];
  if (delegate == 0u) {
    masses[at] = vec2(0u);
    return;
  }
  // What top-p measures is at the filters' temperature; with top-p off the masses are already those of the draw.
  let scale = select(plan.draw_scale, plan.filter_scale, (plan.flags & FLAG_TOP_P) != 0u);
  // Min-p counts here if it comes before top-p, or if there is no top-p to come before.
  let limited = (plan.flags & FLAG_MIN_P) != 0u && (plan.flags & (FLAG_TOP_P | FLAG_MIN_P_FIRST)) != FLAG_TOP_P;
  let limit = select(MAX_DISTANCE, plan.min_p_distance, limited);
  let half_max = logit_of_key(atomicLoad(&records[call.first_row + workgroup_id.y].rising_key)) * 0.5;
  if (distance_of_key(half_max, delegate, scale) >= MAX_DISTANCE || distance_of_key(half_max, delegate, plan.filter_scale) > limit) {
    masses[at] = vec2(0u);
    return;
  }
  let row = row_of(workgroup_id.y);
  let first = quad_of(group, 0u);
  if (limited || !is_whole(row, group)) {
    masses[at] = mass_within(row, first, half_max, scale, limit, plan.filter_scale);
  } else {
    masses[at] = mass_of_group(row.first_quad + first, half_max, scale);
  }
}
