// What the kernels that work on a row with one workgroup have in common: sums over the workgroup, the groups worth
// looking at, reading tokens again, finding a cut, and the draw. Twins: src/reference/cut.ts and draw.ts.

override WORKGROUP_SIZE: u32; // a power of two up to 256

override ROOM: u32 = 1024u; // tokens, or groups, that can be written down; at least 512
const BINS = 128u;
const BIN_BITS = 7u;
const NOWHERE = 0xffffffffu;

struct Found {
  index: u32, // NOWHERE if the running sum does not reach the target
  before: vec2<u32>, // the running sum in front of it
}

// Written-down tokens as (~key, id), so that ascending order is the order of the row; in the end as (id, weight).
var<workgroup> entries: array<vec2<u32>, ROOM>;
// First the groups that are looked at, later the weights of the entries.
var<workgroup> words: array<u32, ROOM>;
var<workgroup> bins: array<atomic<u32>, 2u * BINS>; // 64-bit amounts as (low, high)
var<workgroup> partial: array<vec2<u32>, WORKGROUP_SIZE>;
var<workgroup> counter: atomic<u32>;
var<workgroup> smallest: atomic<u32>;
var<workgroup> largest: atomic<u32>;
var<workgroup> found: Found;
var<workgroup> shared_word: u32;

// Set once at the start, the same in every invocation but for `lid`.
var<private> lid: u32;
var<private> row: Row;
#if PROCESSED
#else
var<private> last_quad: u32; // of the row
var<private> last_words: Quad; // what it holds, because the buffer may end inside it
#endif
var<private> first_group: u32; // of this row in `delegates` and `masses`
var<private> half_max: f32;
// The scale at which `masses` has all tokens of a row that are all tied; a greedy row's is 0.
var<private> scale_of_ties: f32 = NO_TIES;
const NO_TIES = -1.0;
// The groups that are looked at: those in `words`, or all.
var<private> listed: bool;
var<private> group_count: u32;
var<private> run_bits: u32; // of the runs of a group, each of which an invocation reads in one go: one, unless there are few groups
// Of scan(): the amounts in front of this invocation's own, and its own.
var<private> before_mine: vec2<u32>;
var<private> mine: vec2<u32>;

fn enter_row(index: u32) {
  row = row_of(index);
  first_group = index * call.groups;
#if PROCESSED
#else
  last_quad = (row.lead + call.vocab - 1u) >> 2u;
  last_words = load_words(row.first_quad + last_quad);
#endif
}

// load_quad_of() for this row. SwiftShader takes both ways of that one, and reading by words costs as much as the rest.
fn bits_at(quad: u32, whole: bool) -> vec4<u32> {
#if PROCESSED
  return load_quad_of(row, quad, whole);
#else
  return in_row(row, quad, unpack(select(logits[row.first_quad + quad], last_words, quad == last_quad)));
#endif
}

// ---- small tools --------------------------------------------------------------------------------------------------

// A value that invocation 0 knows, handed to all as a uniform one.
fn uniform_word(value: u32) -> u32 {
  if (lid == 0u) {
    shared_word = value;
  }
  return workgroupUniformLoad(&shared_word);
}

// Running sums over the invocations. Returns the total, the same for all of them.
fn scan(amount: vec2<u32>) -> vec2<u32> {
  workgroupBarrier();
  partial[lid] = amount;
  if (lid == 0u) {
    found = Found(NOWHERE, vec2(0u));
  }
  var sum = amount;
  for (var reach = 1u; reach < WORKGROUP_SIZE; reach <<= 1u) {
    workgroupBarrier();
    if (lid >= reach) {
      sum = add64(sum, partial[lid - reach]);
    }
    workgroupBarrier();
    partial[lid] = sum;
  }
  mine = amount;
  before_mine = sub64(sum, amount);
  return workgroupUniformLoad(&partial[WORKGROUP_SIZE - 1u]);
}

