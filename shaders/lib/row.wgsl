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
var<private> span: u32; // quads of a group that an invocation reads in one go: all, unless there are few groups
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

// Running sums over the invocations. Returns the total.
fn scan(amount: vec2<u32>) -> vec2<u32> {
  workgroupBarrier();
  partial[lid] = amount;
  if (lid == 0u) {
    found = Found(NOWHERE, vec2(0u));
  }
  workgroupBarrier();
  var sum = amount;
  for (var reach = 1u; reach < WORKGROUP_SIZE; reach <<= 1u) {
    if (lid >= reach) {
      sum = add64(sum, partial[lid - reach]);
    }
    workgroupBarrier();
    partial[lid] = sum;
    workgroupBarrier();
  }
  mine = amount;
  before_mine = sub64(sum, amount);
  return partial[WORKGROUP_SIZE - 1u];
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
  span = QUADS;
}

// A run of `span` quads of a group that is looked at.
struct Run {
  delegate: u32,
  whole: bool,
  first: u32, // quad
  end: u32,
}

fn run_count() -> u32 {
  return group_count * (QUADS / span);
}

fn run_at(index: u32) -> Run {
  var group = index * span / QUADS;
  let first = index * span % QUADS;
  if (listed) {
    group = words[group];
  }
  let quad = quad_of(group, first);
  return Run(delegates[first_group + group], is_whole(row, group), quad, quad + span * LANES);
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
  low: u32, // a key that at least n tokens reach
  tiles: u32, // of the groups whose delegate is just `low`, those in tiles before this one are enough
  seen: vec2<u32>, // 0, or bits of which a group has left one in place of its mass
}

// Which bin a delegate belongs to by how far it is.
fn bin_of_delegate(half: f32, key: u32, scale: f32) -> u32 {
  return min(distance_of_key(half, max(key, LOWEST_KEY), scale) / (MAX_DISTANCE / BINS), BINS - 1u);
}

// The smallest key that such a bin may hold.
fn lowest_of_bin(bin: u32, max_key: u32, scale: f32) -> u32 {
  return key_of_distance(max_key, select((bin + 1u) * (MAX_DISTANCE / BINS) - 1u, MAX_DISTANCE, bin >= BINS - 1u), scale);
}

// A lower bound of the n-th largest token: the n-th largest delegate, or a little less where that saves time. If many
// delegates are tied there and `first_n` tokens are all that matters, not all of their groups are needed.
fn reach_of_delegates(n: u32, first_n: bool, max_key: u32) -> Reach {
  let half = logit_of_key(max_key) * 0.5;
  let spare = min(n / 4u + 16u, max(n, ROOM) - n);
  clear_bins();
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    let key = delegates[first_group + group];
    if (key != 0u) {
      atomicAdd(&bins[bin_of_delegate(half, key, SCALE_OF_ONE) * 2u], 1u);
    }
  }
  scan_bins();
  let near = claim_bin(vec2(n, 0u));
  if (near.index == NOWHERE) {
    return Reach(1u, NOWHERE, vec2(0u)); // fewer groups than that: every token
  }
  var low = lowest_of_bin(near.index, max_key, SCALE_OF_ONE);
  if (near.before.x + uniform_word(bin_amount(near.index).x) <= n + spare) {
    return Reach(low, NOWHERE, vec2(0u));
  }
  // Many delegates lie as far: by keys, until few are left or all are tied.
  var high = max_key;
  var missing = n;
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
    let inside = uniform_word(bin_amount(at.index).x);
    high -= at.index << shift;
    low = max(low, high - min(high, (1u << shift) - 1u));
    missing -= at.before.x;
    if (inside <= missing + spare || (low == high && !first_n)) {
      return Reach(low, NOWHERE, vec2(0u));
    }
    if (low == high) {
      break;
    }
  }
  // Ids rise from tile to tile, so the first ties are enough.
  var low_tile = 0u;
  var high_tile = call.groups / LANES;
  while (high_tile - low_tile > 1u) {
    let middle = (low_tile + high_tile) / 2u;
    var count = 0u;
    for (var group = lid; group < middle * LANES; group += WORKGROUP_SIZE) {
      count += select(0u, 1u, delegates[first_group + group] == low);
    }
    if (uniform_word(scan(vec2(count, 0u)).x) >= missing) {
      high_tile = middle;
    } else {
      low_tile = middle;
    }
  }
  return Reach(low, high_tile, vec2(0u));
}

