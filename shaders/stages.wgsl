// stages: in place of mass and draw, where a row has more stages than top-k, top-p and min-p, or has them in another order.
// One workgroup a row. Twin: src/reference/stages.ts.
//
// What is kept is a part of the ordered row, and each stage narrows it down. The top of it is written down and sorted from
// the start. A stage whose answer lies there is a look at that list; else the row is read again, and if few tokens are left
// then, they are written down.

const HEAD = 100u; // how many tokens top-H and Mirostat 1 look at
const FIRST_HEAD = 256u; // tokens to write down at the start, at least
const LARGEST_FIRST_HEAD = 512u;
const SIGMA_REACH = 0x200000u; // 128 octaves in 2^-14: as far as can be for a deviation
const SIGMA_SCALE = 47274.23046875; // of 2^-14 octaves

// The places of stages in STAGES of src/stages.ts, from 1.
const TEMPERATURE = 1u;
const TOP_K = 2u;
const TOP_P = 3u;
const JOINT = 4u;
const MIN_P = 5u;
const TYPICAL_P = 6u;
const TOP_N_SIGMA = 7u;
const EPSILON_CUTOFF = 8u;
const ETA_CUTOFF = 9u;
const TOP_H = 10u;
const XTC = 11u;
const MIROSTAT = 12u;
const ADAPTIVE_P = 13u;

// What is kept.
struct Kept {
  part: Part,
  first_key: u32, // of its first token
  // The same as entries [start, end); `end` is NOWHERE if it reaches beyond those that are written down.
  start: u32,
  end: u32,
  written: u32,
}

// Sums over what is kept: of weights and of informations, or of distances and of their squares.
struct Totals {
  count: u32,
  first: vec2<u32>,
  second: vec2<u32>,
}

// How a stage narrows down what is kept. From the top: drops tokens, and those above a key. From below: keeps a number of tokens,
// what it takes to reach a mass, and what reaches a key, whichever is least; but at least `least` tokens, and those that reach the
// last key.
struct Ask {
  drop: u32,
  after_key: u32, // NOWHERE: from the start
  most: u32, // NOWHERE: any number
  by_mass: bool,
  mass: vec2<u32>,
  share: f32, // of the mass, as far as is known
  floor_key: u32, // 1: any
  least: u32,
  loose_key: u32, // NOWHERE: none
  // Instead: nothing is dropped, but the first tokens are written down, down to this key and no more than `most`; 0: no.
  head_key: u32,
}

// ---- what is kept -------------------------------------------------------------------------------------------------

// The last token in front of the place that search() has looked for, and that one included; the end of the part if it is not
// reached.
fn cut_of(around: Around, whole: Part, place: Target, scale: f32) -> Cut {
  var last = around.rest.x;
  if (place.weighted) {
    weigh_entries(0u, around.count, scale);
    last = claim_weight(around.count, around.rest).index + 1u;
  }
  if (last == 0u || last > around.count) {
    return whole.upto;
  }
  return place_of(last - 1u);
}

