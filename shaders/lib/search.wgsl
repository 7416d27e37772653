// Looking for a place in the ordered row: where a number of tokens is reached, or a mass. Twin: src/reference/cut.ts.

// On both sides of the guess, of the mass that the nucleus leaves out: in rows that are not peaked, where a sample ends differs from where
// the row does in proportion to that. More than three standard deviations.
const MARGIN = 0.1;

fn mass_of_share(share: f32, mass: vec2<u32>) -> vec2<u32> {
  let exact = share * (f32(mass.y) * 4294967296.0 + f32(mass.x));
  let high = floor(exact / 4294967296.0);
  return add64(vec2(u32(exact - high * 4294967296.0), u32(high)), vec2(1u, 0u));
}

// What a turn of the search looks at.
const GUESS = 0u; // a sample of the groups, to find a band of distances in which the place most likely lies
const BAND = 1u; // all groups, but only that band of distances, whose tokens are marked
const MARKED = 2u; // what is left of the band
const EXACT = 3u; // what is left of the part

// Bins 1 and on for distances from a first one on.
fn binning_behind(nearest: u32, width: u32) -> Binning {
  let shift = shift_of(width + (width >> 6u));
  return Binning(BY_DISTANCE, nearest - (1u << shift), shift);
}

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
  var writes = few;
  var turn = select(EXACT, GUESS, weighted && place.share > 0.0 && call.groups >= 256u);
  var leaves_counts = false; // of the part's tokens, in place of masses
  var count = 0u;
  var binning = Binning(BY_DISTANCE, 0u, 0u);
  loop {
    var lowest = 0u;
    var highest = 0u;
    if (turn == GUESS || turn == EXACT) {
      if (writes) {
        count = write_down(part);
        if (count <= ROOM || !narrows) {
          break;
        }
      }
      leaves_counts = turn == EXACT && weighted && !writes;
      count = look_at(part, select(select(COUNT, LEAVE_COUNTS, leaves_counts), SAMPLE, turn == GUESS));
      if (turn == EXACT && (count <= ROOM || !narrows)) {
        if (count > ROOM) {
          break;
        }
        writes = true;
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
    }

    // Where all are tied from the start, their number in each group is known.
    let by_group = leaves_counts && lowest == highest;
    clear_bins();
    if (turn == BAND || turn == MARKED) {
      if (turn == BAND) {
        let end = min(binning.start + ((BINS - 1u) << binning.shift), MAX_DISTANCE);
        band = Band(binning.start + (1u << binning.shift), end, scale);
        add_to_bin(0u, mark_band(part.upto.key));
      }
      fill_bins_of_band(binning.shift);
    } else if (by_group) {
      weigh_ties(highest, scale);
      fill_bins_of_groups();
    } else {
      fill_bins(part, binning, weighted, scale, select(0u, bits_of_sample(), turn == GUESS));
    }
    let mass = scan_bins();
    // The place lies in one bin; what is guessed lies between two.
    var from_bin = 0u;
    var at = Found(0u, vec2(0u));
    for (var side = select(1u, 0u, turn == GUESS); side < 2u; side++) {
      var goal = rest;
      if (turn == GUESS) {
        goal = mass_of_share(clamp(place.share + select(MARGIN, -MARGIN, side == 0u) * (1.0 - place.share), 0.0, 1.0), mass);
      }
      from_bin = at.index;
      at = claim_bin(goal);
    }

    if (turn == GUESS) {
      turn = select(BAND, EXACT, from_bin == NOWHERE); // a sample that weighs nothing begins nowhere
      let to_bin = min(at.index, BINS - 1u);
      let nearest = binning.start + (from_bin << binning.shift);
      binning = binning_behind(nearest, (to_bin - from_bin + 1u) << binning.shift);
      continue;
    }
    if (turn == BAND && (at.index == 0u || at.index == NOWHERE)) {
      band.scale = NO_SCALE; // a wrong guess
      turn = EXACT;
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
    writes = weighted || uniform_word(bin_amount(at.index).x) <= ROOM;
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
  return Around(count, rest);
}
