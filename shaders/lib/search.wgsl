// Looking for a place in the ordered row: where a number of tokens is reached, or a mass. Twin: src/reference/cut.ts.
//
// To count tokens is to weigh all of them as if they lay at no distance: who weighs by distance does so by its bits in `weighing`.

// What a turn of the search looks at.
const BAND = 0u; // a band of distances, in which the place most likely lies, and whose tokens are marked on the way
const MARKED = 1u; // what is left of the band
const EXACT = 2u; // what is left of the part

// Bins 1 and on for distances from a first one on.
fn binning_behind(nearest: u32, width: u32) -> Binning {
  let shift = shift_of(width + (width >> 6u));
  return Binning(BY_DISTANCE, nearest - (1u << shift), shift);
}

// A place in a part of the ordered row: where the running sum reaches a number of tokens, or, if weighted, a mass.
struct Target {
  sum: vec2<u32>, // 0: none is looked for
  weighted: bool,
  share: f32, // of the mass of the part, where that begins with the row and somebody knows; of tokens 1, where a guess pays; else 0
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
  let weighing = select(0u, 0xffffffffu, weighted);
  var part = whole;
  var rest = place.sum;
  if (!weighted) {
    rest = mul32(place.sum.x, WEIGHT_ONE);
  }
  var writes = few;
  var is_whole_part = true;
  var turn = EXACT;
  var leaves_counts = false; // of the part's tokens, in place of masses
  var count = 0u;
  var binning = Binning(BY_DISTANCE, 0u, 0u);
  if (place.share > 0.0 && call.groups >= 256u) {
    if (guess_band(part, place.share, rest, scale, weighing)) {
      binning = binning_behind(band.begin, band.end - band.begin);
      turn = BAND;
    }
  }
  loop {
    var lowest = 0u;
    var highest = 0u;
    if (turn == EXACT) {
      if (writes) {
        count = write_down(part);
        if (count <= ROOM || !narrows) {
          break;
        }
      }
      leaves_counts = weighted && is_whole_part && !writes;
      count = look_at(part, leaves_counts);
      if (count <= ROOM || !narrows) {
        if (count > ROOM) {
          break;
        }
        writes = true;
        continue;
      }
      lowest = uniform_word(atomicLoad(&smallest));
      highest = uniform_word(atomicLoad(&largest));
      // Distances spread better than keys, of which most lie around zero; in the end many keys can have one distance.
      let nearest = distance_of_key(half_max, highest, scale);
      let farthest = distance_of_key(half_max, lowest, scale);
      binning = Binning(BY_DISTANCE, nearest, shift_of(farthest - nearest));
      // The part may begin and end at keys that do not occur. Where it ends at an id, its key does.
      part.upto.key = lowest;
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

    // Where all are tied from the start, their number in each group is known.
    let by_group = leaves_counts && lowest == highest;
    clear_bins();
    if (turn == BAND || turn == MARKED) {
      if (turn == BAND) {
        add_to_bin(0u, mark_band(part.upto.key));
      }
      fill_bins_of_band(binning.shift);
    } else if (by_group) {
      weigh_ties(highest, scale);
      fill_bins_of_groups();
    } else {
      fill_bins(part, binning, weighing, scale);
    }
    scan_bins();
    let at = claim_bin(rest);
    if (turn == BAND && (at.index == 0u || at.index == NOWHERE)) {
      band.scale = NO_SCALE; // a wrong guess
      turn = EXACT;
      continue;
    }
    if (at.index == NOWHERE) {
      count = 0u;
      break;
    }
    is_whole_part = false;
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
    // So many that they surely cannot be written down are counted first. None weighs more than the nearest.
    let nearest_one = select(distance_of_key(half_max, highest, scale), first, binning.by == BY_DISTANCE);
    let most = mul32(weight_of(nearest_one & weighing), ROOM);
    writes = uniform_bool(!less64(most, bin_amount(at.index)));
    if (turn == BAND || turn == MARKED) {
      count = narrow_band(first, last + 1u, part);
      if (count <= ROOM) {
        break;
      }
      if (uniform_word(binning.shift) > 0u) {
        binning = binning_behind(first, 1u << binning.shift);
        turn = MARKED;
        continue;
      }
    }
    turn = EXACT;
  }
  if (weighted) {
    look_at_all_groups();
  }
  if (count <= ROOM) {
    sort_entries(count);
  }
  if (!weighted) {
    rest = vec2((rest.y << 1u) | (rest.x >> 31u), 0u); // in tokens again
  }
  return Around(count, rest);
}
