// The band: the tokens of a row between two distances, where a search most likely finds its place. A group's mass becomes that of
// its tokens in front of the band, and its tokens in the band are marked, so that they can be gone through without the others.

struct Band {
  begin: u32, // distances
  end: u32,
  scale: f32, // NO_SCALE: there is no band
  weighing: u32, // see search.wgsl
}

// At first it ends where it begins. Deno 2.9 does not compile a struct that it begins with, beside overrides.
var<private> band: Band;

// How many standard deviations the band has on both sides of the guess.
const DEVIATIONS = 3.0;

// As far as tokens of a nucleus can lie from the largest: if all tokens lay there they would weigh no more than what it leaves out.
fn reach_of_nucleus(left_out: f32) -> u32 {
  let octaves = log2(f32(call.vocab) * 2147483648.0 / max(left_out, 1.0));
  return min(u32(max(octaves, 0.0) * 1048576.0) + 65536u, MAX_DISTANCE);
}

// About what the tokens of a sample weigh, of one group in 2^sampling, in bins by distance: all of a bin as much as one in its middle.
fn fill_bins_of_sample(sampling: u32, begin: u32, shift: u32, last: u32, scale: f32, weighing: u32) {
  let count = call.groups >> sampling;
  for (var i = lid; i < count; i += WORKGROUP_SIZE) {
    let group = (i << sampling) + (i & ((1u << sampling) - 1u));
    let whole = is_whole(row, group);
    for (var j = 0u; j < QUADS; j++) {
      let away = distances(half_max, bits_at(quad_of(group, j), whole), scale);
      // What lies in front wraps round, and so lies behind the last bin.
      var bin = select((away - vec4(begin)) >> vec4(shift), vec4(BINS), away > vec4(last));
      for (var lane = 0u; lane < 4u; lane++) {
        if (bin.x < BINS) {
          atomicAdd(&bins[bin.x * 2u], 1u);
        }
        bin = bin.yzwx;
      }
    }
  }
  workgroupBarrier();
  for (var bin = lid; bin < BINS; bin += WORKGROUP_SIZE) {
    let weight = weight_of(min(begin + (bin << shift) + ((1u << shift) >> 1u), MAX_DISTANCE) & weighing);
    let mass = mul32(atomicLoad(&bins[bin * 2u]), weight);
    atomicStore(&bins[bin * 2u], mass.x);
    atomicStore(&bins[bin * 2u + 1u], mass.y);
  }
}

