// What is kept is weighed, and one token drawn. Twin: src/reference/draw.ts.

struct Drawn {
  token: u32,
  weight: u32,
  mass: vec2<u32>,
}

var<workgroup> drawn: Drawn;

#if STAGES
var<private> adaptive: Adaptive;

#endif
// What four tokens weigh in the draw, by how far they are.
fn draw_weights(away: vec4<u32>) -> vec4<u32> {
#if STAGES
  return adapted(exp2fix(away), adaptive);
#else
  return exp2fix(away);
#endif
}

// The first `count` entries become (id, weight).
fn weigh_for_draw(count: u32, scale: f32) {
  workgroupBarrier();
  for (var i = lid; i < count; i += WORKGROUP_SIZE) {
    let away = distance_of_key(half_max, key_of_entry(i), scale);
    entries[i] = vec2(entries[i].y, draw_weights(vec4(away)).x);
  }
}

// Whether what lies as far as can be weighs nothing: not where adaptive-p weighs it by something else.
fn far_is_weightless() -> bool {
#if STAGES
  return adaptive.unit == 0u;
#else
  return true;
#endif
}

// Adds up the weights of the tokens of a part, group by group, as far as the masses do not have them.
fn weigh_groups(kept: Part, base_key: u32, scale: f32) {
  if (far_is_weightless() && ends_in_band(kept, scale)) {
    weigh_band(kept);
  } else {
    weigh_every_token(kept, base_key, scale);
  }
  forget_masses();
  storageBarrier();
}

// What is nearer than the last token of a part, and farther than the one in front of it, is of the part; only tokens as far as those
// have to be looked at again. What has been dropped in front of the base can be just as near as the base.
fn weigh_every_token(kept: Part, base_key: u32, scale: f32) {
  let weightless = far_is_weightless();
  let end = distance_of_key(half_max, kept.upto.key, scale);
  let after = bitcast<i32>(distance_of_key(half_max, min(kept.after.key, base_key), scale));
  let begin = select(after, -1, kept.after.key == IN_FRONT.key);
  let edges = draw_weights(vec4(end, vec3(bitcast<u32>(after))));
  let tied = weightless && scale_of_ties == scale && kept.after.key != kept.upto.key;
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    let delegate = delegates[first_group + group];
    let whole = is_whole(row, group);
    // Of tied tokens a group has all or nothing, unless the part ends inside it.
    let first = quad_of(group, 0u);
    let first_id = id_of(row, first);
    let last_id = id_of(row, first + (QUADS - 1u) * LANES) + 3u;
    let has_all = last_id <= kept.upto.id;
    let known = tied && delegate == kept.upto.key && (has_all || (first_id <= last_id && first_id > kept.upto.id));
    let last = first + select(QUADS * LANES, 0u, known);
    var low = vec4(0u);
    var high = vec4(0u);
    var at_end = vec4(0u);
    var at_begin = vec4(0u);
    if (delegate >= kept.upto.key && !(weightless && distance_of_key(half_max, min(delegate, base_key), scale) >= MAX_DISTANCE)) {
      var is_unsure = vec4(false);
      for (var quad = first; quad < last; quad += LANES) {
        let away = distances(half_max, bits_at(quad, whole), scale);
        let is_behind = bitcast<vec4<i32>>(away) > vec4(begin);
        let weights = select(vec4(0u), draw_weights(away), is_behind & (away < vec4(end)));
        low += weights;
        high += upper_halves(weights);
        is_unsure |= (away == vec4(end)) | !is_behind;
      }
      if (any(is_unsure)) {
        for (var quad = first; quad < last; quad += LANES) {
          let bits = bits_at(quad, whole);
          let away = distances(half_max, bits, scale);
          let is_kept = in_part(keys_of(bits), ids_from(id_of(row, quad)), kept);
          let is_last = away == vec4(end);
          at_end += select(vec4(0u), vec4(1u), is_kept & is_last);
          at_begin += select(vec4(0u), vec4(1u), is_kept & !is_last & (bitcast<vec4<i32>>(away) == vec4(begin)));
        }
      }
    }
    let at = first_mass + group;
    let at_edges = add64(mul32(dot(at_end, vec4(1u)), edges.x), mul32(dot(at_begin, vec4(1u)), edges.y));
    masses[at] = select(add64(join_sums(low, high), at_edges), masses[at], known && has_all);
  }
}

// After bin_kept(): draws the token whose running sum first exceeds the point: first a run of tokens, then a shorter one in
// it, down to one. Returns the running sum in front of the token.
fn draw_at(count: u32, kept: Part, scale: f32, point: vec2<u32>, total: vec2<u32>) -> vec2<u32> {
  let goal = add64(point, vec2(1u, 0u)); // the running sum has to reach this
  var rest = goal;
  var first = 0u; // of the tokens that are left; its place
  var bits = bits_of_tokens(); // how many of them a bin has
  loop {
    let at = claim_bin(rest);
    rest = sub64(rest, at.before);
    first += at.index << bits;
    if (bits == 0u) {
      if (lid == 0u) {
        drawn = Drawn(first - row.lead, bin_amount(at.index).x, total);
      }
      break;
    }
    let end = min((first + (1u << bits)) / 4u, call.groups * QUADS);
    let all_bits = bits;
    // Whole quads, or single tokens.
    bits = select(max(bits, BIN_BITS + 2u) - BIN_BITS, 0u, bits <= BIN_BITS);
    clear_bins();
    fill_bins_of_entries(count, first, all_bits, bits);
    for (var quad = select(end, first / 4u + lid, count == 0u); quad < end; quad += WORKGROUP_SIZE) {
      let logits_of_quad = bits_at(quad, false);
      let is_kept = in_part(keys_of(logits_of_quad), ids_from(id_of(row, quad)), kept);
      var weights = select(vec4(0u), draw_weights(distances(half_max, logits_of_quad, scale)), is_kept);
      var amount = join_sums(weights, upper_halves(weights));
      for (var lane = 0u; lane < select(1u, 4u, bits == 0u); lane++) {
        if (bits == 0u) {
          amount = vec2(weights.x, 0u);
          weights = weights.yzwx;
        }
        add_to_bin((quad * 4u + lane - first) >> bits, amount);
      }
    }
    scan_bins();
  }
  return sub64(goal, rest);
}

// The first token of the ordered row: the lowest id among the largest keys.
fn best(max_key: u32) {
  var first = NOWHERE;
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    if (delegates[first_group + group] == max_key) {
      first = tile_of(group);
      break;
    }
  }
  share_extremes(first, 0u);
  let tile = uniform_word(atomicLoad(&smallest));
  var id = NO_TOKEN;
  for (var i = lid; i < LANES * QUADS; i += WORKGROUP_SIZE) {
    let quad = tile * LANES * QUADS + i;
    let hits = keys_of(load_quad(row, quad)) == vec4(max_key);
    if (any(hits)) {
      id = min(id, id_of(row, quad) + first_lane(hits));
    }
  }
  share_extremes(id, 0u);
  if (lid == 0u) {
    drawn = Drawn(atomicLoad(&smallest), WEIGHT_ONE, vec2(WEIGHT_ONE, 0u));
  }
}

// Why a row has no candidate.
fn status_of_empty_row() -> u32 {
  var status = STATUS_MASKED;
  for (var i = lid; i < call.groups * QUADS; i += WORKGROUP_SIZE) {
    if (any((load_quad(row, i) & vec4(0x7fffffffu)) > vec4(0x7f800000u))) {
      status = STATUS_NAN;
    }
  }
  share_extremes(0u, status);
  return uniform_word(atomicLoad(&largest));
}