// Adds the masses of groups to the bins, by how far their delegates are. Returns the mass of the row.
fn fill_bins_of_groups(scale: f32) -> vec2<u32> {
  clear_bins();
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    add_to_bin(bin_of_delegate(half_max, delegates[first_group + group], scale), masses[first_group + group]);
  }
  return scan_bins();
}

// After fill_bins_of_groups(): what the groups that a nucleus most likely lies in reach. Those with the largest delegates
// whose mass is that of the nucleus would do if all of it were in tokens as large; so a part of the rest is added.
fn reach_of_nucleus(share: u32, mass: vec2<u32>, scale: f32, max_key: u32) -> Reach {
  let bin = claim_bin(mass_needed(share + (NOWHERE - share) / 8u, mass)).index;
  return Reach(lowest_of_bin(bin, max_key, scale), NOWHERE, vec2(0u));
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
    if (has_seen && (key > reach.low || (key == reach.low && group / LANES < reach.tiles))) {
      let slot = atomicAdd(&counter, 1u);
      if (slot < ROOM) {
        words[slot] = group;
      }
    }
  }
  workgroupBarrier();
  let count = uniform_word(atomicLoad(&counter));
  listed = true;
  span = select(1u, QUADS, count >= WORKGROUP_SIZE);
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

// Counts the tokens of a part, and leaves the extremes of their keys; in place of the masses of all groups, if asked, their counts.
fn measure(part: Part, leave_counts: bool) -> u32 {
  scale_of_ties = select(scale_of_ties, NO_TIES, leave_counts);
  var count = vec4(0u);
  var low = vec4(NOWHERE);
  var high = vec4(0u);
  for (var i = lid; i < run_count(); i += WORKGROUP_SIZE) {
    let run = run_at(i);
    var here = vec4(0u);
    if (run_has(run, part)) {
      for (var quad = run.first; quad < run.end; quad += LANES) {
        let keys = tokens_at(quad, run.whole, part).keys;
        here += min(keys, vec4(1u));
        low = min(low, keys - vec4(1u)); // 0 wraps to the largest
        high = max(high, keys);
      }
    }
    count += here;
    if (leave_counts) {
      masses[first_group + i] = vec2(dot(here, vec4(1u)), 0u);
    }
  }
  share_key_extremes(low, high);
  return uniform_word(scan(vec2(count.x + count.y + count.z + count.w, 0u)).x);
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

// Writes down the tokens of a part, in no order, and leaves the extremes of their keys. Returns how many there are; those
// beyond ROOM are left out.
fn gather(part: Part) -> u32 {
  workgroupBarrier();
  if (lid == 0u) {
    atomicStore(&counter, 0u);
  }
  workgroupBarrier();
  var low = vec4(NOWHERE);
  var high = vec4(0u);
  for (var i = lid; i < run_count(); i += WORKGROUP_SIZE) {
    let run = run_at(i);
    if (run_has(run, part)) {
      for (var quad = run.first; quad < run.end; quad += LANES) {
        let here = tokens_at(quad, run.whole, part);
        low = min(low, here.keys - vec4(1u)); // 0 wraps to the largest
        high = max(high, here.keys);
        write_down(here);
      }
    }
  }
  share_key_extremes(low, high);
  return uniform_word(atomicLoad(&counter));
}

// The weights of the first `count` entries.
fn weigh_entries(count: u32, scale: f32) {
  workgroupBarrier();
  for (var i = lid; i < count; i += WORKGROUP_SIZE) {
    words[i] = weight_of_key(half_max, key_of_entry(i), scale);
  }
  workgroupBarrier();
}

// Sum of what the mass kernel found.
fn row_mass() -> vec2<u32> {
  var amount = vec2(0u);
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    amount = add64(amount, masses[first_group + group]);
  }
  return scan(amount);
}

// ---- the cut ------------------------------------------------------------------------------------------------------

