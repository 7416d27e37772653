// Which groups of a row are worth looking at, by their largest tokens, and how their tokens are shared out among invocations.

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
  mass: vec2<u32>, // of the row, where the groups were looked for by mass
}

// What is counted in bins, or weighed: by its distance, its key, its id; a group by its delegate, or by its tile.
const BY_DISTANCE = 0u;
const BY_KEY = 1u;
const BY_ID = 2u;
const BY_TILE = 3u;

const FAR_BITS = 25u - BIN_BITS; // MAX_DISTANCE is 2^25

// Where the tokens lie that matter. Either the first n: the n-th largest delegate is a lower bound of the n-th largest token,
// and a little less saves time. Where several groups are counted as one, by the largest of their delegates, it still is one.
// If many delegates are tied there and `first_n` tokens are all that matters, not all of their groups are needed. Or, if n is 0,
// most likely a nucleus: the groups with the largest delegates whose mass is that of the nucleus would do if all of it were in
// tokens as large; so a part of the rest is added.
fn reach_of_delegates(n: u32, first_n: bool, share: u32, scale: f32, max_key: u32) -> Reach {
  let half = logit_of_key(max_key) * 0.5;
  var count = call.groups;
  if (n != 0u) {
    count = min(count, max(count >> 3u, 4u * n));
  }
  let spare = min(n / 4u + 16u, max(n, ROOM) - n);
  var reach = Reach(1u, NOWHERE, vec2(0u));
  var by = BY_DISTANCE;
  var high = max_key;
  var low = LOWEST_KEY;
  var missing = n;
  var shift = 0u;
  loop {
    clear_bins();
    for (var i = lid; i < count; i += WORKGROUP_SIZE) {
      var key = 0u;
      for (var group = i; group < call.groups; group += count) {
        key = max(key, delegates[first_group + group]);
      }
      if (key >= low && key <= high) {
        var bin = select(high - key, tile_of(i), by == BY_TILE) >> shift;
        if (by == BY_DISTANCE) {
          bin = min(distance_of_key(half, key, scale) >> FAR_BITS, BINS - 1u);
        }
        add_to_bin(bin, select(vec2(1u, 0u), masses[first_mass + i], n == 0u));
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
      if (low == high) {
        by = BY_TILE;
        count = call.groups; // each for itself: no fewer of them are tied
      }
    }
    shift = shift_of(select(high - low, (call.groups >> LANE_BITS) - 1u, by == BY_TILE));
  }
  return reach;
}

// Writes down the groups that have such tokens. Returns how many there are; those beyond ROOM are left out.
fn list_groups(reach: Reach) -> u32 {
  reset_counter();
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    let key = delegates[first_group + group];
    if (key > reach.low || (key == reach.low && tile_of(group) < reach.tiles)) {
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
