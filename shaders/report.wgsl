// report: one workgroup a row, after draw and only where it is asked for. Leaves the integers that log probabilities, ranks
// and entropies are made of: masses, keys, counts. Twin: src/reference/report.ts.

// Requests, one for each row of the batch, then what they refer to. Twin: src/webgpu/outputs.ts.
@group(2) @binding(0) var<storage, read_write> reports: array<u32>;

override ENTROPIES: u32; // 1 if a row of the call is asked for its entropy

const REQUEST_WORDS = 8u;

const ASK_RANK = 1u;
const ASK_ENTROPY = 2u;
const MODE_RAW = 4u;
const MODE_KEPT = 8u;
const ADAPTED = 16u; // the draw weighed by something else than probability

// A request: flags; length of the list; first word and number of the chosen ids; first word and number of the drawn tokens;
// first word of the answer; scale of weights at temperature 1.
// The answer: key that distances are relative to, number of kept tokens, mass, information, kept and whole mass of two words
// each, length of the list; then rank and key of the drawn tokens, ids and keys of the list, keys of the chosen tokens. All 0
// before.
const AT_KEPT = 1u;
const AT_MASS = 2u;
const AT_INFORMATION = 4u;
const AT_KEPT_MASS = 6u;
const AT_WHOLE_MASS = 8u;
const AT_LISTED = 10u;
const AT_DRAWN = 11u;

struct Totals {
  mass: vec2<u32>, // of a part
  information: vec2<u32>,
  kept_mass: vec2<u32>,
  whole_mass: vec2<u32>,
  kept: u32,
}

// Adds up the weights of a part; for entropies also those of the kept tokens, which are counted, and of all.
fn survey(part: Part, kept: Part, scale: f32) -> Totals {
  var mass = vec2(0u);
  var information = vec2(0u);
  var kept_mass = vec2(0u);
  var whole_mass = vec2(0u);
  var count = vec4(0u);
  for (var i = lid; i < run_count(); i += WORKGROUP_SIZE) {
    let run = run_at(i);
    if (run.delegate == 0u) {
      continue;
    }
    var low = vec4(0u);
    var high = vec4(0u);
    var information_low = vec4(0u);
    var information_high = vec4(0u);
    var kept_low = vec4(0u);
    var kept_high = vec4(0u);
    var whole_low = vec4(0u);
    var whole_high = vec4(0u);
    for (var quad = run.first; quad < run.end; quad += LANES) {
      let bits = bits_at(quad, run.whole);
      let keys = keys_of(bits);
      let ids = ids_from(id_of(row, quad));
      let away = distances(half_max, bits, scale);
      let all_weights = exp2fix(away);
      let weights = select(vec4(0u), all_weights, in_part(keys, ids, part));
      low += weights;
      high += weights >> vec4(16u);
      if (ENTROPIES == 0u) {
        continue;
      }
      let informations = informations_of(weights, away, 0x80000u);
      information_low += informations;
      information_high += informations >> vec4(16u);
      let are_kept = in_part(keys, ids, kept);
      let kept_weights = select(vec4(0u), all_weights, are_kept);
      kept_low += kept_weights;
      kept_high += kept_weights >> vec4(16u);
      count += select(vec4(0u), vec4(1u), are_kept);
      whole_low += all_weights;
      whole_high += all_weights >> vec4(16u);
    }
    mass = add64(mass, join_sums(low, high));
    information = add64(information, join_sums(information_low, information_high));
    kept_mass = add64(kept_mass, join_sums(kept_low, kept_high));
    whole_mass = add64(whole_mass, join_sums(whole_low, whole_high));
  }
  if (ENTROPIES == 0u) {
    return Totals(scan(mass), vec2(0u), vec2(0u), vec2(0u), 0u);
  }
  let kept_count = scan(vec2(count.x + count.y + count.z + count.w, 0u)).x;
  return Totals(scan(mass), scan(information), scan(kept_mass), scan(whole_mass), kept_count);
}

var<private> listed_count: u32;