// How many of the first `count` sorted entries reach a key: at least one.
fn entries_reaching(key: u32, count: u32) -> u32 {
  var kept = 1u;
  var not_kept = count + 1u;
  while (not_kept - kept > 1u) {
    let middle = (kept + not_kept) / 2u;
    if (key_of_entry(middle - 1u) >= key) {
      kept = middle;
    } else {
      not_kept = middle;
    }
  }
  return uniform_word(kept);
}

// Adds a part's tokens, or their weights, to the bins: by distance, by key, or by id.
struct Binning {
  by: u32,
  start: u32, // the least distance, the largest key, or the first id
  shift: u32,
}
const BY_DISTANCE = 0u;
const BY_KEY = 1u;
const BY_ID = 2u;

fn fill_bins(part: Part, binning: Binning, weighted: bool, scale: f32) {
  clear_bins();
  for (var i = lid; i < run_count(); i += WORKGROUP_SIZE) {
    let run = run_at(i);
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

// Groups of a bin: whole tiles of LANES groups, since only those are consecutive tokens.
fn groups_of_bin() -> u32 {
  return ((call.groups + BINS - 1u) / BINS + LANES - 1u) / LANES * LANES;
}

// Adds the masses of the groups up in bins. Returns their sum.
fn bin_groups() -> vec2<u32> {
  clear_bins();
  let groups = groups_of_bin();
  for (var bin = lid; bin < BINS; bin += WORKGROUP_SIZE) {
    var amount = vec2(0u);
    for (var group = bin * groups; group < min((bin + 1u) * groups, call.groups); group++) {
      amount = add64(amount, masses[first_group + group]);
    }
    atomicStore(&bins[bin * 2u], amount.x);
    atomicStore(&bins[bin * 2u + 1u], amount.y);
  }
  return scan_bins();
}

// Writes down the groups of a bin, if there is room.
fn look_at_groups_of_bin(bin: u32) {
  let groups = groups_of_bin();
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

// The counts of a row's ties, which measure() has left, become masses.
fn weigh_ties(key: u32, scale: f32) {
  let weight = weight_of_key(half_max, key, scale);
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    masses[first_group + group] = mul32(masses[first_group + group].x, weight);
  }
  scale_of_ties = scale;
  storageBarrier();
}

// ---- a guess ------------------------------------------------------------------------------------------------------

const SAMPLE = 16u; // one group of so many is looked at
const MARGIN = 0.02; // of the mass, on both sides of the guess

// Where a cut may be.
struct Band {
  nearest: u32, // distance
  farthest: u32, // NOWHERE: no idea
}

fn mass_of_share(share: f32, mass: vec2<u32>) -> vec2<u32> {
  let exact = clamp(share, 0.0, 1.0) * (f32(mass.y) * 4294967296.0 + f32(mass.x));
  let high = floor(exact / 4294967296.0);
  return add64(vec2(u32(exact - high * 4294967296.0), u32(high)), vec2(1u, 0u));
}

// Guesses between which distances the running mass of a part reaches a share, from a sample of the groups. It may be wrong,
// and floats may differ: nothing depends on it but time.
fn guess_band(part: Part, share: f32, scale: f32) -> Band {
  for (var turn = 0u; turn < 2u; turn++) {
    // First how far the sample goes, then how its mass is spread.
    var farthest = 0u;
    if (turn == 1u) {
      farthest = uniform_word(atomicLoad(&largest));
      if (farthest == 0u) {
        break;
      }
      clear_bins();
    }
    let shift = shift_of(farthest);
    for (var i = lid; i < call.groups / SAMPLE; i += WORKGROUP_SIZE) {
      let run = run_at(i * SAMPLE + i % SAMPLE);
      if (!run_has(run, part)) {
        continue;
      }
      for (var quad = run.first; quad < run.end; quad += LANES) {
        let here = tokens_at(quad, run.whole, part);
        let counted = min(here.keys, vec4(1u));
        var away = distances(half_max, here.bits, scale) * counted;
        if (turn == 0u) {
          farthest = max(farthest, max(max(away.x, away.y), max(away.z, away.w)));
        } else {
          var weights = exp2fix(away) * counted;
          for (var lane = 0u; lane < 4u; lane++) {
            add_to_bin(away.x >> shift, vec2(weights.x, 0u));
            away = away.yzwx;
            weights = weights.yzwx;
          }
        }
      }
    }
    if (turn == 0u) {
      share_extremes(0u, farthest);
    } else {
      var band = Band(0u, MAX_DISTANCE);
      for (var side = 0u; side < 2u; side++) {
        let mass = scan_bins();
        let at = claim_bin(mass_of_share(share + select(-MARGIN, MARGIN, side == 1u), mass)).index;
        if (side == 0u) {
          band.nearest = at << shift;
        } else if (at != NOWHERE) {
          band.farthest = min(((at + 1u) << shift) - 1u, MAX_DISTANCE);
        }
      }
      return band;
    }
  }
  return Band(0u, NOWHERE);
}

// One of 64 bits, by which a group says that it has tokens in a bin.
fn bit_of_bin(bin: u32) -> vec2<u32> {
  let bit = 1u << (bin & 31u);
  return select(vec2(bit, 0u), vec2(0u, bit), (bin & 32u) != 0u);
}

// Adds the weights of a band's tokens to the bins. Returns what all in front of it weigh. In place of its mass each group
// leaves the bits of all bins that it has tokens in. The part begins with the row; tokens behind its end may count, which
// changes nothing in front of it, but groups below `floor_key` have none of it.
fn fill_bins_of_band(floor_key: u32, band: Band, shift: u32, scale: f32) -> vec2<u32> {
  clear_bins();
  scale_of_ties = NO_TIES;
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
      let is_nearer = away < vec4(band.nearest);
      let nearer = select(vec4(0u), weights, is_nearer);
      low += nearer;
      high += upper_halves(nearer);
      var in_band = !is_nearer & (away <= vec4(band.farthest)) & (weights != vec4(0u));
      while (any(in_band)) {
        let lane = first_lane(in_band);
        let bin = (away[lane] - band.nearest) >> shift;
        add_to_bin(bin, vec2(weights[lane], 0u));
        seen |= bit_of_bin(bin);
        in_band &= QUAD_LANES != vec4(lane);
      }
    }
    masses[first_group + i] = seen;
    before = add64(before, join_sums(low, high));
  }
  return scan(before);
}