// After scan(): whether the running sum reaches the target (1 or more) inside this invocation's own amount.
fn is_mine(target_sum: vec2<u32>) -> bool {
  return less64(before_mine, target_sum) && !less64(add64(before_mine, mine), target_sum);
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

fn bin_amount(bin: u32) -> vec2<u32> {
  return vec2(atomicLoad(&bins[bin * 2u]), atomicLoad(&bins[bin * 2u + 1u]));
}

// Running sums over the bins, of which every invocation has a run. Returns the total.
fn scan_bins() -> vec2<u32> {
  workgroupBarrier();
  let run = (BINS + WORKGROUP_SIZE - 1u) / WORKGROUP_SIZE;
  var amount = vec2(0u);
  for (var i = lid * run; i < min((lid + 1u) * run, BINS); i++) {
    amount = add64(amount, bin_amount(i));
  }
  return scan(amount);
}

// After scan_bins(): the first bin where the running sum reaches the target (1 or more).
fn claim_bin(target_sum: vec2<u32>) -> Found {
  if (is_mine(target_sum)) {
    var before = before_mine;
    var bin = lid * ((BINS + WORKGROUP_SIZE - 1u) / WORKGROUP_SIZE);
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

// Running sums over the first `count` weights, of which every invocation has a run. Returns the total.
fn scan_weights(count: u32) -> vec2<u32> {
  workgroupBarrier();
  let run = (count + WORKGROUP_SIZE - 1u) / WORKGROUP_SIZE;
  var amount = vec2(0u);
  for (var i = lid * run; i < min((lid + 1u) * run, count); i++) {
    amount = add64(amount, vec2(words[i], 0u));
  }
  return scan(amount);
}

// After scan_weights(): the first place where the running sum reaches the target (1 or more).
fn claim_weight(count: u32, target_sum: vec2<u32>) -> Found {
  if (is_mine(target_sum)) {
    var before = before_mine;
    var i = lid * ((count + WORKGROUP_SIZE - 1u) / WORKGROUP_SIZE);
    loop {
      let after = add64(before, vec2(words[i], 0u));
      if (!less64(after, target_sum)) {
        break;
      }
      before = after;
      i++;
    }
    found = Found(i, before);
  }
  return workgroupUniformLoad(&found);
}

fn comes_after(a: vec2<u32>, b: vec2<u32>) -> bool {
  return a.x > b.x || (a.x == b.x && a.y > b.y);
}

// Sorts the first `count` entries, ascending (Batcher's bitonic network).
fn sort_entries(count: u32) {
  var length = 2u;
  while (length < count) {
    length <<= 1u;
  }
  for (var i = count + lid; i < length; i += WORKGROUP_SIZE) {
    entries[i] = vec2(0xffffffffu);
  }
  for (var size = 2u; size <= length; size <<= 1u) {
    for (var step = size >> 1u; step > 0u; step >>= 1u) {
      workgroupBarrier();
      for (var i = lid; i < length / 2u; i += WORKGROUP_SIZE) {
        let a = 2u * i - (i & (step - 1u));
        let b = a + step;
        let left = entries[a];
        let right = entries[b];
        if (comes_after(left, right) == ((a & size) == 0u)) {
          entries[a] = right;
          entries[b] = left;
        }
      }
    }
  }
  workgroupBarrier();
}

fn key_of_entry(index: u32) -> u32 {
  return ~entries[index].x;
}

fn place_of(index: u32) -> Cut {
  return Cut(key_of_entry(index), entries[index].y);
}

fn stricter(a: Cut, b: Cut) -> Cut {
  if (a.key > b.key || (a.key == b.key && a.id < b.id)) {
    return a;
  }
  return b;
}

fn looser(a: Cut, b: Cut) -> Cut {
  let strict = stricter(a, b);
  if (strict.key == a.key && strict.id == a.id) {
    return b;
  }
  return a;
}

// How far to shift a range of `span` + 1 values so that it fits the bins.
fn shift_of(span: u32) -> u32 {
  let bits = 32u - countLeadingZeros(span);
  return max(bits, BIN_BITS) - BIN_BITS;
}

// ---- which groups -------------------------------------------------------------------------------------------------

fn look_at_all_groups() {
  listed = false;
  group_count = call.groups;
  run_bits = 0u;
}

// A run of quads of a group that is looked at.
struct Run {
  delegate: u32,
  whole: bool,
  first: u32, // quad
  end: u32,
}

fn run_count() -> u32 {
  return group_count << run_bits;
}

fn run_at(index: u32) -> Run {
  let span = QUADS >> run_bits;
  var group = index >> run_bits;
  let first = (index - (group << run_bits)) * span;
  if (listed) {
    group = words[group];
  }
  let quad = quad_of(group, first);
  return Run(delegates[first_group + group], is_whole(row, group), quad, quad + span * LANES);
}

// Of all runs, or of one in 2^sampling.
fn run_of_sample(index: u32, sampling: u32) -> Run {
  return run_at((index << sampling) + (index & ((1u << sampling) - 1u)));
}

// Sets smallest and largest to the extremes over all invocations.
fn share_extremes(low: u32, high: u32) {
  workgroupBarrier();
  if (lid == 0u) {
    atomicStore(&smallest, 0xffffffffu);
    atomicStore(&largest, 0u);
  }
  workgroupBarrier();
  atomicMin(&smallest, low);
  atomicMax(&largest, high);
  workgroupBarrier();
}

struct Reach {
  low: u32, // a key that all tokens that matter reach
  tiles: u32, // of the groups whose delegate is just `low`, those in tiles before this one are enough
  seen: vec2<u32>, // 0, or bits of which a group has left one in place of its mass
  mass: vec2<u32>, // of the row, where the groups were looked for by mass
}

// What is counted in bins, or weighed: by its distance, its key, its id; a group by its delegate, or by its tile.
const BY_DISTANCE = 0u;
const BY_KEY = 1u;
const BY_ID = 2u;
const BY_TILE = 3u;

const FAR_BITS = 25u - BIN_BITS; // MAX_DISTANCE is 2^25

// Where the tokens lie that matter. Either the first n: the n-th largest delegate is a lower bound of the n-th largest token,
// and a little less saves time. If many delegates are tied there and `first_n` tokens are all that matters, not all of their
// groups are needed. Or, if n is 0, most likely a nucleus: the groups with the largest delegates whose mass is that of the
// nucleus would do if all of it were in tokens as large; so a part of the rest is added.
fn reach_of_delegates(n: u32, first_n: bool, share: u32, scale: f32, max_key: u32) -> Reach {
  let half = logit_of_key(max_key) * 0.5;
  let spare = min(n / 4u + 16u, max(n, ROOM) - n);
  var reach = Reach(1u, NOWHERE, vec2(0u), vec2(0u));
  var by = BY_DISTANCE;
  var high = max_key;
  var low = LOWEST_KEY;
  var missing = n;
  var shift = 0u;
  loop {
    clear_bins();
    for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
      let key = delegates[first_group + group];
      if (key >= low && key <= high) {
        var bin = select(high - key, tile_of(group), by == BY_TILE) >> shift;
        if (by == BY_DISTANCE) {
          bin = min(distance_of_key(half, key, scale) >> FAR_BITS, BINS - 1u);
        }
        add_to_bin(bin, select(vec2(1u, 0u), masses[first_group + group], n == 0u));
      }
    }
    var goal = vec2(missing, 0u);
    let total = scan_bins();
    if (n == 0u) {
      reach.mass = total;
      goal = mass_needed(share + (NOWHERE - share) / 8u, total);
    }
    let at = claim_bin(goal);
    if (at.index == NOWHERE) {
      break; // fewer groups than that: every token
    }
    let inside = uniform_word(bin_amount(at.index).x);
    if (by == BY_TILE) {
      reach.tiles = (at.index + 1u) << shift; // ids rise from tile to tile, so the first ties are enough
      break;
    }
    if (by == BY_DISTANCE) {
      let farthest = select(((at.index + 1u) << FAR_BITS) - 1u, MAX_DISTANCE, at.index == BINS - 1u);
      low = key_of_distance(max_key, farthest, scale);
      reach.low = low;
      if (n == 0u || at.before.x + inside <= n + spare) {
        break;
      }
      by = BY_KEY; // many delegates lie as far: until few are left or all are tied
    } else {
      high -= at.index << shift;
      low = max(low, high - min(high, (1u << shift) - 1u));
      missing -= at.before.x;
      reach.low = low;
      if (inside <= missing + spare || (low == high && !first_n)) {
        break;
      }
      by = select(BY_KEY, BY_TILE, low == high);
    }
    shift = shift_of(select(high - low, (call.groups >> LANE_BITS) - 1u, by == BY_TILE));
  }
  return reach;
}

// Writes down the groups that have such tokens. Returns how many there are; those beyond ROOM are left out.
fn list_groups(reach: Reach) -> u32 {
  workgroupBarrier();
  if (lid == 0u) {
    atomicStore(&counter, 0u);
  }
  workgroupBarrier();
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    let key = delegates[first_group + group];
    let has_seen = all(reach.seen == vec2(0u)) || any((masses[first_group + group] & reach.seen) != vec2(0u));
    if (has_seen && (key > reach.low || (key == reach.low && tile_of(group) < reach.tiles))) {
      let slot = atomicAdd(&counter, 1u);
      if (slot < ROOM) {
        words[slot] = group;
      }
    }
  }
  workgroupBarrier();
  let count = uniform_word(atomicLoad(&counter));
  listed = true;
  run_bits = select(QUAD_BITS, 0u, count >= WORKGROUP_SIZE);
  group_count = count;
  return count;
}

// ---- reading tokens again -----------------------------------------------------------------------------------------

// Whether a run may have tokens of a part.
fn run_has(run: Run, part: Part) -> bool {
  let first = id_of(row, run.first);
  let last = id_of(row, run.end - LANES) + 3u; // first > last where the row begins inside the first quad
  let ties = part.after.key == part.upto.key;
  let ids_have = first > last || (first <= part.upto.id && (!ties || last > part.after.id));
  return run.delegate > part.upto.key || (run.delegate == part.upto.key && ids_have);
}

const QUAD_LANES = vec4(0u, 1u, 2u, 3u);

// The first of four that is true; some is. Who goes from one to the next takes SwiftShader fewer turns than four.
fn first_lane(hits: vec4<bool>) -> u32 {
  return select(select(select(3u, 2u, hits.z), 1u, hits.y), 0u, hits.x);
}

// A quad with its ids; keys are 0 where the token is not of the part.
struct Tokens {
  bits: vec4<u32>,
  keys: vec4<u32>,
  ids: vec4<u32>,
}

fn tokens_at(quad: u32, whole: bool, part: Part) -> Tokens {
  let ids = ids_from(id_of(row, quad));
  let bits = bits_at(quad, whole);
  let keys = keys_of(bits);
  return Tokens(bits, select(vec4(0u), keys, in_part(keys, ids, part)), ids);
}

// From the smallest keys less one, so that 0 is the largest, and the largest keys.
fn share_key_extremes(less_one: vec4<u32>, high: vec4<u32>) {
  let low = min(min(less_one.x, less_one.y), min(less_one.z, less_one.w));
  share_extremes(select(low + 1u, NOWHERE, low == NOWHERE), max(max(high.x, high.y), max(high.z, high.w)));
}

fn write_down(these: Tokens) {
  var left = these.keys != vec4(0u);
  while (any(left)) {
    let lane = first_lane(left);
    let slot = atomicAdd(&counter, 1u);
    if (slot < ROOM) {
      entries[slot] = vec2(~these.keys[lane], these.ids[lane]);
    }
    left &= QUAD_LANES != vec4(lane);
  }
}

// What is done with the tokens that are looked at, besides counting them.
const COUNT = 0u;
const SAMPLE = 1u; // nothing, and one group of 2^SAMPLING will do
const LEAVE_COUNTS = 2u; // their number takes the place of the mass of their group, of all groups
const WRITE_DOWN = 3u; // as entries, in no order; those beyond ROOM are left out

// Looks at the tokens of a part. Returns how many there are, and leaves the extremes of their keys.
fn look_at(part: Part, doing: u32) -> u32 {
  scale_of_ties = select(scale_of_ties, NO_TIES, doing == LEAVE_COUNTS);
  workgroupBarrier();
  if (lid == 0u) {
    atomicStore(&counter, 0u);
  }
  workgroupBarrier();
  let sampling = select(0u, SAMPLING, doing == SAMPLE);
  var count = 0u;
  var low = vec4(NOWHERE);
  var high = vec4(0u);
  let runs = run_count() >> sampling;
  for (var i = lid; i < runs; i += WORKGROUP_SIZE) {
    let run = run_of_sample(i, sampling);
    var here = vec4(0u);
    if (run_has(run, part)) {
      for (var quad = run.first; quad < run.end; quad += LANES) {
        let these = tokens_at(quad, run.whole, part);
        here += min(these.keys, vec4(1u));
        low = min(low, these.keys - vec4(1u)); // 0 wraps to the largest
        high = max(high, these.keys);
        if (doing == WRITE_DOWN) {
          write_down(these);
        }
      }
    }
    let in_run = dot(here, vec4(1u));
    count += in_run;
    if (doing == LEAVE_COUNTS) {
      masses[first_group + i] = vec2(in_run, 0u);
    }
  }
  if (doing != WRITE_DOWN) {
    atomicAdd(&counter, count);
  }
  share_key_extremes(low, high);
  return uniform_word(atomicLoad(&counter));
}

// Weighs the first `end` entries, for claim_weight(); those in front of `first` as nothing. Returns what they weigh.
fn weigh_entries(first: u32, end: u32, scale: f32) -> vec2<u32> {
  workgroupBarrier();
  for (var i = lid; i < end; i += WORKGROUP_SIZE) {
    words[i] = select(0u, weight_of_key(half_max, key_of_entry(i), scale), i >= first);
  }
  return scan_weights(end);
}

// ---- the cut ------------------------------------------------------------------------------------------------------

// The first of the sorted entries [first, end) whose key is below; `end` if there is none.
fn first_below(key: u32, first: u32, end: u32) -> u32 {
  var low = first;
  var high = end;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (key_of_entry(middle) >= key) {
      low = middle + 1u;
    } else {
      high = middle;
    }
  }
  return uniform_word(low);
}