fn narrow(was: Kept, ask: Ask, scale: f32) -> Kept {
  var kept = was;
  let for_head = ask.head_key != 0u;
  let all_here = kept.end != NOWHERE;
  let here = min(kept.end, kept.written);
  // Among the entries, if that is where the answer lies.
  var reached = array<u32, 3>(); // entries in front of the first that does not reach a key
  for (var i = 0u; i < 3u; i++) {
    let key = select(select(ask.floor_key, ask.loose_key, i == 1u), ask.after_key + 1u, i == 2u);
    reached[i] = first_below(key, kept.start, here);
  }
  var start = kept.start + ask.drop;
  if (ask.after_key != NOWHERE) {
    start = max(start, reached[2]);
  }
  var sure = start < here || (ask.drop == 0u && ask.after_key == NOWHERE);
  var end = NOWHERE;
  if (ask.most != NOWHERE) {
    end = start + ask.most;
    sure = sure && end <= here;
  }
  if (ask.floor_key > 1u) {
    let floor_end = max(reached[0], start);
    sure = sure && floor_end < here;
    end = min(end, floor_end);
  }
  if (ask.by_mass) {
    weigh_entries(start, here, scale);
    let last = claim_weight(here, ask.mass);
    sure = sure && last.index != NOWHERE;
    end = min(end, select(last.index + 1u, here, last.index == NOWHERE));
  }
  if (end != NOWHERE) {
    var at_least = start + ask.least;
    if (ask.loose_key != NOWHERE) {
      at_least = max(at_least, reached[1]);
    }
    sure = sure && at_least <= here && (ask.loose_key == NOWHERE || at_least < here);
    end = max(end, at_least);
  }
  if (!for_head && (all_here || sure)) {
    if (end != NOWHERE) {
      kept.end = min(end, here);
      kept.part.upto = uniform_cut(place_of(kept.end - 1u));
    }
    if (start > kept.start) {
      kept.start = start;
      kept.part.after = uniform_cut(place_of(start - 1u));
      kept.first_key = uniform_word(key_of_entry(start));
    }
    return kept;
  }

  // Else in the row: one search after the other, in a loop, because compilers write out every call.
  var part = kept.part;
  if (ask.after_key < part.after.key) {
    part.after = Cut(ask.after_key + 1u, NO_TOKEN);
  }
  let has_end = end != NOWHERE && !for_head;
  // The floor may lie above the first token.
  let needs_least = has_end && (ask.least > 1u || ask.floor_key > kept.first_key);
  var upto = part.upto;
  if (ask.floor_key > 1u) {
    upto = stricter(upto, Cut(ask.floor_key, NO_TOKEN));
  }
  var count = 0u;
  for (var step = 0u; step < 5u; step++) {
    var place = Target(vec2(ask.drop, 0u), false, 0.0);
    if (step == 1u) {
      place.sum = vec2(select(ask.most, 0u, ask.most == NOWHERE), 0u);
      place.share = select(0.0, 1.0, part.after.key == IN_FRONT.key && ask.most > ROOM);
    } else if (step == 2u) {
      place = Target(select(vec2(0u), ask.mass, ask.by_mass), true, select(0.0, ask.share, part.after.key == IN_FRONT.key));
    } else if (step == 3u) {
      place.sum = vec2(select(0u, ask.least, needs_least), 0u);
    } else if (step == 4u) {
      // What is left is written down if it is little.
      if (ask.loose_key != NOWHERE) {
        upto = looser(upto, Cut(ask.loose_key, NO_TOKEN));
      }
      part.upto = stricter(upto, part.upto);
      if (for_head) {
        part.upto = stricter(part.upto, Cut(ask.head_key, NO_TOKEN));
      }
      place.sum = vec2(0u);
    }
    if (step < 4u && all(place.sum == vec2(0u))) {
      continue;
    }
    let around = search(part, place, for_head && step == 4u, scale, was.first_key);
    if (step == 4u) {
      count = around.count;
      break;
    }
    let cut = uniform_cut(cut_of(around, part, place, scale));
    if (step == 0u) {
      part.after = cut;
    } else if (step == 3u) {
      upto = looser(upto, cut);
    } else {
      upto = stricter(upto, cut);
    }
  }
  let fits = count <= ROOM;
  if (for_head) {
    kept.start = 0u;
    kept.written = select(0u, count, fits);
    if (fits && count < ask.most && ask.head_key == 1u) {
      kept.end = count;
    }
    return kept;
  }
  return Kept(part, uniform_word(atomicLoad(&largest)), 0u, select(NOWHERE, count, fits), select(0u, count, fits));
}

fn uniform_pair(value: vec2<u32>) -> vec2<u32> {
  return vec2(uniform_word(value.x), uniform_word(value.y));
}

fn uniform_cut(cut: Cut) -> Cut {
  return Cut(uniform_word(cut.key), uniform_word(cut.id));
}

// ---- what stages measure ------------------------------------------------------------------------------------------

// A token's part in the sums of Totals.
fn terms_of(away: u32, squares: bool) -> vec3<u32> {
  if (squares) {
    let near = min(away, SIGMA_REACH);
    return vec3(near, mul32(near, near));
  }
  let weight = weight_of(away);
  return vec3(weight, product(weight, away, 20u), 0u);
}

fn sum_of(values: vec4<u32>) -> u32 {
  return values.x + values.y + values.z + values.w;
}

