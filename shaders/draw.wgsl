// draw: one workgroup a row. Filters, draws, writes the token. Twin: src/reference/draw.ts and cut.ts.
//
//   few()   the usual case: the kept tokens are few, so they all lie in groups whose delegate is among the largest.
//           Those groups are read again, and the filters look at nothing else.
//   many()  any row: the cut is narrowed down by histograms (first over distances, then over keys, then over ids) until
//           what is left fits in workgroup memory. Then the kept mass of every group is added up.
//
// Everything that looks for a place along an order (the k-th token, the nucleus' last token, the drawn token) is one
// operation: fill `bins` with amounts, scan(), claim() the first bin where the running sum reaches a target.

override WORKGROUP_SIZE: u32; // a power of two, at most BINS

@group(2) @binding(0) var<storage, read_write> tokens: array<u32>;

const BINS = 512u;
const BIN_BITS = 9u;
const DISTANCE_SHIFT = 16u; // bins of a sixteenth of an octave over the 32 that have weight
const MOST_CANDIDATES = 1024u;
const NUCLEUS_REACH = 256u; // top-p alone looks first among tokens that reach this many delegates
const TOP_K_REACH = 512u; // a larger top-k goes to many() at once
const NOWHERE = 0xffffffffu;

struct Found {
  bin: u32, // NOWHERE if the target is not reached
  before: vec2<u32>, // running sum in front of it
}

var<workgroup> bins: array<atomic<u32>, 1024>; // 64-bit amounts as (low, high)
var<workgroup> candidate_keys: array<u32, 1024>; // later: their weights
var<workgroup> candidate_ids: array<u32, 1024>;
var<workgroup> candidate_count: atomic<u32>;
var<workgroup> smallest_key: atomic<u32>;
var<workgroup> largest_key: atomic<u32>;
var<workgroup> smallest_id: atomic<u32>;
var<workgroup> partial: array<vec2<u32>, WORKGROUP_SIZE>;
var<workgroup> found: Found;
var<workgroup> shared_word: u32;
var<workgroup> shared_cut: Cut;

// Set once at the start, the same in every invocation but for `lid`.
var<private> lid: u32;
var<private> row: Row;
var<private> first_group: u32; // of this row in `delegates` and `masses`
var<private> half_max: f32;
var<private> before_mine: vec2<u32>; // scan(): amounts in front of this invocation's own run
var<private> mine: vec2<u32>;

// ---- small tools --------------------------------------------------------------------------------------------------

// A value that invocation 0 knows, handed to all as a uniform one.
fn uniform_word(value: u32) -> u32 {
  if (lid == 0u) {
    shared_word = value;
  }
  return workgroupUniformLoad(&shared_word);
}

fn clear_bins() {
  workgroupBarrier();
  for (var i = lid; i < BINS * 2u; i += WORKGROUP_SIZE) {
    atomicStore(&bins[i], 0u);
  }
  workgroupBarrier();
}

fn add_to_bin(bin: u32, amount: vec2<u32>) {
  let old = atomicAdd(&bins[bin * 2u], amount.x);
  let high = amount.y + select(0u, 1u, old + amount.x < old);
  if (high != 0u) {
    atomicAdd(&bins[bin * 2u + 1u], high);
  }
}

// Four tokens at once; amounts of 0 go nowhere, and their bins may be anything.
fn add_to_bins(at: vec4<u32>, amounts: vec4<u32>) {
  var bin = at;
  var amount = amounts;
  for (var lane = 0u; lane < 4u; lane++) {
    if (amount.x != 0u) {
      add_to_bin(bin.x, vec2(amount.x, 0u));
    }
    bin = bin.yzwx;
    amount = amount.yzwx;
  }
}

fn bin_amount(bin: u32) -> vec2<u32> {
  return vec2(atomicLoad(&bins[bin * 2u]), atomicLoad(&bins[bin * 2u + 1u]));
}

// Sums `amount` over the workgroup, and leaves in before_mine what the invocations in front have.
fn scan_amount(amount: vec2<u32>) -> vec2<u32> {
  workgroupBarrier();
  partial[lid] = amount;
  if (lid == 0u) {
    found = Found(NOWHERE, vec2(0u));
  }
  workgroupBarrier();
  var total = vec2(0u);
  mine = amount;
  for (var i = 0u; i < WORKGROUP_SIZE; i++) {
    if (i == lid) {
      before_mine = total;
    }
    total = add64(total, partial[i]);
  }
  return total;
}

