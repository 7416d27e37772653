// draws: one workgroup a row, after draw or stages and only where a call wants several tokens of a row. Draws all of them, the
// first one once more, from what those have kept. Twin: src/reference/draws.ts.

const MOST_DRAWS = 64u; // see src/params.ts

// What cannot be drawn again, in token-id order: the running sum in front of it, and its weight.
var<workgroup> before_taken: array<vec2<u32>, MOST_DRAWS>;
var<workgroup> taken_weights: array<u32, MOST_DRAWS>;

fn put_drawn(place: u32, token: u32, weight: u32) {
  put_token(place, token);
  if (call.weights_first != 0u) {
    tokens[call.weights_first + place] = weight;
  }
}

// Where a point of what is left lies in the running sums of all.
fn point_among_all(point_left: vec2<u32>, taken: u32) -> vec2<u32> {
  var point = point_left;
  for (var i = 0u; i < taken; i++) {
    if (less64(point, before_taken[i])) {
      break;
    }
    point = add64(point, vec2(taken_weights[i], 0u));
  }
  return point;
}

fn take(before: vec2<u32>, weight: u32, taken: u32) {
  var place = taken;
  while (place > 0u && less64(before, before_taken[max(place, 1u) - 1u])) {
    before_taken[place] = before_taken[place - 1u];
    taken_weights[place] = taken_weights[place - 1u];
    place--;
  }
  before_taken[place] = before;
  taken_weights[place] = weight;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn draws_main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  lid = index;
  let row_index = workgroup_id.x;
  let record = call.first_row + row_index;
  let plan = call.plans[row_index];
  let draws = min(call.draws, MOST_DRAWS);
  let first = row_index * call.draws;
  if (uniform_word(records[record].max_key) == 0u) {
    for (var i = lid; i < draws; i += WORKGROUP_SIZE) {
      put_drawn(first + i, NO_TOKEN, 0u);
    }
    return;
  }
  enter_row(row_index);
  let base_key = records[record].base_key;
  half_max = logit_of_key(base_key) * 0.5;
#if STAGES
  adaptive = adaptive_of(record);
#endif
  let kept = kept_part(record);
  let scale = records[record].draw_scale;
  let without = (plan.flags & FLAG_WITHOUT_REPLACEMENT) != 0u;
  // The row's counter has moved on.
  let position = sub64(vec2(records[record].position_low, records[record].position_high), vec2(1u, 0u));
  weigh_every_token(kept, base_key, scale);
  storageBarrier();
  let mass = bin_kept(0u);
  // The search for a token needs the bins, so what they hold is kept here.
  for (var bin = lid; bin < BINS; bin += WORKGROUP_SIZE) {
    entries[bin] = bin_amount(bin);
  }
  var left = mass;
  for (var i = 0u; i < draws; i++) {
    if (uniform_word(left.x | left.y) == 0u) {
      if (lid == 0u) {
        put_drawn(first + i, NO_TOKEN, 0u);
      }
      continue;
    }
    workgroupBarrier();
    for (var bin = lid; bin < BINS; bin += WORKGROUP_SIZE) {
      atomicStore(&bins[bin * 2u], entries[bin].x);
      atomicStore(&bins[bin * 2u + 1u], entries[bin].y);
    }
    scan_bins();
    let taken = select(0u, i, without);
    let point = point_among_all(draw_point(uniform_of(plan.seed, position, i), left), taken);
    let before = draw_at(0u, kept, scale, point, mass);
    if (lid == 0u) {
      put_drawn(first + i, drawn.token, drawn.weight);
      if (without) {
        take(before, drawn.weight, taken);
      }
    }
    workgroupBarrier();
    if (without) {
      left = sub64(left, vec2(drawn.weight, 0u));
    }
  }
}
