// mass: for rows whose whole mass matters (no top-k, not greedy). Each invocation adds up the integer weights of one
// group. A group whose delegate has no weight, or lies below min-p, is not read. Twin: src/reference/mass.ts.

override WORKGROUP_SIZE: u32;

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
  if (distance_of_key(half_max, delegate, scale) >= ZERO_WEIGHT_DISTANCE
      || distance_of_key(half_max, delegate, plan.filter_scale) > limit) {
    masses[at] = vec2(0u);
    return;
  }
  let row = row_of(workgroup_id.y);
  let whole = is_whole(row, group);
  let first = quad_of(group, 0u);
  var low = vec4(0u);
  var high = vec4(0u);
  for (var j = 0u; j < QUADS; j++) {
    let bits = load_quad_of(row, first + j * LANES, whole);
    let raw = raw_keys(bits);
    let safe = safe_logits(bits, raw);
    var kept = raw >= vec4(LOWEST_KEY);
    if (limited) {
      kept &= distances(half_max, safe, plan.filter_scale) <= vec4(limit);
    }
    let weights = select(vec4(0u), exp2fix(distances(half_max, safe, scale)), kept);
    low += weights & vec4(0xffffu);
    high += weights >> vec4(16u);
  }
  masses[at] = join_halves(low, high);
}