// By what tokens are sorted into bins.
struct Binning {
  by: u32, // distance, key or id
  start: u32, // the least distance, the largest key, or the first id
  shift: u32,
}

// Adds a part's tokens, or their weights, to the bins; those of a sample of all groups, if so asked.
fn fill_bins(part: Part, binning: Binning, weighted: bool, scale: f32, sampling: u32) {
  let runs = run_count() >> sampling;
  for (var i = lid; i < runs; i += WORKGROUP_SIZE) {
    let run = run_of_sample(i, sampling);
    if (!run_has(run, part)) {
      continue;
    }
    if (binning.by == BY_ID) {
      add_ids(run, part, binning, weighted, scale);
      continue;
    }
    for (var quad = run.first; quad < run.end; quad += LANES) {
      let here = tokens_at(quad, run.whole, part);
      if (any(here.keys != vec4(0u))) {
        add_keys(here, binning, weighted, scale);
      }
    }
  }
}

fn add_keys(these: Tokens, binning: Binning, weighted: bool, scale: f32) {
  var away = vec4(0u);
  if (weighted || binning.by == BY_DISTANCE) {
    away = distances(half_max, these.bits, scale);
  }
  var amounts = vec4(1u);
  if (weighted) {
    amounts = exp2fix(away);
  }
  amounts = select(vec4(0u), amounts, these.keys != vec4(0u));
  let start = vec4(binning.start);
  var at = select(start - these.keys, away - start, vec4(binning.by == BY_DISTANCE)) >> vec4(binning.shift);
  for (var lane = 0u; lane < 4u; lane++) {
    if (amounts.x != 0u) {
      add_to_bin(min(at.x, BINS - 1u), vec2(amounts.x, 0u));
    }
    amounts = amounts.yzwx;
    at = at.yzwx;
  }
}