// Lays the band where a nucleus most likely ends, or a number of tokens, by a sample: first in bins from the largest token on, then in
// bins of those bins. Returns false if the sample weighs nothing, or if so many tokens lie there that little would be spared.
//
// What a nucleus leaves out is known, and all of it are small weights, of which a sample tells more than of the few large ones in front.
// No single one weighs more than w, what a token at the end does, so the sample's part of it, L, has a variance of w · L at most. A number
// of tokens is known itself, and its part of the sample varies by no more than w times itself.
fn guess_band(part: Part, share: f32, needed: vec2<u32>, scale: f32, weighing: u32) -> bool {
  let counts = weighing == 0u;
  let last = distance_of_key(half_max, part.upto.key, scale);
  let sampling = 31u - countLeadingZeros(max(call.groups / 96u, 1u)); // 96 to 191 groups
  let fraction = f32(call.groups >> sampling) / f32(call.groups);
  let left_out = f32_of(needed) * (1.0 - share) / share;
  var left_out_here = left_out * fraction;
  var begin = 0u;
  // One for all invocations, however they round.
  var end = uniform_word(select(reach_of_nucleus(left_out), MAX_DISTANCE, counts));
  var sampled = vec2(0u); // mass of the sample
  var in_front = vec2(0u); // of that, in front of the bins
  var inside = vec2(0u); // of that, in the band
  var margin = 0.0;
  for (var round = 0u; round < 2u; round++) {
    let shift = shift_of(end - begin - 1u);
    clear_bins();
    fill_bins_of_sample(sampling, begin, shift, last, scale, weighing);
    let mass = scan_bins();
    if (round == 0u) {
      sampled = mass;
      if (counts) {
        left_out_here = max(f32_of(sampled) - f32_of(needed) * fraction, 0.0);
      }
    }
    var from_bin = Found(0u, vec2(0u));
    var to_bin = from_bin;
    // First where the nucleus ends, to know how much a token weighs there.
    for (var side = select(0u, 1u, round != 0u); side < 3u; side++) {
      let behind = u64_of(max(left_out_here + select(-margin, margin, side == 1u), 0.0));
      let goal = add64(sub64(sampled, select(sampled, behind, less64(behind, sampled))), vec2(1u, 0u));
      from_bin = to_bin;
      forget_found();
      to_bin = claim_bin(sub64(goal, in_front));
      if (side == 0u) {
        let weight = weight_of(min(to_bin.index << shift, MAX_DISTANCE) & weighing);
        let varies = select(left_out_here, f32_of(needed) * fraction, counts);
        margin = DEVIATIONS * sqrt(f32(weight) * varies);
      }
    }
    if (from_bin.index == NOWHERE) {
      return false;
    }
    let has_end = to_bin.index != NOWHERE;
    let last_bin = select(BINS - 1u, to_bin.index, has_end);
    inside = sub64(select(mass, add64(to_bin.before, bin_amount(last_bin)), has_end), from_bin.before);
    in_front = add64(in_front, from_bin.before);
    end = begin + ((last_bin + 1u) << shift);
    begin += from_bin.index << shift;
  }
  let few = mul32((call.groups >> sampling) * QUADS / 2u, weight_of(begin & weighing)); // an eighth of the sample's tokens
  if (!uniform_bool(less64(inside, few))) {
    return false;
  }
  band = Band(begin, min(end, MAX_DISTANCE), scale, weighing);
  return true;
}

// The masses are none that somebody could use later.
fn forget_masses() {
  scale_of_ties = NO_SCALE;
  band.scale = NO_SCALE;
}

// A group has 64 marks, 16 for each lane of its quads: of lanes 0 and 1 in the first word, of 2 and 3 in the second.
override QUADS_OF_MARK: u32 = max(QUADS, 16u) / 16u;

// Finds the masses in front of the band and the marks; groups below `floor_key` have neither. Returns the sum of the masses.
fn mark_band(floor_key: u32) -> vec2<u32> {
  scale_of_ties = NO_SCALE;
  let begin = vec4(bitcast<i32>(band.begin));
  let end = vec4(bitcast<i32>(band.end));
  var sum = vec2(0u);
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    var mass = vec2(0u);
    var marks = vec4(0u);
    if (delegates[first_group + group] >= floor_key) {
      let first_quad = quad_of(group, 0u);
      let whole = is_whole(row, group);
      var sums = Halves();
      var mark = 1u;
      for (var j = 0u; j < QUADS; j++) {
        let away = distances(half_max, bits_at(first_quad + j * LANES, whole), band.scale);
        let is_in_front = bitcast<vec4<i32>>(away) < begin;
        sums = add_weights(sums, select(vec4(MAX_DISTANCE), away & vec4(band.weighing), is_in_front), call.zero);
        marks |= select(vec4(mark), vec4(0u), is_in_front | (bitcast<vec4<i32>>(away) >= end));
        mark *= select(1u, 2u, ((j + 1u) & (QUADS_OF_MARK - 1u)) == 0u);
      }
      mass = join_halves(sums, QUADS * 4u);
    }
    masses[first_mass + group] = mass;
    masses[first_mass + call.groups + group] = marks.xz + marks.yw * 65536u;
    sum = add64(sum, mass);
  }
  return sum;
}

// Going through the marked tokens of a group.
struct Marks {
  left: vec2<u32>,
  done: u32, // tokens that the first mark stands for and that have been gone through
}

fn marks_of(group: u32) -> Marks {
  return Marks(masses[first_mass + call.groups + group], 0u);
}

fn has_marks(marks: Marks) -> bool {
  return (marks.left.x | marks.left.y) != 0u;
}