// Running sums over the bins; every invocation owns a run of them. Returns the total.
fn scan_bins() -> vec2<u32> {
  workgroupBarrier();
  let run = BINS / WORKGROUP_SIZE;
  var amount = vec2(0u);
  for (var i = lid * run; i < (lid + 1u) * run; i++) {
    amount = add64(amount, bin_amount(i));
  }
  return scan_amount(amount);
}

// After scan_*: whether the running sum reaches the target inside this invocation's run.
fn is_mine(target_sum: vec2<u32>) -> bool {
  return less64(before_mine, target_sum) && !less64(add64(before_mine, mine), target_sum);
}

// After scan_bins(): the first bin where the running sum reaches the target (1 or more).
fn claim_bin(target_sum: vec2<u32>) -> Found {
  if (is_mine(target_sum)) {
    var before = before_mine;
    var bin = lid * (BINS / WORKGROUP_SIZE);
    loop {
      let after = add64(before, bin_amount(bin));
      if (!less64(after, target_sum)) {
        break;
      }
      before = after;
      bin++;
    }
    found = Found(bin, before);
  }
  return workgroupUniformLoad(&found);
}

fn stricter(a: Cut, b: Cut) -> Cut {
  if (a.key > b.key || (a.key == b.key && a.id < b.id)) {
    return a;
  }
  return b;
}

// How far to shift a range of `span` + 1 values so that it fits the bins.
fn shift_of(span: u32) -> u32 {
  let bits = 32u - countLeadingZeros(span);
  return max(bits, BIN_BITS) - BIN_BITS;
}

// ---- reading the row again ----------------------------------------------------------------------------------------

// A lower bound of the n-th largest token: the n-th largest delegate, or a little less where that saves a round.
fn reach_of_delegates(n: u32, max_key: u32) -> u32 {
  var low = 1u;
  var high = max_key;
  var missing = n;
  var above = 0u;
  loop {
    let shift = shift_of(high - low);
    clear_bins();
    for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
      let key = delegates[first_group + group];
      if (key >= low && key <= high) {
        atomicAdd(&bins[((high - key) >> shift) * 2u], 1u);
      }
    }
    scan_bins();
    let at = claim_bin(vec2(missing, 0u));
    if (at.bin == NOWHERE) {
      low = 1u; // fewer groups than that: take every token
      break;
    }
    let inside = uniform_word(bin_amount(at.bin).x);
    high -= at.bin << shift;
    low = max(low, high - min(high, (1u << shift) - 1u));
    above += at.before.x;
    if (shift == 0u || above + inside <= n + n / 4u + 16u) {
      break;
    }
    missing -= at.before.x;
  }
  return low;
}

// Keys in [low, high]; of the lowest key only ids in [first_id, last_id].
fn in_range(keys: vec4<u32>, ids: vec4<u32>, low: u32, high: u32, first_id: u32, last_id: u32) -> vec4<bool> {
  let id_counts = (ids >= vec4(first_id)) & (ids <= vec4(last_id));
  return ((keys > vec4(low)) | ((keys == vec4(low)) & id_counts)) & (keys <= vec4(high));
}