// Tokens of one key have one weight, and those of a run mostly lie in one bin.
fn add_ids(run: Run, part: Part, binning: Binning, weighted: bool, scale: f32) {
  let weight = select(1u, weight_of_key(half_max, part.upto.key, scale), weighted);
  var bin = 0u;
  var count = 0u;
  for (var quad = run.first; quad < run.end; quad += LANES) {
    let here = tokens_at(quad, run.whole, part);
    let counted = min(here.keys, vec4(1u));
    let at = (here.ids - vec4(binning.start)) >> vec4(binning.shift);
    if (all((at == vec4(bin)) | (counted == vec4(0u)))) {
      count += dot(counted, vec4(1u));
    } else {
      for (var lane = 0u; lane < 4u; lane++) {
        if (counted[lane] != 0u) {
          if (at[lane] != bin) {
            add_to_bin(bin, mul32(count, weight));
            bin = at[lane];
            count = 0u;
          }
          count++;
        }
      }
    }
  }
  add_to_bin(bin, mul32(count, weight));
}

// How many groups a bin has, as a power of two: whole tiles, since only those are consecutive tokens.
fn bits_of_groups() -> u32 {
  return max(shift_of(call.groups - 1u), LANE_BITS);
}

// The same in tokens.
fn bits_of_tokens() -> u32 {
  return bits_of_groups() + QUAD_BITS + 2u;
}

