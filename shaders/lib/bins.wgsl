// Tokens, groups and written-down tokens in bins: by distance, by key, or by id, counted or weighed.

// By what tokens are sorted into bins.
struct Binning {
  by: u32, // distance, key or id
  start: u32, // the least distance, the largest key, or the first id
  shift: u32,
}

// Adds what a part's tokens weigh to the bins.
fn fill_bins(part: Part, binning: Binning, weighing: u32, scale: f32) {
  let runs = run_count();
  for (var i = lid; i < runs; i += WORKGROUP_SIZE) {
    let run = run_at(i);
    if (!run_has(run, part)) {
      continue;
    }
    if (binning.by == BY_ID) {
      add_ids(run, part, binning, weighing, scale);
      continue;
    }
    for (var quad = run.first; quad < run.end; quad += LANES) {
      let here = tokens_at(quad, run.whole, part);
      if (any(here.keys != vec4(0u))) {
        add_keys(here, binning, weighing, scale);
      }
    }
  }
}

fn add_keys(these: Tokens, binning: Binning, weighing: u32, scale: f32) {
  let away = distances(half_max, these.bits, scale);
  var amounts = select(vec4(0u), exp2fix(away & vec4(weighing)), these.keys != vec4(0u));
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
fn add_ids(run: Run, part: Part, binning: Binning, weighing: u32, scale: f32) {
  let weight = weight_of(distance_of_key(half_max, part.upto.key, scale) & weighing);
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
      amount = add64(amount, masses[first_mass + group]);
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
    masses[first_mass + group] = mul32(masses[first_mass + group].x, weight);
  }
  scale_of_ties = scale;
  storageBarrier();
}