// Writes down every token in range, in no order. Returns how many there are; more than MOST_CANDIDATES are not all
// written, but smallest_key and largest_key hold for all.
fn gather(low: u32, high: u32, first_id: u32, last_id: u32) -> u32 {
  workgroupBarrier();
  if (lid == 0u) {
    atomicStore(&candidate_count, 0u);
    atomicStore(&smallest_key, 0xffffffffu);
    atomicStore(&largest_key, 0u);
  }
  workgroupBarrier();
  var smallest = 0xffffffffu;
  var largest = 0u;
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    if (delegates[first_group + group] < low) {
      continue;
    }
    let whole = is_whole(row, group);
    for (var j = 0u; j < QUADS; j++) {
      let quad = quad_of(group, j);
      var keys = keys_of(load_quad_of(row, quad, whole));
      var ids = vec4(id_of(row, quad)) + vec4(0u, 1u, 2u, 3u);
      var wanted = in_range(keys, ids, low, high, first_id, last_id);
      if (!any(wanted)) {
        continue;
      }
      for (var lane = 0u; lane < 4u; lane++) {
        if (wanted.x) {
          smallest = min(smallest, keys.x);
          largest = max(largest, keys.x);
          let slot = atomicAdd(&candidate_count, 1u);
          if (slot < MOST_CANDIDATES) {
            candidate_keys[slot] = keys.x;
            candidate_ids[slot] = ids.x;
          }
        }
        keys = keys.yzwx;
        ids = ids.yzwx;
        wanted = wanted.yzwx;
      }
    }
  }
  atomicMin(&smallest_key, smallest);
  atomicMax(&largest_key, largest);
  workgroupBarrier();
  return uniform_word(atomicLoad(&candidate_count));
}

// Which bin a candidate falls into: a run of keys below `high`, or, where `by_id`, of ids from `first_id`.
struct Binning {
  high: u32,
  first_id: u32,
  shift: u32,
  by_id: bool,
}

fn bin_of(key: u32, id: u32, binning: Binning) -> u32 {
  return select(binning.high - key, id - binning.first_id, binning.by_id) >> binning.shift;
}

fn amount_of(key: u32, weighted: bool, scale: f32) -> u32 {
  if (weighted) {
    return weight_of_key(half_max, key, scale);
  }
  return 1u;
}

// Fills the bins with the candidates that `before` keeps: 1 each, or their weights. Returns the total.
fn bin_candidates(count: u32, before: Cut, binning: Binning, weighted: bool, scale: f32) -> vec2<u32> {
  clear_bins();
  for (var i = lid; i < count; i += WORKGROUP_SIZE) {
    let key = candidate_keys[i];
    let id = candidate_ids[i];
    if (is_kept(key, id, before)) {
      add_to_bin(bin_of(key, id, binning), vec2(amount_of(key, weighted, scale), 0u));
    }
  }
  return scan_bins();
}

// After bin_candidates(): the cut at the first candidate, in the order of the row, where the running sum reaches the
// target. Its bin holds few others, and those are compared one by one. NOWHERE as key if the target is not reached.
fn claim_candidate(
  count: u32, before: Cut, binning: Binning, weighted: bool, scale: f32, target_sum: vec2<u32>) -> Cut {
  let at = claim_bin(target_sum);
  if (at.bin == NOWHERE) {
    return Cut(NOWHERE, 0u);
  }
  let rest = sub64(target_sum, at.before);
  for (var i = lid; i < count; i += WORKGROUP_SIZE) {
    let mine_is = Cut(candidate_keys[i], candidate_ids[i]);
    if (!is_kept(mine_is.key, mine_is.id, before) || bin_of(mine_is.key, mine_is.id, binning) != at.bin) {
      continue;
    }
    var sum = vec2(0u);
    for (var j = 0u; j < count; j++) {
      let key = candidate_keys[j];
      let id = candidate_ids[j];
      if (i != j && is_kept(key, id, mine_is) && bin_of(key, id, binning) == at.bin) {
        sum = add64(sum, vec2(amount_of(key, weighted, scale), 0u));
      }
    }
    let own = vec2(amount_of(mine_is.key, weighted, scale), 0u);
    if (less64(sum, rest) && !less64(add64(sum, own), rest)) {
      shared_cut = mine_is;
    }
  }
  return workgroupUniformLoad(&shared_cut);
}

// Sum of what the mass kernel found.
fn row_mass() -> vec2<u32> {
  var amount = vec2(0u);
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    amount = add64(amount, masses[first_group + group]);
  }
  return scan_amount(amount);
}

// ---- the cut ------------------------------------------------------------------------------------------------------

// The filters that look for a cut, in their order. Written as a loop, because compilers write out every call.
const TOP_K = 0u;
const TOP_P = 1u;

fn has_stage(plan: Plan, stage: u32) -> bool {
  return (plan.flags & select(FLAG_TOP_K, FLAG_TOP_P, stage == TOP_P)) != 0u;
}