// Adds the masses of the groups to the bins.
fn fill_bins_of_groups() {
  let groups = 1u << bits_of_groups();
  for (var bin = lid; bin < BINS; bin += WORKGROUP_SIZE) {
    var amount = vec2(0u);
    for (var group = bin * groups; group < min((bin + 1u) * groups, call.groups); group++) {
      amount = add64(amount, masses[first_group + group]);
    }
    atomicStore(&bins[bin * 2u], amount.x);
    atomicStore(&bins[bin * 2u + 1u], amount.y);
  }
}

// Adds the weights of the first `count` entries, (id, weight) by now, to the bins, where they lie in [first, first + 2^bits):
// places in the row, whose first quad begins at 0.
fn fill_bins_of_entries(count: u32, first: u32, bits: u32, shift: u32) {
  for (var i = lid; i < count; i += WORKGROUP_SIZE) {
    let place = entries[i].x + row.lead - first;
    if (place >> bits == 0u) {
      add_to_bin(place >> shift, vec2(entries[i].y, 0u));
    }
  }
}

// Adds up in bins what is kept: the first `count` entries, or, if that is 0, the masses of all groups. Returns the sum.
fn bin_kept(count: u32) -> vec2<u32> {
  clear_bins();
  if (count == 0u) {
    fill_bins_of_groups();
  } else {
    fill_bins_of_entries(count, 0u, 31u, bits_of_tokens());
  }
  return scan_bins();
}