fn put_listed(list_at: u32, place: u32, id: u32, key: u32) {
  reports[list_at + 2u * place] = id;
  reports[list_at + 2u * place + 1u] = key;
}

// Writes down the first tokens of a part in order, and leaves in invocation 0 how many there are.
fn list_first(part: Part, top: u32, list_at: u32, max_key: u32) {
  if (top == 0u) {
    return;
  }
  // Where the part begins with the row, few groups have all of them, as delegates tell.
  if (uniform_word(part.after.key) == IN_FRONT.key) {
    let reach = reach_of_delegates(top, true, 0u, SCALE_OF_ONE, max_key);
    if (list_groups(reach) <= ROOM) {
      let count = write_down(Part(IN_FRONT, stricter(Cut(reach.low, NO_TOKEN), part.upto)));
      if (count <= ROOM) {
        sort_entries(count);
        listed_count = min(count, top);
        for (var i = lid; i < listed_count; i += WORKGROUP_SIZE) {
          put_listed(list_at, i, entries[i].y, key_of_entry(i));
        }
        return;
      }
    }
    look_at_all_groups();
  }
  var rest = part;
  for (var i = 0u; i < top; i++) {
    let first = first_of(rest);
    if (uniform_word(first.key) == 0u) {
      break;
    }
    if (lid == 0u) {
      put_listed(list_at, i, first.id, first.key);
    }
    listed_count = i + 1u;
    rest.after = first;
  }
}

fn key_at(id: u32) -> u32 {
  if (id >= call.vocab) {
    return 0u;
  }
  let place = id + row.lead;
  return keys_of(load_quad(row, place >> 2u))[place & 3u];
}