// What the first of them sees: all, or what min-p keeps, if that comes first.
fn cut_before_stages(plan: Plan, floor_cut: Cut) -> Cut {
  if ((plan.flags & FLAG_MIN_P_FIRST) != 0u) {
    return floor_cut;
  }
  return Cut(1u, NO_TOKEN);
}

// Filters a row whose kept tokens are few, and leaves their draw weights in candidate_keys (0 for the others).
// Returns how many candidates there are, with the cut in shared_cut; 0 if the kept tokens are not few.
fn few(plan: Plan, max_key: u32, floor_cut: Cut) -> u32 {
  let by_count = (plan.flags & FLAG_TOP_K) != 0u;
  if (by_count && plan.top_k > TOP_K_REACH) {
    return 0u;
  }
  let low = reach_of_delegates(select(NUCLEUS_REACH, plan.top_k, by_count), max_key);
  let count = gather(low, 0xffffffffu, 0u, NO_TOKEN);
  if (count > MOST_CANDIDATES) {
    return 0u;
  }
  let binning = Binning(max_key, 0u, shift_of(max_key - uniform_word(atomicLoad(&smallest_key))), false);
  let scale = plan.filter_scale;
  var cut = cut_before_stages(plan, floor_cut);
  var whole_mass = vec2(0u);
  if (!by_count) {
    whole_mass = row_mass();
  }
  for (var stage = TOP_K; stage <= TOP_P; stage++) {
    if (!has_stage(plan, stage)) {
      continue;
    }
    let weighted = stage == TOP_P;
    var target_sum = vec2(plan.top_k, 0u);
    let total = bin_candidates(count, cut, binning, weighted, scale);
    if (weighted) {
      target_sum = mass_needed(plan.top_p, select(whole_mass, total, by_count));
    }
    let last = claim_candidate(count, cut, binning, weighted, scale, target_sum);
    if (last.key != NOWHERE) {
      cut = last;
    } else if (weighted) {
      return 0u; // the nucleus is larger
    }
  }
  if (lid == 0u) {
    shared_cut = stricter(cut, floor_cut);
  }
  workgroupBarrier();
  weigh_candidates(count, plan.draw_scale, shared_cut);
  return count;
}

// Turns the candidates' keys into draw weights; 0 for those behind the cut.
fn weigh_candidates(count: u32, scale: f32, cut: Cut) {
  for (var i = lid; i < count; i += WORKGROUP_SIZE) {
    let key = candidate_keys[i];
    candidate_keys[i] = select(0u, weight_of_key(half_max, key, scale), is_kept(key, candidate_ids[i], cut));
  }
  workgroupBarrier();
}

// Filters any row.
fn many(plan: Plan, max_key: u32, floor_cut: Cut) -> Cut {
  var cut = cut_before_stages(plan, floor_cut);
  for (var stage = TOP_K; stage <= TOP_P; stage++) {
    if (has_stage(plan, stage)) {
      let goal = select(plan.top_k, plan.top_p, stage == TOP_P);
      cut = cut_where(cut, max_key, stage == TOP_P, goal, plan.filter_scale);
    }
  }
  return stricter(cut, floor_cut);
}