// Writes down the groups of a bin, if there is room.
fn look_at_groups_of_bin(bin: u32) {
  let groups = 1u << bits_of_groups();
  if (groups <= ROOM) {
    workgroupBarrier();
    for (var i = lid; i < groups; i += WORKGROUP_SIZE) {
      words[i] = bin * groups + i;
    }
    listed = true;
    group_count = min(groups, call.groups - bin * groups);
    workgroupBarrier();
  }
}

// The counts of a row's ties, which look_at() has left, become masses.
fn weigh_ties(key: u32, scale: f32) {
  let weight = weight_of_key(half_max, key, scale);
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    masses[first_group + group] = mul32(masses[first_group + group].x, weight);
  }
  scale_of_ties = scale;
  storageBarrier();
}

// ---- the search ---------------------------------------------------------------------------------------------------

const SAMPLING = 4u;
const MARGIN = 0.02; // of the mass, on both sides of the guess

fn mass_of_share(share: f32, mass: vec2<u32>) -> vec2<u32> {
  let exact = share * (f32(mass.y) * 4294967296.0 + f32(mass.x));
  let high = floor(exact / 4294967296.0);
  return add64(vec2(u32(exact - high * 4294967296.0), u32(high)), vec2(1u, 0u));
}

// One of 64 bits, by which a group says that it has tokens in a bin.
fn bit_of_bin(bin: u32) -> vec2<u32> {
  let bit = 1u << (bin & 31u);
  return select(vec2(bit, 0u), vec2(0u, bit), (bin & 32u) != 0u);
}