fn first_mark(marks: Marks) -> vec2<u32> {
  let lowest = marks.left & (vec2(0u) - marks.left);
  return vec2(lowest.x, select(0u, lowest.y, lowest.x == 0u));
}

fn next_mark(marks: Marks) -> Marks {
  if (marks.done + 1u < QUADS_OF_MARK) {
    return Marks(marks.left, marks.done + 1u);
  }
  return Marks(marks.left ^ first_mark(marks), 0u);
}

// Where the token lies. A float's exponent is a bit's place; to count zeros takes SwiftShader five rounds of shifts.
fn place_of_mark(marks: Marks, group: u32) -> u32 {
  let first = first_mark(marks);
  let bit = (bitcast<u32>(f32(first.x | first.y)) >> 23u) - 127u;
  let lane = select(0u, 1u, bit >= 16u) + select(0u, 2u, first.x == 0u);
  return quad_of(group, (bit & 15u) * QUADS_OF_MARK + marks.done) * 4u + lane;
}

// Adds the weights of the band's tokens to the bins, from bin 1 on, which begins where the band does.
fn fill_bins_of_band(shift: u32) {
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    for (var marks = marks_of(group); has_marks(marks); marks = next_mark(marks)) {
      let away = distance_of(half_max, load_token(row, place_of_mark(marks, group)), band.scale);
      if (away >= band.begin && away < band.end) {
        add_to_bin(((away - band.begin) >> shift) + 1u, vec2(weight_of(away & band.weighing), 0u));
      }
    }
  }
}

// Narrows the band down to a bin of it, and writes down its tokens of a part. Returns how many there are; those beyond ROOM are
// left out. The last bin may reach further than the band, where no token has a mark.
fn narrow_band(begin: u32, end_of_bin: u32, part: Part) -> u32 {
  let end = min(end_of_bin, band.end);
  reset_counter();
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    var mass = masses[first_mass + group];
    var left = vec2(0u);
    for (var marks = marks_of(group); has_marks(marks); marks = next_mark(marks)) {
      let away = distance_of(half_max, load_token(row, place_of_mark(marks, group)), band.scale);
      let joins = away >= band.begin && away < begin;
      mass = add64(mass, vec2(select(0u, weight_of(away), joins), 0u));
      left |= select(vec2(0u), first_mark(marks), away >= begin && away < end);
    }
    masses[first_mass + group] = mass;
    masses[first_mass + call.groups + group] = left;
    for (var marks = Marks(left, 0u); has_marks(marks); marks = next_mark(marks)) {
      let place = place_of_mark(marks, group);
      let key = keys_of(vec4(load_token(row, place))).x;
      let id = place - row.lead;
      if (in_part(vec4(key), vec4(id), part).x) {
        write_entry(key, id);
      }
    }
  }
  band.begin = begin;
  band.end = end;
  workgroupBarrier();
  return uniform_word(atomicLoad(&counter));
}

// Whether the masses of a part that begins with the row are those in front of the band and what it has of the band. It is
// no longer than the part in which the band was looked for: the groups behind that have no masses.
fn ends_in_band(part: Part, scale: f32) -> bool {
  let end = distance_of_key(half_max, part.upto.key, scale);
  return band.scale == scale && band.weighing != 0u && part.after.key == IN_FRONT.key && end >= band.begin && end < band.end;
}

// Adds to the masses what the part has of the band.
fn weigh_band(part: Part) {
  for (var group = lid; group < call.groups; group += WORKGROUP_SIZE) {
    var mass = masses[first_mass + group];
    for (var marks = marks_of(group); has_marks(marks); marks = next_mark(marks)) {
      let place = place_of_mark(marks, group);
      let bits = load_token(row, place);
      let away = distance_of(half_max, bits, band.scale);
      let is_kept = away >= band.begin && up_to(keys_of(vec4(bits)), vec4(place - row.lead), part.upto).x;
      mass = add64(mass, vec2(select(0u, weight_of(away), is_kept), 0u));
    }
    masses[first_mass + group] = mass;
  }
}