// The first place in a part of the ordered row where the running sum reaches its target: a number of tokens, or, if
// weighted, a mass. The part's end if it is not reached. `share` is the target's of the whole part's mass, or 0 where nobody knows.
fn cut_where(whole: Part, weighted: bool, target_sum: vec2<u32>, share: f32, scale: f32, max_key: u32) -> Cut {
  var part = whole;
  var rest = target_sum;
  var guessed = false;
  var leave_counts = false;
  let from_front = uniform_word(u32(part.after.key == IN_FRONT.key)) != 0u;
  if (weighted && share > 0.0 && from_front && call.groups >= 16u * SAMPLE) {
    let band = guess_band(part, share, scale);
    // A sample that weighs nothing begins nowhere.
    if (band.farthest != NOWHERE && band.nearest <= band.farthest) {
      let shift = shift_of(band.farthest - band.nearest);
      let before = fill_bins_of_band(part.upto.key, band, shift, scale);
      guessed = uniform_word(u32(less64(before, rest))) != 0u;
      if (guessed) {
        rest = sub64(rest, before);
        scan_bins();
        let at = claim_bin(rest);
        guessed = at.index != NOWHERE;
        rest = select(add64(rest, before), sub64(rest, at.before), guessed);
        if (guessed) {
          let first = band.nearest + (at.index << shift);
          if (first > 0u) {
            part.after = looser(part.after, Cut(key_of_distance(max_key, first - 1u, scale), NO_TOKEN));
          }
          let last = min(first + ((1u << shift) - 1u), MAX_DISTANCE);
          part.upto = stricter(part.upto, Cut(key_of_distance(max_key, last, scale), NO_TOKEN));
          if (list_groups(Reach(part.upto.key, NOWHERE, bit_of_bin(at.index))) > ROOM) {
            look_at_all_groups();
          }
        }
      }
    }
  }
  var count = 0u;
  if (guessed) {
    count = gather(part);
  } else {
    leave_counts = weighted;
    count = measure(part, leave_counts);
  }
  while (count > ROOM) {
    // The part may end between keys that do not occur.
    let lowest = uniform_word(atomicLoad(&smallest));
    let highest = uniform_word(atomicLoad(&largest));
    if (lowest != part.upto.key) {
      part.upto = Cut(lowest, NO_TOKEN);
    }
    if (highest < part.after.key) {
      part.after = Cut(highest + 1u, NO_TOKEN);
    }
    let first_id = select(0u, part.after.id + 1u, part.after.key == highest);
    var binning = Binning(BY_KEY, highest, shift_of(highest - lowest));
    if (lowest == highest) {
      binning = Binning(BY_ID, first_id, shift_of(min(part.upto.id, call.vocab - 1u) - first_id));
    } else {
      // Distances spread better than keys, of which most lie around zero; in the end many keys can have one distance.
      let nearest = distance_of_key(half_max, highest, scale);
      let farthest = distance_of_key(half_max, lowest, scale);
      if (nearest != farthest) {
        binning = Binning(BY_DISTANCE, nearest, shift_of(farthest - nearest));
      }
    }
    // Where all are tied from the start, their number in each group is known.
    let by_group = leave_counts && lowest == highest;
    leave_counts = false;
    if (by_group) {
      weigh_ties(highest, scale);
      bin_groups();
    } else {
      fill_bins(part, binning, weighted, scale);
      scan_bins();
    }
    let at = claim_bin(rest);
    if (at.index == NOWHERE) {
      return whole.upto;
    }
    rest = sub64(rest, at.before);
    if (by_group) {
      look_at_groups_of_bin(at.index);
    }
    if (binning.by == BY_ID) {
      var first = first_id + (at.index << binning.shift);
      var last = first + ((1u << binning.shift) - 1u);
      if (by_group) {
        let tokens_of_bin = groups_of_bin() * QUADS * 4u;
        first = max(first_id, max(at.index * tokens_of_bin, row.lead) - row.lead);
        last = (at.index + 1u) * tokens_of_bin - row.lead - 1u;
      }
      if (first != 0u) {
        part.after = Cut(lowest, first - 1u);
      }
      part.upto.id = min(part.upto.id, last);
    } else {
      var high = highest - (at.index << binning.shift);
      var low = high - min(high, (1u << binning.shift) - 1u);
      if (binning.by == BY_DISTANCE) {
        high = highest;
        if (at.index > 0u) {
          high = key_of_distance(max_key, binning.start + (at.index << binning.shift) - 1u, scale) - 1u;
        }
        low = key_of_distance(max_key, binning.start + ((at.index + 1u) << binning.shift) - 1u, scale);
      }
      if (high < highest) {
        part.after = Cut(high + 1u, NO_TOKEN);
      }
      if (low > lowest) {
        part.upto = Cut(low, NO_TOKEN);
      }
    }
    count = gather(part);
    guessed = true;
  }
  if (!guessed) {
    gather(part);
  }
  if (weighted) {
    look_at_all_groups();
  }
  sort_entries(count);
  if (weighted) {
    weigh_entries(count, scale);
    scan_weights(count);
    let last = claim_weight(count, rest);
    rest.x = last.index + 1u;
  }
  if (rest.x == 0u || rest.x > count) {
    return whole.upto;
  }
  let last = entries[rest.x - 1u];
  return Cut(~last.x, last.y);
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

fn draw_weight(key: u32, scale: f32) -> u32 {
  return draw_weights(vec4(distance_of_key(half_max, key, scale))).x;
}

// Draws among the first `count` entries, in token-id order: the one whose running sum first exceeds the point.
fn draw_entry(count: u32, scale: f32, u: vec2<u32>) {
  workgroupBarrier();
  for (var i = lid; i < count; i += WORKGROUP_SIZE) {
    entries[i] = vec2(entries[i].y, draw_weight(key_of_entry(i), scale));
  }
  workgroupBarrier();
  sort_entries(count);
  for (var i = lid; i < count; i += WORKGROUP_SIZE) {
    words[i] = entries[i].y;
  }
  let total = scan_weights(count);
  let at = claim_weight(count, add64(draw_point(u, total), vec2(1u, 0u)));
  if (lid == 0u) {
    drawn = Drawn(entries[at.index].x, words[at.index], total);
  }
}

fn kept_weights(quad: u32, whole: bool, kept: Part, scale: f32) -> vec4<u32> {
  let bits = bits_at(quad, whole);
  let are_kept = in_part(keys_of(bits), ids_from(id_of(row, quad)), kept);
  return select(vec4(0u), draw_weights(distances(half_max, bits, scale)), are_kept);
}

// Adds up the weights of the tokens of a part, group by group. Where the part has the front of the row, what is nearer than
// its last token is of it, and only tokens as far as that one have to be looked at again.
fn weigh_groups(kept: Part, base_key: u32, scale: f32) {
  let in_front = kept.after.key == IN_FRONT.key;
  let end = distance_of_key(half_max, kept.upto.key, scale);
  let sure_end = select(0u, end, in_front);
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
    let first_id = id_of(row, quad_of(group, 0u));
    let last_id = id_of(row, quad_of(group, QUADS - 1u)) + 3u;
    let has_all = last_id <= kept.upto.id;
    let known = tied && delegate == kept.upto.key && (has_all || (first_id <= last_id && first_id > kept.upto.id));
    let quads = select(QUADS, 0u, known);
    var low = vec4(0u);
    var high = vec4(0u);
    if (delegate >= kept.upto.key && !(weightless && distance_of_key(half_max, min(delegate, base_key), scale) >= MAX_DISTANCE)) {
      var is_unsure = vec4(!in_front);
      for (var j = 0u; j < quads; j++) {
        let away = distances(half_max, bits_at(quad_of(group, j), whole), scale);
        let weights = select(vec4(0u), draw_weights(away), away < vec4(sure_end));
        low += weights;
        high += upper_halves(weights);
        is_unsure |= away == vec4(end);
      }
      if (any(is_unsure)) {
        for (var j = 0u; j < quads; j++) {
          let quad = quad_of(group, j);
          let is_sure = distances(half_max, bits_at(quad, whole), scale) < vec4(sure_end);
          let weights = select(kept_weights(quad, whole, kept, scale), vec4(0u), is_sure);
          low += weights;
          high += upper_halves(weights);
        }
      }
    }
    let at = first_group + group;
    masses[at] = select(join_sums(low, high), masses[at], known && has_all);
  }
  scale_of_ties = NO_TIES;
  storageBarrier();
}