// Adds the weights of tokens from a distance on, the band, to the bins; what is nearer to bin 0, so the band begins with bin 1.
// In place of its mass each group leaves the bits of the bins that it has tokens of the band in. The part begins with the row;
// tokens behind its end may count, which changes nothing in front of it, but groups below `floor_key` have none of it.
fn fill_bins_of_band(floor_key: u32, nearest: u32, shift: u32, scale: f32) {
  scale_of_ties = NO_TIES;
  let width = 1u << shift;
  let end = nearest + (width << BIN_BITS) - width;
  var before = vec2(0u);
  for (var i = lid; i < call.groups; i += WORKGROUP_SIZE) {
    let run = run_at(i);
    if (run.delegate < floor_key) {
      masses[first_group + i] = vec2(0u);
      continue;
    }
    var low = vec4(0u);
    var high = vec4(0u);
    var seen = vec2(0u);
    for (var quad = run.first; quad < run.end; quad += LANES) {
      let away = distances(half_max, bits_at(quad, run.whole), scale);
      let weights = exp2fix(away);
      let is_nearer = away < vec4(nearest);
      let nearer = select(vec4(0u), weights, is_nearer);
      low += nearer;
      high += upper_halves(nearer);
      var in_band = !is_nearer & (away < vec4(end)) & (weights != vec4(0u));
      while (any(in_band)) {
        let lane = first_lane(in_band);
        let bin = ((away[lane] - nearest) >> shift) + 1u;
        add_to_bin(bin, vec2(weights[lane], 0u));
        seen |= bit_of_bin(bin);
        in_band &= QUAD_LANES != vec4(lane);
      }
    }
    masses[first_group + i] = seen;
    before = add64(before, join_sums(low, high));
  }
  add_to_bin(0u, before);
}

// What a turn of the search looks at.
const GUESS = 0u; // a sample of the groups, to find a band of distances in which the place most likely lies
const BAND = 1u; // all groups, but only that band of distances
const EXACT = 2u; // what is left of the part

// A place in a part of the ordered row: where the running sum reaches a number of tokens, or, if weighted, a mass.
struct Target {
  sum: vec2<u32>, // 0: none is looked for
  weighted: bool,
  share: f32, // of the mass of the part, where that begins with the row and somebody knows; else 0
}

// The tokens around such a place, or all of the part, as entries, sorted.
struct Around {
  count: u32, // more than ROOM: too many, none is written down; 0: there are none, or the place lies behind the part's end
  rest: vec2<u32>, // what the running sum has to reach from the first of them on
}