fn totals_of(kept: Kept, scale: f32, squares: bool) -> Totals {
  var sums = array<vec2<u32>, 3>();
  if (kept.end != NOWHERE) {
    for (var i = kept.start + lid; i < kept.end; i += WORKGROUP_SIZE) {
      let terms = terms_of(distance_of_key(half_max, key_of_entry(i), scale), squares);
      sums[0].x += 1u;
      sums[1] = add64(sums[1], vec2(terms.x, 0u));
      sums[2] = add64(sums[2], terms.yz);
    }
  } else {
    for (var i = lid; i < run_count(); i += WORKGROUP_SIZE) {
      let run = run_at(i);
      if (!run_has(run, kept.part)) {
        continue;
      }
      var counts = vec4(0u);
      var first = vec4(0u);
      var first_high = vec4(0u);
      var second = vec4(0u);
      var second_high = vec4(0u);
      var cross = vec4(0u);
      for (var quad = run.first; quad < run.end; quad += LANES) {
        let here = tokens_at(quad, run.whole, kept.part);
        let counted = min(here.keys, vec4(1u));
        let away = distances(half_max, here.bits, scale);
        counts += counted;
        if (squares) {
          let near = min(away, vec4(SIGMA_REACH)) * counted;
          first += near;
          // (a · 2^11 + b)²
          let a = near >> vec4(11u);
          let b = near & vec4(0x7ffu);
          second_high += a * a;
          cross += a * b;
          second += b * b;
        } else {
          let weights = exp2fix(away) * counted;
          let informations = informations_of(weights, away, 0u);
          first += weights;
          first_high += weights >> vec4(16u);
          second += informations;
          second_high += informations >> vec4(16u);
        }
      }
      sums[0].x += sum_of(counts);
      if (squares) {
        sums[1] = add64(sums[1], vec2(sum_of(first), 0u));
        let products = add64(mul32(sum_of(second_high), 1u << 22u), mul32(sum_of(cross), 1u << 12u));
        sums[2] = add64(sums[2], add64(products, vec2(sum_of(second), 0u)));
      } else {
        sums[1] = add64(sums[1], join_sums(first, first_high));
        sums[2] = add64(sums[2], join_sums(second, second_high));
      }
    }
  }
  var totals = array<vec2<u32>, 3>();
  for (var i = 0u; i < 3u; i++) {
    totals[i] = uniform_pair(scan(sums[i]));
  }
  return Totals(totals[0].x, totals[1], totals[2]);
}

fn mean_distance(totals: Totals) -> u32 {
  return quotient(totals.second, 20u, totals.first);
}

// With it a distance becomes an information.
fn log_of_mass(mass: vec2<u32>) -> i32 {
  return log2fix(mass) - 31 * OCTAVE;
}

// The least weight that has a share of a mass, rounded up; at most 2^32 - 1.
fn weight_of_share(share: Share, mass: vec2<u32>) -> u32 {
  let needed = add64(mass_needed(share.share, mass), vec2((1u << share.shift) - 1u, 0u));
  let weight = shift_right(needed, share.shift);
  return select(weight.x, NOWHERE, weight.y != 0u);
}