// After bin_groups(): draws the token whose running sum first exceeds the point: first a run of groups, then a run of quads
// in it, then a token. In invocation 0, returns the running sum in front of the token.
fn draw_at(kept: Part, scale: f32, point: vec2<u32>, total: vec2<u32>) -> vec2<u32> {
  let goal = add64(point, vec2(1u, 0u)); // the running sum has to reach this
  let run = claim_bin(goal);
  var rest = sub64(goal, run.before);

  let quads = groups_of_bin() * QUADS;
  let first = run.index * quads;
  let stride = (quads + BINS - 1u) / BINS;
  clear_bins();
  for (var i = lid; i < quads; i += WORKGROUP_SIZE) {
    let weights = kept_weights(first + i, false, kept, scale);
    add_to_bin(i / stride, join_sums(weights, upper_halves(weights)));
  }
  scan_bins();
  let part = claim_bin(rest);
  rest = sub64(rest, part.before);
  if (lid == 0u) {
    var i = part.index * stride * 4u;
    loop {
      let quad = first + (i >> 2u);
      let weight = kept_weights(quad, false, kept, scale)[i & 3u];
      if (!less64(vec2(weight, 0u), rest)) {
        drawn = Drawn(id_of(row, quad) + (i & 3u), weight, total);
        break;
      }
      rest = sub64(rest, vec2(weight, 0u));
      i++;
    }
  }
  return sub64(goal, rest);
}

// Draws from the masses of the groups.
fn draw_group(kept: Part, scale: f32, u: vec2<u32>) {
  let total = bin_groups();
  draw_at(kept, scale, draw_point(u, total), total);
}

// The first token of the ordered row: the lowest id among the largest keys.
fn best(max_key: u32) {
  var first = NOWHERE;
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    if (delegates[first_group + group] == max_key) {
      first = group / LANES;
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