// Looks for a place in a part of the ordered row: bins narrow the part down until what is left of it can be written down.
// Without a target it is written down as it is; `few` if that most likely can be done.
fn search(whole: Part, place: Target, few: bool, scale: f32, max_key: u32) -> Around {
  let narrows = any(place.sum != vec2(0u));
  let weighted = place.weighted;
  var part = whole;
  var rest = place.sum;
  var doing = select(select(COUNT, LEAVE_COUNTS, weighted), WRITE_DOWN, few);
  var turn = select(EXACT, GUESS, weighted && place.share > 0.0 && call.groups >= 256u);
  var count = 0u;
  var binning = Binning(BY_DISTANCE, 0u, 0u);
  loop {
    var lowest = 0u;
    var highest = 0u;
    if (turn != BAND) {
      count = look_at(part, select(doing, SAMPLE, turn == GUESS));
      if (turn == EXACT && (count <= ROOM || !narrows)) {
        if (doing == WRITE_DOWN || count > ROOM) {
          break;
        }
        doing = WRITE_DOWN;
        continue;
      }
      lowest = uniform_word(atomicLoad(&smallest));
      highest = uniform_word(atomicLoad(&largest));
      if (turn == GUESS && lowest >= highest) {
        turn = EXACT; // no idea
        continue;
      }
      // Distances spread better than keys, of which most lie around zero; in the end many keys can have one distance.
      let nearest = distance_of_key(half_max, highest, scale);
      let farthest = distance_of_key(half_max, lowest, scale);
      binning = Binning(BY_DISTANCE, nearest, shift_of(farthest - nearest));
      if (turn == EXACT) {
        // The part may end between keys that do not occur.
        if (lowest != part.upto.key) {
          part.upto = Cut(lowest, NO_TOKEN);
        }
        if (highest < part.after.key) {
          part.after = Cut(highest + 1u, NO_TOKEN);
        }
        if (lowest == highest) {
          let first_id = select(0u, part.after.id + 1u, part.after.key == highest);
          binning = Binning(BY_ID, first_id, shift_of(min(part.upto.id, call.vocab - 1u) - first_id));
        } else if (nearest == farthest) {
          binning = Binning(BY_KEY, highest, shift_of(highest - lowest));
        }
      }
    }

    // Where all are tied from the start, their number in each group is known.
    let by_group = turn == EXACT && doing == LEAVE_COUNTS && lowest == highest;
    clear_bins();
    if (turn == BAND) {
      fill_bins_of_band(part.upto.key, binning.start + (1u << binning.shift), binning.shift, scale);
    } else if (by_group) {
      weigh_ties(highest, scale);
      fill_bins_of_groups();
    } else {
      fill_bins(part, binning, weighted, scale, select(0u, SAMPLING, turn == GUESS));
    }
    let mass = scan_bins();
    // The place lies in one bin; what is guessed lies between two.
    var from_bin = 0u;
    var at = Found(0u, vec2(0u));
    for (var side = select(1u, 0u, turn == GUESS); side < 2u; side++) {
      var goal = rest;
      if (turn == GUESS) {
        goal = mass_of_share(clamp(place.share + select(MARGIN, -MARGIN, side == 0u), 0.0, 0.999), mass);
      }
      from_bin = at.index;
      at = claim_bin(goal);
    }

    if (turn == GUESS) {
      turn = select(BAND, EXACT, from_bin == NOWHERE); // a sample that weighs nothing begins nowhere
      let to_bin = select(at.index, BINS - 1u, place.share + MARGIN >= 0.999);
      let nearest = binning.start + (from_bin << binning.shift);
      let width = (to_bin - from_bin + 1u) << binning.shift;
      binning.shift = shift_of(width + (width >> 6u)); // leaves bin 0 free
      binning.start = nearest - (1u << binning.shift);
      continue;
    }
    if (turn == BAND && (at.index == 0u || at.index == NOWHERE)) {
      turn = EXACT; // a wrong guess
      continue;
    }
    if (at.index == NOWHERE) {
      count = 0u;
      break;
    }
    rest = sub64(rest, at.before);
    var first = binning.start + (at.index << binning.shift);
    var last = first + ((1u << binning.shift) - 1u);
    if (by_group) {
      look_at_groups_of_bin(at.index);
      first = max(binning.start, max(at.index << bits_of_tokens(), row.lead) - row.lead);
      last = ((at.index + 1u) << bits_of_tokens()) - row.lead - 1u;
    }
    if (binning.by == BY_ID) {
      if (first != 0u) {
        part.after = Cut(lowest, first - 1u);
      }
      part.upto.id = min(part.upto.id, last);
    } else {
      // Keys that are too large, and the smallest one.
      var too_large = highest - (at.index << binning.shift) + 1u;
      var smallest_key = max(too_large, 1u << binning.shift) - (1u << binning.shift);
      if (binning.by == BY_DISTANCE) {
        too_large = NOWHERE;
        if (first > 0u) {
          too_large = key_of_distance(max_key, first - 1u, scale);
        }
        smallest_key = key_of_distance(max_key, last, scale);
      }
      part.after = looser(part.after, Cut(too_large, NO_TOKEN));
      part.upto = stricter(part.upto, Cut(smallest_key, NO_TOKEN));
    }
    if (turn == BAND && list_groups(Reach(part.upto.key, NOWHERE, bit_of_bin(at.index), vec2(0u))) > ROOM) {
      look_at_all_groups();
    }
    turn = EXACT;
    doing = WRITE_DOWN;
  }
  if (weighted) {
    look_at_all_groups();
  }
  if (count <= ROOM) {
    sort_entries(count);
  }
  return Around(count, rest);
}

// ---- the draw -----------------------------------------------------------------------------------------------------

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

// Adds up the weights of the tokens of a part, group by group. What is nearer than its last token, and farther than the one
// in front of it, is of the part; only tokens as far as those have to be looked at again.
fn weigh_groups(kept: Part, base_key: u32, scale: f32) {
  let end = distance_of_key(half_max, kept.upto.key, scale);
  let after = bitcast<i32>(distance_of_key(half_max, min(kept.after.key, base_key), scale));
  let begin = select(after, -1, kept.after.key > base_key);
  let edges = draw_weights(vec4(end, vec3(bitcast<u32>(after))));
#if STAGES
  let weightless = adaptive.unit == 0u;
#else
  const weightless = true;
#endif
  let tied = weightless && scale_of_ties == scale;
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
    let at = first_group + group;
    let at_edges = add64(mul32(dot(at_end, vec4(1u)), edges.x), mul32(dot(at_begin, vec4(1u)), edges.y));
    masses[at] = select(add64(join_sums(low, high), at_edges), masses[at], known && has_all);
  }
  scale_of_ties = NO_TIES;
  storageBarrier();
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