// The first place in the ordered row, up to `before`, where the running sum reaches its target: `goal` tokens, or, if
// weighted, the share `goal` of the mass up to `before`. Returns `before` if there are fewer tokens.
fn cut_where(before: Cut, max_key: u32, weighted: bool, goal: u32, scale: f32) -> Cut {
  // 1. Over distances, where a row of any shape spreads well. The bin is then turned into a range of keys.
  clear_bins();
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    if (delegates[first_group + group] < before.key) {
      continue;
    }
    let whole = is_whole(row, group);
    for (var j = 0u; j < QUADS; j++) {
      let quad = quad_of(group, j);
      let bits = load_quad_of(row, quad, whole);
      let raw = raw_keys(bits);
      let kept = are_kept(final_keys(raw), id_of(row, quad), before);
      let away = distances(half_max, safe_logits(bits, raw), scale);
      var amounts = vec4(1u);
      if (weighted) {
        amounts = exp2fix(away);
      }
      add_to_bins(min(away >> vec4(DISTANCE_SHIFT), vec4(BINS - 1u)), select(vec4(0u), amounts, kept));
    }
  }
  let total = scan_bins();
  var target_sum = vec2(goal, 0u);
  if (weighted) {
    target_sum = mass_needed(goal, total);
  }
  var at = claim_bin(target_sum);
  if (at.bin == NOWHERE) {
    return before;
  }
  var sum = at.before;
  var high = max_key;
  if (at.bin > 0u) {
    high = key_of_distance(max_key, (at.bin << DISTANCE_SHIFT) - 1u, scale) - 1u;
  }
  var low = before.key;
  if (at.bin < BINS - 1u) {
    low = max(low, key_of_distance(max_key, ((at.bin + 1u) << DISTANCE_SHIFT) - 1u, scale));
  }
  var first_id = 0u;
  var last_id = NO_TOKEN;
  if (low == before.key) {
    last_id = before.id;
  }

  // 2. Down to what fits.
  loop {
    let count = gather(low, high, first_id, last_id);
    if (count <= MOST_CANDIDATES) {
      break;
    }
    // What is left does not fit: narrow the range of keys, or, where all keys are equal, of ids.
    let smallest = uniform_word(atomicLoad(&smallest_key));
    high = uniform_word(atomicLoad(&largest_key));
    if (smallest != low) {
      low = smallest;
      last_id = NO_TOKEN; // the ids were those of a key that does not occur
    }
    let by_id = low == high;
    let ids_end = min(last_id, call.vocab - 1u);
    let shift = select(shift_of(high - low), shift_of(ids_end - first_id), by_id);
    clear_bins();
    for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
      if (delegates[first_group + group] < low) {
        continue;
      }
      let whole = is_whole(row, group);
      for (var j = 0u; j < QUADS; j++) {
        let quad = quad_of(group, j);
        let keys = keys_of(load_quad_of(row, quad, whole));
        let ids = vec4(id_of(row, quad)) + vec4(0u, 1u, 2u, 3u);
        let wanted = in_range(keys, ids, low, high, first_id, last_id);
        if (any(wanted)) {
          var amounts = vec4(1u);
          if (weighted) {
            amounts = exp2fix(distances(half_max, logits_of_keys(keys), scale));
          }
          let offsets = select(vec4(high) - keys, ids - vec4(first_id), vec4(by_id));
          add_to_bins(offsets >> vec4(shift), select(vec4(0u), amounts, wanted));
        }
      }
    }
    scan_bins();
    at = claim_bin(sub64(target_sum, sum));
    sum = add64(sum, at.before);
    if (by_id) {
      first_id += at.bin << shift;
      last_id = min(last_id, first_id + ((1u << shift) - 1u));
    } else {
      high -= at.bin << shift;
      let next_low = high - min(high, (1u << shift) - 1u);
      if (next_low > low) {
        low = next_low;
        last_id = NO_TOKEN;
      }
    }
  }

  // 3. Among the candidates.
  let count = uniform_word(atomicLoad(&candidate_count));
  let smallest = uniform_word(atomicLoad(&smallest_key));
  let largest = uniform_word(atomicLoad(&largest_key));
  let by_id = smallest == largest;
  let ids = min(last_id, call.vocab - 1u) - first_id;
  let shift = select(shift_of(largest - smallest), shift_of(ids), by_id);
  let binning = Binning(largest, first_id, shift, by_id);
  bin_candidates(count, before, binning, weighted, scale);
  return claim_candidate(count, before, binning, weighted, scale, sub64(target_sum, sum));
}

// ---- the draw -----------------------------------------------------------------------------------------------------

struct Drawn {
  token: u32,
  weight: u32,
  mass: vec2<u32>,
}

var<workgroup> drawn: Drawn;