// The largest distance with at least that weight; -1 if there is none.
fn distance_of_weight(least: u32) -> i32 {
  if (least > WEIGHT_ONE) {
    return -1;
  }
  if (least == 0u) {
    return i32(MAX_DISTANCE);
  }
  var low = 0u;
  var high = MAX_DISTANCE; // weighs nothing
  while (high - low > 1u) {
    let middle = (low + high) / 2u;
    if (weight_of(middle) >= least) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return i32(low);
}

// The smallest key at most that far below the first; NOWHERE if the limit is negative.
fn key_within(first_key: u32, limit: i32, scale: f32) -> u32 {
  if (limit < 0) {
    return NOWHERE;
  }
  if (limit >= i32(MAX_DISTANCE)) {
    return 1u;
  }
  return key_of_distance(first_key, u32(limit), scale);
}

// ---- locally typical ----------------------------------------------------------------------------------------------

fn deviation(away: u32, mean: u32) -> u32 {
  return max(away, mean) - min(away, mean);
}

// The least deviation from the mean distance within which there are the mass and the number of tokens that are needed.
fn typical_deviation(kept: Kept, mean: u32, mass: vec2<u32>, least: u32, scale: f32) -> u32 {
  let here = min(kept.end, kept.written);
  var high = MAX_DISTANCE;
  if (kept.end == NOWHERE) {
    // Entries know of all deviations only before the last of them.
    high = 0u;
    if (here > kept.start) {
      high = distance_of_key(half_max, key_of_entry(here - 1u), scale);
    }
    high = uniform_word(max(high, mean + 1u) - mean - 1u);
  }
  if (kept.end != NOWHERE || high > 0u) {
    var low = 0u; // not enough below
    var probe = high;
    var enough = true;
    for (var round = 0u; round < 27u && enough; round++) {
      var sums = array<vec2<u32>, 2>();
      for (var i = kept.start + lid; i < here; i += WORKGROUP_SIZE) {
        let away = distance_of_key(half_max, key_of_entry(i), scale);
        if (deviation(away, mean) <= probe) {
          sums[0] = add64(sums[0], vec2(weight_of(away), 0u));
          sums[1].x += 1u;
        }
      }
      for (var i = 0u; i < 2u; i++) {
        sums[i] = scan(sums[i]);
      }
      let reached = !less64(sums[0], mass) && sums[1].x >= least;
      if (round == 0u) {
        enough = uniform_word(u32(reached)) != 0u;
      } else if (reached) {
        high = probe;
      } else {
        low = probe + 1u;
      }
      probe = (low + high) / 2u;
    }
    if (enough || kept.end != NOWHERE) {
      return uniform_word(high);
    }
  }
  // All of the row, first by mass, then by number.
  var furthest = 0u;
  for (var by = 0u; by < 2u; by++) {
    if (by == 1u && least == 1u) {
      break;
    }
    let weighted = by == 0u;
    var rest = vec2(least, 0u);
    if (weighted) {
      rest = mass;
    }
    var first = 0u;
    var shift = FAR_BITS + 1u;
    loop {
      fill_bins_by_deviation(kept.part, mean, first, shift, weighted, scale);
      scan_bins();
      let at = claim_bin(rest);
      if (at.index == NOWHERE) {
        first = MAX_DISTANCE;
        break;
      }
      rest = sub64(rest, at.before);
      first += at.index << shift;
      if (shift == 0u) {
        break;
      }
      shift = max(shift, BIN_BITS) - BIN_BITS;
    }
    furthest = max(furthest, first);
  }
  return furthest;
}

fn fill_bins_by_deviation(part: Part, mean: u32, first: u32, shift: u32, weighted: bool, scale: f32) {
  clear_bins();
  for (var i = lid; i < run_count(); i += WORKGROUP_SIZE) {
    let run = run_at(i);
    if (!run_has(run, part)) {
      continue;
    }
    for (var quad = run.first; quad < run.end; quad += LANES) {
      let here = tokens_at(quad, run.whole, part);
      let away = distances(half_max, here.bits, scale);
      var amounts = min(here.keys, vec4(1u));
      if (weighted) {
        amounts *= exp2fix(away);
      }
      var off = max(away, vec4(mean)) - min(away, vec4(mean));
      for (var lane = 0u; lane < 4u; lane++) {
        let bin = (off.x - first) >> shift;
        if (amounts.x != 0u && off.x >= first && bin < BINS) {
          add_to_bin(bin, vec2(amounts.x, 0u));
        }
        off = off.yzwx;
        amounts = amounts.yzwx;
      }
    }
  }
}

// ---- the others ---------------------------------------------------------------------------------------------------

// The distance scale of the temperature that follows the entropy.
fn dynamic_scale(stages: Stages, totals: Totals) -> f32 {
  var share = 0u;
  if (totals.count > 1u) {
    let entropy = u32(max(0, i32(mean_distance(totals)) + log_of_mass(totals.first)));
    let most = u32(log2fix(vec2(totals.count, 0u)));
    let part = clamp(quotient(vec2(entropy, 0u), 20u, vec2(most, 0u)), 1u, u32(OCTAVE));
    let certainty = u32(20 * OCTAVE - log2fix(vec2(part, 0u)));
    share = weight_of(min(product(stages.dynatemp_exponent, certainty, 16u), MAX_DISTANCE));
  }
  let temperature = max(1u, stages.dynatemp_least + product(stages.dynatemp_span, share, 31u));
  // 2·log2(e) · 2^60 / temperature, cut off to 24 bits; in 2^-24.
  let exact = divide(vec2(0u, 774541002u), 0u, vec2(temperature, 0u));
  let excess = top_bit(exact) - 23u;
  let mantissa = shift_right(exact, excess).x;
  return bitcast<f32>(((excess + 126u) << 23u) | (mantissa & 0x7fffffu));
}

// How far from the first token n standard deviations reach, in 2^-14 octaves.
fn sigma_limit(n_sigma: u32, totals: Totals) -> i32 {
  let count = vec2(totals.count, 0u);
  let mean = quotient(totals.first, 0u, count);
  let rest = sub64(totals.first, mul32(mean, totals.count));
  let sum = add64(totals.first, rest);
  let products = add64(mul32(mean, sum.x), vec2(0u, mean * sum.y));
  var deviations = sub64(totals.second, products);
  deviations = sub64(deviations, divide(mul32(rest.x, rest.x), 0u, count));
  let variance = divide(deviations, 0u, count);
  let sigma = square_root(vec2(variance.x << 20u, (variance.y << 20u) | (variance.x >> 12u)));
  return i32(product(n_sigma, sigma, 26u));
}

// How many of the first tokens have no more than their share of the entropy of all of them.
fn top_h_count(kept: Kept, top_h: u32, scale: f32) -> u32 {
  let end = min(kept.start + HEAD, min(kept.end, kept.written));
  var mass = vec2(0u);
  for (var i = kept.start; i < end; i++) {
    mass = add64(mass, vec2(weight_of_key(half_max, key_of_entry(i), scale), 0u));
  }
  let log = log_of_mass(mass);
  var entropy = vec2(0u);
  var most = vec2(0u);
  var count = 0u;
  for (var turn = 0u; turn < 2u; turn++) {
    if (turn == 1u) {
      // floor(top_h · entropy / 2^31)
      let high = mul32(top_h, entropy.y);
      most = add64(shift_right(mul32(top_h, entropy.x), 31u), vec2(high.x << 1u, (high.y << 1u) | (high.x >> 31u)));
      entropy = vec2(0u);
    }
    for (var i = kept.start; i < end; i++) {
      let away = distance_of_key(half_max, key_of_entry(i), scale);
      let information = u32(max(0, i32(away) + log));
      entropy = add64(entropy, shift_right(mul32(weight_of(away), information), 20u));
      if (turn == 1u) {
        if (less64(most, entropy)) {
          break;
        }
        count++;
      }
    }
  }
  return uniform_word(max(count, 1u)); // a cut is looked for behind a token
}

// Mirostat 1: how many tokens a row has down to the limit, if it follows Zipf's law as its head does.
fn mirostat_count(kept: Kept, limit: i32, scale: f32) -> u32 {
  let end = min(kept.start + HEAD, min(kept.end, kept.written));
  var count = 1u;
  if (end > kept.start + 1u) {
    var steep = vec2(0u);
    var even = vec2(0u);
    for (var i = kept.start; i + 1u < end; i++) {
      let index = i - kept.start;
      let rank = u32(log2fix(vec2(index + 2u, 0u)) - log2fix(vec2(index + 1u, 0u)));
      let here = distance_of_key(half_max, key_of_entry(i), scale);
      let next = distance_of_key(half_max, key_of_entry(i + 1u), scale);
      steep = add64(steep, mul32(rank, next - here));
      even = add64(even, mul32(rank, rank));
    }
    let exponent = max(1u, quotient(steep, 20u, even));
    let flat = exponent < u32(OCTAVE);
    let size = max(1u, select(exponent - u32(OCTAVE), u32(OCTAVE) - exponent, flat));
    let reach = product64(size, u32(log2fix(vec2(call.vocab, 0u))), 20u);
    let missing = max(1u, WEIGHT_ONE - weight_of(reach));
    var log = log2fix(vec2(size, 0u)) - 20 * OCTAVE - (log2fix(vec2(missing, 0u)) - 31 * OCTAVE) + limit;
    if (flat) {
      log -= i32(reach);
    }
    if (log > 0) {
      let tokens_log = quotient(vec2(u32(log), 0u), 20u, vec2(exponent, 0u));
      count = call.vocab; // all, and still a number that can be added to
      if (tokens_log < 22u * u32(OCTAVE)) {
        count = max(1u, weight_of(31u * u32(OCTAVE) - tokens_log));
      }
    }
  }
  return uniform_word(count);
}

// min(floor(a · b / 2^bits), MAX_DISTANCE)
fn product64(a: u32, b: u32, bits: u32) -> u32 {
  let exact = shift_right(mul32(a, b), bits);
  return select(min(exact.x, MAX_DISTANCE), MAX_DISTANCE, exact.y != 0u);
}

// Adaptive-p's memory at this token: (sum, total), as if all had been as it should be before the first.
fn adaptive_memory(record: u32, stages: Stages) -> vec2<u32> {
  var memory = vec2(records[record].adaptive_sum, records[record].adaptive_total);
  if (memory.y == 0u) {
    let loss = sub64(vec2(0u, 1u), vec2(stages.adaptive_decay, 0u)); // 2^32 where nothing is remembered
    memory.y = quotient(vec2(u32(OCTAVE), 0u), 32u, loss);
    memory.x = product(stages.adaptive_target, memory.y, 31u);
  }
  return memory;
}

fn adaptive_for(kept: Kept, scale: f32, stages: Stages, memory: vec2<u32>, mass: vec2<u32>) -> Adaptive {
  let average = quotient(vec2(memory.x, 0u), 31u, vec2(memory.y, 0u));
  let wanted = stages.adaptive_target;
  var aim = wanted - min(wanted, max(average, wanted) - wanted);
  if (average < wanted) {
    aim = wanted + min(wanted - average, WEIGHT_ONE - wanted);
  }
  var result = Adaptive(aim, quotient(vec2(0u, 0x80000000u), 0u, mass), 0u);
  var nearest = NOWHERE;
  if (kept.end != NOWHERE) {
    for (var i = kept.start + lid; i < kept.end; i += WORKGROUP_SIZE) {
      nearest = min(nearest, adaptive_distance(weight_of_key(half_max, key_of_entry(i), scale), result));
    }
  } else {
    for (var i = lid; i < run_count(); i += WORKGROUP_SIZE) {
      let run = run_at(i);
      if (!run_has(run, kept.part)) {
        continue;
      }
      for (var quad = run.first; quad < run.end; quad += LANES) {
        let here = tokens_at(quad, run.whole, kept.part);
        let weights = exp2fix(distances(half_max, here.bits, scale));
        for (var lane = 0u; lane < 4u; lane++) {
          if (here.keys[lane] != 0u) {
            nearest = min(nearest, adaptive_distance(weights[lane], result));
          }
        }
      }
    }
  }
  share_extremes(nearest, 0u);
  result.nearest = uniform_word(atomicLoad(&smallest));
  return result;
}

fn key_of_token(id: u32) -> u32 {
  let place = id + row.lead;
  return keys_of(load_quad(row, place >> 2u))[place & 3u];
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn stages_main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let row_index = workgroup_id.x;
  let record = call.first_row + row_index;
  let plan = call.plans[row_index];
  let stages = plan.stages;
  let max_key = begin(row_index, index);
  let limit = 2 * stages.mirostat_tau + records[record].mirostat;
  let memory = adaptive_memory(record, stages);
  let position = position_of(record, plan); // after which the record may change
  let u = uniform_of(plan.seed, position, 0u);

  var status = STATUS_OK;
  var kept = Kept(Part(IN_FRONT, LAST), max_key, 0u, NOWHERE, 0u);
  var scale = SCALE_OF_ONE;
  if (max_key == 0u) {
    status = status_of_empty_row();
    if (lid == 0u) {
      drawn = Drawn(NO_TOKEN, 0u, vec2(0u));
    }
  } else if ((plan.flags & FLAG_GREEDY) != 0u) {
    best(max_key);
    workgroupBarrier();
    kept.part.upto = Cut(max_key, drawn.token);
    scale = plan.draw_scale;
  } else {
    // First the top of the row is written down; enough for a top-k that comes first: ties behind the k-th may be missing then,
    // which it leaves out in any case.
    var first_stage = stages.order.x & 15u;
    if (first_stage == TEMPERATURE && stages.dynatemp_span == 0u) {
      first_stage = (stages.order.x >> 4u) & 15u;
    }
    let top_k = max(plan.top_k, stages.min_keep);
    let by_count = first_stage == TOP_K && top_k <= LARGEST_FIRST_HEAD;
    let reach = reach_of_delegates(select(FIRST_HEAD, top_k, by_count), by_count, 0u, SCALE_OF_ONE, max_key);
    var for_top = list_groups(reach) <= ROOM;
    if (!for_top) {
      look_at_all_groups();
    }
    let chance = uniform_word(philox4x32(vec4(position, 0u, PURPOSE_XTC), plan.seed).x);
    var place = 0u;
    while (for_top || place < 16u) {
      let stage = (select(stages.order.x, stages.order.y, place >= 8u) >> ((place & 7u) * 4u)) & 15u;
      let needs_head = stage == TOP_H || (stage == MIROSTAT && stages.mirostat == 1u);
      let for_head = for_top || (needs_head && kept.end == NOWHERE && kept.start + HEAD > kept.written);
      var ask = Ask(0u, NOWHERE, NOWHERE, false, vec2(0u), 0.0, 1u, stages.min_keep, NOWHERE, 0u);
      if (for_top) {
        ask.head_key = reach.low;
      } else if (for_head) {
        ask.head_key = 1u;
        ask.most = HEAD;
      } else {
        if (stage == 0u) {
          break;
        }
        place++;
        if (stage == TEMPERATURE && stages.dynatemp_span == 0u) {
          scale = plan.draw_scale;
          continue;
        }
        if (stage == XTC && chance > stages.xtc_probability) {
          continue;
        }
        var totals = Totals(0u, vec2(0u), vec2(0u));
        if (!needs_head && stage != TOP_K && stage != MIN_P) {
          totals = totals_of(kept, select(scale, SIGMA_SCALE, stage == TOP_N_SIGMA), stage == TOP_N_SIGMA);
        }
        // How far below the first token: nothing as near is kept; nothing farther; everything as near. Negative: none is as near.
        var after_limit = -1;
        var floor_limit = i32(MAX_DISTANCE);
        var loose_limit = -1;
        var floor_weight = 0u; // what is lighter lies below the floor
        switch stage {
          case TEMPERATURE: {
            scale = bitcast<f32>(uniform_word(bitcast<u32>(dynamic_scale(stages, totals))));
          }
          case TOP_K: {
            ask.most = plan.top_k;
          }
          case TOP_P, JOINT: {
            ask.mass = mass_needed(plan.top_p, totals.first);
            ask.share = f32(plan.top_p) / 4294967296.0;
            if (stage == JOINT) {
              ask.most = plan.top_k;
            }
          }
          case MIN_P: {
            floor_weight = stages.min_p_weight;
          }
          case TYPICAL_P: {
            let mean = mean_distance(totals);
            ask.mass = mass_needed(stages.typical_p, totals.first);
            ask.mass.x = select(ask.mass.x, 1u, all(ask.mass == vec2(0u)));
            let off = typical_deviation(kept, mean, ask.mass, stages.min_keep, scale);
            after_limit = i32(mean) - i32(off) - 1;
            loose_limit = i32(mean + off) - 1;
          }
          case TOP_N_SIGMA: {
            floor_limit = sigma_limit(stages.n_sigma, totals);
          }
          case EPSILON_CUTOFF: {
            floor_weight = weight_of_share(stages.epsilon, totals.first);
          }
          case ETA_CUTOFF: {
            let by_entropy = product(stages.eta_root, weight_of(mean_distance(totals)), 32u);
            floor_weight = min(weight_of_share(stages.eta, totals.first), by_entropy);
          }
          case TOP_H: {
            ask.most = top_h_count(kept, stages.top_h, scale);
          }
          case XTC: {
            floor_weight = weight_of_share(stages.xtc_threshold, totals.first);
          }
          case MIROSTAT: {
            if (stages.mirostat == 1u) {
              ask.most = mirostat_count(kept, limit, scale);
            } else {
              floor_limit = limit - log_of_mass(totals.first);
            }
          }
          case ADAPTIVE_P: {
            adaptive = adaptive_for(kept, scale, stages, memory, totals.first);
          }
          default: {}
        }
        floor_limit = min(floor_limit, distance_of_weight(floor_weight));
        var keys = array<u32, 3>();
        for (var i = 0u; i < 3u; i++) {
          let far = select(select(after_limit, floor_limit, i == 1u), loose_limit, i == 2u);
          keys[i] = key_within(kept.first_key, far, select(scale, SIGMA_SCALE, stage == TOP_N_SIGMA));
        }
        ask.after_key = uniform_word(select(keys[0] - 1u, NOWHERE, keys[0] == NOWHERE));
        ask.floor_key = uniform_word(keys[1]);
        ask.loose_key = uniform_word(keys[2]);
        if (stage == XTC) {
          // All that reach the threshold but the last.
          let top = count_reaching(kept, ask.floor_key);
          ask.floor_key = 1u;
          if (top >= 2u && totals.count - (top - 1u) >= stages.min_keep) {
            ask.drop = top - 1u;
          }
        }
        ask.by_mass = stage == TOP_P || stage == JOINT || stage == TYPICAL_P;
      }
      let base = kept.first_key;
      kept = narrow(kept, ask, scale);
      // What narrow() has weighed is weighed relative to the first token before.
      if (kept.first_key != base) {
        forget_masses();
      }
      half_max = logit_of_key(kept.first_key) * 0.5;
      if (for_top) {
        for_top = false;
        look_at_all_groups();
      }
    }
    var count = 0u;
    if (kept.end != NOWHERE) {
      count = kept.end - kept.start;
      workgroupBarrier();
      for (var i = kept.start; i < kept.end; i += WORKGROUP_SIZE) {
        // What is kept moves to the front, a stretch at a time, so that nothing is overwritten that has not been read.
        let from_here = i + lid;
        let entry = entries[min(from_here, ROOM - 1u)];
        workgroupBarrier();
        if (from_here < kept.end) {
          entries[from_here - kept.start] = entry;
        }
        workgroupBarrier();
      }
      weigh_for_draw(count, scale);
    } else {
      weigh_groups(kept.part, kept.first_key, scale);
    }
    let mass = bin_kept(count);
    draw_at(count, kept.part, scale, draw_point(u, mass), mass);
  }
  finish(row_index, status, kept.part, kept.first_key, scale, max_key, position);

  if (lid == 0u) {
    records[record].adaptive_aim = adaptive.aim;
    records[record].adaptive_unit = adaptive.unit;
    records[record].adaptive_nearest = adaptive.nearest;
    if (status == STATUS_OK && (plan.flags & FLAG_GREEDY) == 0u) {
      let key = key_of_token(drawn.token);
      if (stages.mirostat != 0u) {
        let information = i32(distance_of_key(half_max, key, scale)) + log_of_mass(drawn.mass);
        let step = signed_product(stages.mirostat_eta, information - stages.mirostat_tau, 16u);
        records[record].mirostat = clamp(limit - 2 * stages.mirostat_tau - step, -0x20000000, 0x20000000);
      }
      if (adaptive.unit != 0u) {
        let probability = mul32(weight_of_key(half_max, key, scale), adaptive.unit).y;
        records[record].adaptive_sum = mul32(memory.x, stages.adaptive_decay).y + (probability >> 11u);
        records[record].adaptive_total = mul32(memory.y, stages.adaptive_decay).y + u32(OCTAVE);
      }
    }
  }
}

// How many of the kept tokens reach a key.
fn count_reaching(kept: Kept, key: u32) -> u32 {
  let here = min(kept.end, kept.written);
  let end = first_below(key, kept.start, max(here, kept.start));
  if (kept.end != NOWHERE || end < here) {
    return end - kept.start;
  }
  if (key == NOWHERE) {
    return 0u;
  }
  return look_at(Part(kept.part.after, stricter(kept.part.upto, Cut(key, NO_TOKEN))), false);
}