// The first token of a part; its key is 0 if there is none.
fn first_of(part: Part) -> Cut {
  var first = Cut(0u, NO_TOKEN);
  for (var i = lid; i < run_count(); i += WORKGROUP_SIZE) {
    let run = run_at(i);
    if (run.delegate < first.key || !run_has(run, part)) {
      continue;
    }
    for (var quad = run.first; quad < run.end; quad += LANES) {
      var here = tokens_at(quad, run.whole, part);
      for (var lane = 0u; lane < 4u; lane++) {
        if (here.keys.x > first.key || (here.keys.x == first.key && here.ids.x < first.id)) {
          first = Cut(here.keys.x, here.ids.x);
        }
        here.keys = here.keys.yzwx;
        here.ids = here.ids.yzwx;
      }
    }
  }
  share_extremes(0u, first.key);
  let key = uniform_word(atomicLoad(&largest));
  share_extremes(select(NO_TOKEN, first.id, first.key == key), 0u);
  return Cut(key, atomicLoad(&smallest));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn report_main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  lid = index;
  let row_index = workgroup_id.x;
  let record = call.first_row + row_index;
  enter_row(row_index);
  look_at_all_groups();
  let at = record * REQUEST_WORDS;
  let flags = uniform_word(reports[at]);
  let top = uniform_word(reports[at + 1u]);
  let first_chosen = reports[at + 2u];
  let chosen = uniform_word(reports[at + 3u]);
  let first_drawn = reports[at + 4u];
  let draws = uniform_word(reports[at + 5u]);
  let result = reports[at + 6u];
  let unit_scale = bitcast<f32>(reports[at + 7u]);
  let is_raw = (flags & MODE_RAW) != 0u;
  // Of processed logits, raw rows are told of in another dispatch, when the raw maximum has been found.
  let rereads = call.processed != 0u;
  // Whether this dispatch tells what the mode is about, and whether what was kept.
#if PROCESSED
  let tells = !is_raw;
  let weighs = (flags & ASK_ENTROPY) != 0u;
#else
  let tells = is_raw || !rereads;
  let weighs = (flags & ASK_ENTROPY) != 0u && !rereads;
#endif
  var key = records[record].max_key;
#if PROCESSED
#else
  if (rereads) {
    key = atomicLoad(&records[record].rising_key);
  }
#endif
  let max_key = uniform_word(key);
#if PROCESSED
#else
  if (rereads && lid == 0u) {
    atomicStore(&records[record].rising_key, 0u);
  }
#endif
  if (max_key == 0u || !(tells || weighs)) {
    return;
  }
  let is_greedy = uniform_word(bitcast<u32>(records[record].draw_scale)) == 0u;
  let draw_scale = select(records[record].draw_scale, unit_scale, is_greedy);
  let scale = select(draw_scale, unit_scale, is_raw);
  let kept = kept_part(record);
  var part = Part(IN_FRONT, LAST);
  let of_kept = (flags & MODE_KEPT) != 0u && !is_greedy;
  var base_key = max_key;
  if (of_kept) {
    part = kept;
    base_key = records[record].base_key;
  }
  let has_list = top + chosen > 0u;
  let asks_entropy = (flags & ASK_ENTROPY) != 0u;
  // The draw knows the mass of what it kept, unless it weighed by something else; and a greedy draw is certain.
  let needs_mass = select(has_list || (flags & MODE_KEPT) == 0u, has_list && (flags & ADAPTED) != 0u, of_kept);
  let adds_up = tells && (asks_entropy || needs_mass);
  // Once for the mode, once relative to the row's largest logit at the scale of the draw; often that is the same.
  let same = uniform_bool(base_key == max_key && scale == draw_scale);
  let once = adds_up && same;
  for (var round = 0u; round < 2u; round++) {
    let is_mode = round == 0u;
    if (select(weighs && !once, adds_up, is_mode)) {
      var summed = Part(IN_FRONT, LAST);
      half_max = logit_of_key(max_key) * 0.5;
      if (is_mode) {
        summed = part;
        half_max = logit_of_key(base_key) * 0.5;
      }
      let totals = survey(summed, kept, select(draw_scale, scale, is_mode));
      if (lid == 0u && is_mode) {
        reports[result + AT_MASS] = totals.mass.x;
        reports[result + AT_MASS + 1u] = totals.mass.y;
        if (asks_entropy) {
          reports[result + AT_INFORMATION] = totals.information.x;
          reports[result + AT_INFORMATION + 1u] = totals.information.y;
        }
      }
      if (lid == 0u && weighs && (!is_mode || once)) {
        reports[result + AT_KEPT] = totals.kept;
        reports[result + AT_KEPT_MASS] = totals.kept_mass.x;
        reports[result + AT_KEPT_MASS + 1u] = totals.kept_mass.y;
        reports[result + AT_WHOLE_MASS] = totals.whole_mass.x;
        reports[result + AT_WHOLE_MASS + 1u] = totals.whole_mass.y;
      }
    }
  }
  if (!tells) {
    return;
  }
  if (lid == 0u) {
    reports[result] = base_key;
  }

  let asks_rank = (flags & ASK_RANK) != 0u;
  for (var i = 0u; i < draws; i++) {
    let token = reports[first_drawn + i];
    let token_key = key_at(token);
    var rank = 0u;
    if (asks_rank) {
      // A token that is no candidate has all of them in front.
      var upto = LAST;
      if (token_key != 0u) {
        upto = Cut(token_key, token);
      }
      rank = look_at(Part(IN_FRONT, upto), false) + select(0u, 1u, token_key == 0u);
    }
    if (lid == 0u) {
      let place = result + AT_DRAWN + 2u * i;
      reports[place] = select(rank, 0u, token == NO_TOKEN);
      reports[place + 1u] = token_key;
    }
  }

  let list_at = result + AT_DRAWN + 2u * draws;
  for (var i = lid; i < chosen; i += WORKGROUP_SIZE) {
    let id = reports[first_chosen + i];
    let chosen_key = key_at(id);
    let has = in_part(vec4(chosen_key), vec4(id), part).x;
    reports[list_at + 2u * top + i] = select(0u, chosen_key, has);
  }
  list_first(part, top, list_at, max_key);
  if (lid == 0u) {
    reports[result + AT_LISTED] = listed_count;
  }
}