// Draws among candidates that carry their weights, in token-id order: the one whose running sum first exceeds the point.
fn draw_candidate(count: u32, u: vec2<u32>) {
  let shift = shift_of(call.vocab - 1u);
  clear_bins();
  for (var i = lid; i < count; i += WORKGROUP_SIZE) {
    add_to_bin(candidate_ids[i] >> shift, vec2(candidate_keys[i], 0u));
  }
  let total = scan_bins();
  let target_sum = add64(draw_point(u, total), vec2(1u, 0u)); // the running sum has to reach this
  let at = claim_bin(target_sum);
  let rest = sub64(target_sum, at.before);
  for (var i = lid; i < count; i += WORKGROUP_SIZE) {
    let weight = candidate_keys[i];
    let id = candidate_ids[i];
    if (id >> shift != at.bin || weight == 0u) {
      continue;
    }
    var sum = vec2(0u);
    for (var j = 0u; j < count; j++) {
      if (candidate_ids[j] >> shift == at.bin && candidate_ids[j] < id) {
        sum = add64(sum, vec2(candidate_keys[j], 0u));
      }
    }
    if (less64(sum, rest) && !less64(add64(sum, vec2(weight, 0u)), rest)) {
      drawn = Drawn(id, weight, total);
    }
  }
}

// Adds up the draw weights of the kept tokens, group by group.
fn weigh_groups(cut: Cut, scale: f32) {
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    let delegate = delegates[first_group + group];
    var low = vec4(0u);
    var high = vec4(0u);
    if (delegate >= cut.key && distance_of_key(half_max, delegate, scale) < ZERO_WEIGHT_DISTANCE) {
      let whole = is_whole(row, group);
      for (var j = 0u; j < QUADS; j++) {
        let weights = kept_weights(quad_of(group, j), whole, cut, scale);
        low += weights & vec4(0xffffu);
        high += weights >> vec4(16u);
      }
    }
    masses[first_group + group] = join_halves(low, high);
  }
  storageBarrier();
}

fn kept_weights(quad: u32, whole: bool, cut: Cut, scale: f32) -> vec4<u32> {
  let bits = load_quad_of(row, quad, whole);
  let raw = raw_keys(bits);
  let weights = exp2fix(distances(half_max, safe_logits(bits, raw), scale));
  return select(vec4(0u), weights, are_kept(final_keys(raw), id_of(row, quad), cut));
}

// Draws from the masses of the groups: first a run of groups, then a run of quads in it, then a token.
fn draw_group(cut: Cut, scale: f32, u: vec2<u32>) {
  clear_bins();
  // Whole tiles of LANES groups, since only those are consecutive tokens.
  let groups = ((call.groups + BINS - 1u) / BINS + LANES - 1u) / LANES * LANES;
  for (var bin = lid; bin < BINS; bin += WORKGROUP_SIZE) {
    var amount = vec2(0u);
    for (var group = bin * groups; group < min((bin + 1u) * groups, call.groups); group++) {
      amount = add64(amount, masses[first_group + group]);
    }
    atomicStore(&bins[bin * 2u], amount.x);
    atomicStore(&bins[bin * 2u + 1u], amount.y);
  }
  let total = scan_bins();
  let one = vec2(1u, 0u);
  var rest = add64(draw_point(u, total), one); // the running sum has to reach this
  let run = claim_bin(rest);
  rest = sub64(rest, run.before);

  let quads = groups * QUADS;
  let first = run.bin * quads;
  let stride = (quads + BINS - 1u) / BINS;
  clear_bins();
  for (var i = lid; i < quads; i += WORKGROUP_SIZE) {
    let weights = kept_weights(first + i, false, cut, scale);
    add_to_bin(i / stride, join_halves(weights & vec4(0xffffu), weights >> vec4(16u)));
  }
  scan_bins();
  let part = claim_bin(rest);
  rest = sub64(rest, part.before);
  if (lid == 0u) {
    var i = part.bin * stride * 4u;
    loop {
      let quad = first + (i >> 2u);
      let weight = kept_weights(quad, false, cut, scale)[i & 3u];
      if (!less64(vec2(weight, 0u), rest)) {
        drawn = Drawn(id_of(row, quad) + (i & 3u), weight, total);
        break;
      }
      rest = sub64(rest, vec2(weight, 0u));
      i++;
    }
  }
}

