// Reading tokens again, of the groups that are looked at: counting those of a part of the row, and writing them down.

// Whether a run may have tokens of a part.
fn run_has(run: Run, part: Part) -> bool {
  let first = id_of(row, run.first);
  let last = id_of(row, run.end - LANES) + 3u; // first > last where the row begins inside the first quad
  let ties = part.after.key == part.upto.key;
  let ids_have = first > last || (first <= part.upto.id && (!ties || last > part.after.id));
  return run.delegate > part.upto.key || (run.delegate == part.upto.key && ids_have);
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

// Looks at the tokens of a part. Returns how many there are, and leaves the extremes of their keys. If `leaves_counts`, of all
// groups, their number takes the place of the mass of their group.
fn look_at(part: Part, leaves_counts: bool) -> u32 {
  if (leaves_counts) {
    forget_masses();
  }
  reset_counter();
  var count = 0u;
  var low = 0x7fffffff; // of keys less one, in order: 0 is the largest
  var high = -0x7fffffff - 1; // of keys
  let runs = run_count();
  for (var i = lid; i < runs; i += WORKGROUP_SIZE) {
    let run = run_at(i);
    var in_run = 0u;
    if (run_has(run, part)) {
      for (var quad = run.first; quad < run.end; quad += LANES) {
        let keys = tokens_at(quad, run.whole, part).keys;
        // Quad by quad down to one number each, as in max.
        in_run += dot(select(vec4(1u), vec4(0u), keys == vec4(0u)), vec4(1u));
        let less_one = ordered(keys - vec4(1u));
        low = min(low, min(min(less_one.x, less_one.y), min(less_one.z, less_one.w)));
        let order = ordered(keys);
        high = max(high, max(max(order.x, order.y), max(order.z, order.w)));
      }
    }
    count += in_run;
    if (leaves_counts) {
      masses[first_mass + i] = vec2(in_run, 0u);
    }
  }
  atomicAdd(&counter, count);
  let none = low == 0x7fffffff;
  share_extremes(select((bitcast<u32>(low) ^ 0x80000000u) + 1u, NOWHERE, none), bitcast<u32>(high) ^ 0x80000000u);
  return uniform_word(atomicLoad(&counter));
}

// Writes down the tokens of a part, in no order. Returns how many there are; those beyond ROOM are left out.
fn write_down(part: Part) -> u32 {
  reset_counter();
  let runs = run_count();
  for (var i = lid; i < runs; i += WORKGROUP_SIZE) {
    let run = run_at(i);
    if (run_has(run, part)) {
      for (var quad = run.first; quad < run.end; quad += LANES) {
        let these = tokens_at(quad, run.whole, part);
        var left = these.keys != vec4(0u);
        while (any(left)) {
          let lane = first_lane(left);
          write_entry(these.keys[lane], these.ids[lane]);
          left &= QUAD_LANES != vec4(lane);
        }
      }
    }
  }
  workgroupBarrier();
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
