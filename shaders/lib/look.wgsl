// Reading tokens again, of the groups that are looked at: counting those of a part of the row, and writing them down.

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