// The first token of the ordered row: the lowest id among the largest keys.
fn best(max_key: u32) {
  if (lid == 0u) {
    atomicStore(&smallest_id, 0xffffffffu);
  }
  workgroupBarrier();
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    if (delegates[first_group + group] == max_key) {
      atomicMin(&smallest_id, group / LANES);
      break;
    }
  }
  workgroupBarrier();
  let tile = uniform_word(atomicLoad(&smallest_id));
  if (lid == 0u) {
    atomicStore(&smallest_id, 0xffffffffu);
  }
  workgroupBarrier();
  for (var i = lid; i < LANES * QUADS; i += WORKGROUP_SIZE) {
    let quad = tile * LANES * QUADS + i;
    let hits = keys_of(load_quad(row, quad)) == vec4(max_key);
    if (any(hits)) {
      let lane = select(select(select(3u, 2u, hits.z), 1u, hits.y), 0u, hits.x);
      atomicMin(&smallest_id, id_of(row, quad) + lane);
    }
  }
  workgroupBarrier();
  if (lid == 0u) {
    drawn = Drawn(atomicLoad(&smallest_id), WEIGHT_ONE, vec2(WEIGHT_ONE, 0u));
  }
}

// Why a row has no candidate.
fn status_of_empty_row() -> u32 {
  if (lid == 0u) {
    atomicStore(&largest_key, STATUS_MASKED);
  }
  workgroupBarrier();
  for (var i = lid; i < call.groups * QUADS; i += WORKGROUP_SIZE) {
    if (any((load_quad(row, i) & vec4(0x7fffffffu)) > vec4(0x7f800000u))) {
      atomicMax(&largest_key, STATUS_NAN);
    }
  }
  workgroupBarrier();
  return uniform_word(atomicLoad(&largest_key));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn draw_main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  lid = index;
  let row_index = workgroup_id.x;
  let record = call.first_row + row_index;
  let plan = call.plans[row_index];
  row = row_of(row_index);
  first_group = row_index * call.groups;
  let max_key = uniform_word(atomicLoad(&records[record].rising_key));
  half_max = logit_of_key(max_key) * 0.5;

  // The row's counter: read, then moved on, whatever comes of the row.
  var position = vec2(records[record].position_low, records[record].position_high);
  if ((plan.flags & FLAG_POSITION) != 0u) {
    position = plan.position;
  }
  let u = uniform_of(plan.seed, position);
  storageBarrier();

  var status = STATUS_OK;
  var cut = Cut(1u, NO_TOKEN);
  if (max_key == 0u) {
    status = status_of_empty_row();
    if (lid == 0u) {
      drawn = Drawn(NO_TOKEN, 0u, vec2(0u));
    }
  } else if ((plan.flags & FLAG_GREEDY) != 0u) {
    best(max_key);
    workgroupBarrier();
    cut = Cut(max_key, drawn.token);
  } else {
    if ((plan.flags & FLAG_MIN_P) != 0u) {
      cut.key = key_of_distance(max_key, plan.min_p_distance, plan.filter_scale);
    }
    var count = 0u; // candidates that carry their draw weights; 0: the masses of the groups are those of the kept tokens
    if ((plan.flags & (FLAG_TOP_K | FLAG_TOP_P)) != 0u) {
      count = few(plan, max_key, cut);
      if (count != 0u) {
        cut = workgroupUniformLoad(&shared_cut);
      } else {
        cut = many(plan, max_key, cut);
        if ((plan.flags & FLAG_TOP_K) != 0u && plan.top_k <= TOP_K_REACH) {
          // Few enough to be written down, so that no room for masses is needed.
          count = gather(cut.key, 0xffffffffu, 0u, cut.id);
          weigh_candidates(count, plan.draw_scale, cut);
        } else {
          weigh_groups(cut, plan.draw_scale);
        }
      }
    }
    if (count != 0u) {
      draw_candidate(count, u);
    } else {
      draw_group(cut, plan.draw_scale, u);
    }
  }
  workgroupBarrier();

  if (lid == 0u) {
    records[record].token = drawn.token;
    records[record].status = status;
    records[record].weight = drawn.weight;
    records[record].mass_low = drawn.mass.x;
    records[record].mass_high = drawn.mass.y;
    records[record].cut_key = cut.key;
    records[record].cut_id = cut.id;
    records[record].max_key = max_key;
    let word = call.token_first + row_index * call.token_stride;
    tokens[word] = drawn.token;
    if (call.token_stride == 2u) {
      tokens[word + 1u] = 0u;
    }
    let next = add64(position, vec2(1u, 0u));
    records[record].position_low = next.x;
    records[record].position_high = next.y;
    atomicStore(&records[record].rising_key, 0u);
  }
}
