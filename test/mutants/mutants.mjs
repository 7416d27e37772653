import { readFileSync } from "node:fs";

/**
 * The faults that `npm run mutants` plants, one at a time. Each is the replacement of a text that occurs exactly once in
 * its file. `equivalent` says why nothing can tell the mutant from the original.
 *
 * @typedef {{ name: string, file: string, search: string, replace: string, equivalent?: string }} Mutant
 */

/** Mutants of one file, or of the one of several that has the text. */
const of = (files, ...list) =>
  list.map(([name, search, replace, equivalent]) => {
    const file = [files].flat().find((each) => readFileSync(each, "utf8").includes(search)) ?? [files].flat()[0];
    return { name, file, search, replace, equivalent };
  });

/** @type {readonly Mutant[]} */
export const mutants = [
  ...of(
    "shaders/lib/int64.wgsl",
    ["add64: dropped carry", "a.y + b.y + select(0u, 1u, low < a.x)", "a.y + b.y"],
    ["sub64: dropped borrow", "a.y - b.y - select(0u, 1u, a.x < b.x)", "a.y - b.y"],
    ["less64: equal counts as less", "(a.y == b.y && a.x < b.x)", "(a.y == b.y && a.x <= b.x)"],
    ["less64: the low word decides", "return a.y < b.y || (a.y == b.y && a.x < b.x);", "return a.x < b.x;"],
    ["mul32: a partial product is left out", "a1 * b1 + (cross >> 16u) + (carry >> 16u)", "a1 * b1 + (cross >> 16u)"],
  ),
  ...of(
    "shaders/lib/keys.wgsl",
    ["negative floats are not turned over", "(sign | vec4(0x80000000u))", "vec4(0x80000000u)"],
    ["+inf is above the largest float", "min(raw, vec4(0xfffffffeu))", "raw"],
    ["-0 is below +0", "select(keys, vec4(0x807fffffu), keys == vec4(0x807ffffeu))", "keys"],
    ["the lowest float cannot be sampled", "keys >= vec4(LOWEST_KEY)", "keys > vec4(LOWEST_KEY)"],
    ["up_to: the cut itself is left out", "(ids <= vec4(cut.id))", "(ids < vec4(cut.id))"],
    ["up_to: ties in the wrong order", "(ids <= vec4(cut.id))", "(ids >= vec4(cut.id))"],
    ["all lanes have the first id", "vec4(id) + vec4(0u, 1u, 2u, 3u)", "vec4(id)"],
    [
      "part: what lies before it counts",
      "up_to(keys, ids, part.upto) & !up_to(keys, ids, part.after)",
      "up_to(keys, ids, part.upto)",
    ],
  ),
  ...of(
    "shaders/lib/logits.wgsl",
    ["groups do not alternate", "(group / LANES * QUADS + j) * LANES + group % LANES", "group * QUADS + j"],
    ["what lies behind the row is read", "ids < vec4(call.vocab)", "ids < vec4(call.vocab + 1u)"],
    ["a row's last token is not read", "ids < vec4(call.vocab)", "ids < vec4(call.vocab - 1u)"],
    ["a quad that ends behind the row counts as whole", "call.vocab - last >= 4u", "call.vocab - last >= 3u"],
    ["float16: halves swapped", "vec4(quad.x & 0xffffu, quad.x >> 16u,", "vec4(quad.x >> 16u, quad.x & 0xffffu,"],
    ["float16: infinities are finite", "magnitude >= vec4(0x7c00u)", "magnitude > vec4(0xffffu)"],
    ["float16: subnormals as if they were normal", "magnitude < vec4(0x400u)", "magnitude < vec4(0u)"],
    ["float16: odd elements read their neighbour", "((element & 1u) * 16u)", "0u"],
    ["bfloat16: widened as if shifted by 15", "return half << vec4(16u);", "return half << vec4(15u);"],
  ),
  ...of(
    "shaders/lib/philox.wgsl",
    ["nine rounds", "round < 10u", "round < 9u"],
    ["counter words swapped", "vec4(position, 0u, PURPOSE_DRAW)", "vec4(position.yx, 0u, PURPOSE_DRAW)"],
    [
      "the position's high word is left out",
      "vec4(position, 0u, PURPOSE_DRAW)",
      "vec4(position.x, 0u, 0u, PURPOSE_DRAW)",
    ],
    ["key words swapped", "PURPOSE_DRAW), seed)", "PURPOSE_DRAW), seed.yx)"],
    ["the uniform's words swapped", "seed).yx", "seed).xy"],
    [
      "the key does not change from round to round",
      "k += vec2(0x9e3779b9u, 0xbb67ae85u);",
      "k += vec2(0x9e3779b9u, 0u);",
    ],
  ),
  ...of(
    "shaders/lib/weights.wgsl",
    ["huge differences overflow", "vec4(0x5d800000u)); // 2^60", "vec4(0x7f800000u));"],
    ["a logit is not halved", "bitcast<vec4<f32>>(finite) * 0.5", "bitcast<vec4<f32>>(finite)"],
    ["the last coefficient is off by one", "0.6931512951850891", "0.6931513547897339"],
    ["mass_needed: rounded down", "select(0u, 1u, low.x > 0u)", "0u"],
    ["draw_point: a carry is left out", "vec2(cross.y, 0u)", "vec2(0u, 0u)"],
    ["draw_point: u's words swapped", "mul32(u.y, mass.y), add64", "mul32(u.x, mass.y), add64"],
    [
      "min-p: the limit itself is left out",
      "distance_of_key(half_max, middle, scale) <= limit",
      "distance_of_key(half_max, middle, scale) < limit",
    ],
  ),
  ...of(
    "shaders/max.wgsl",
    ["negative rows have no maximum", "min(seen.lowest, integers)", "seen.lowest"],
    ["one quad of sixteen is not read", "first + 12u * LANES", "first + 8u * LANES"],
    ["groups longer than sixteen quads: tail not read", "j += 16u", "j += 32u"],
    ["the first invocation's maximum counts for its subgroup", "delegate = subgroupMax(delegate);", ""],
    [
      "delegates of all rows in the first row's place",
      "delegates[workgroup_id.y * call.groups + group]",
      "delegates[group]",
    ],
    ["a group too many is written", "if (group < call.groups) {", "if (group <= call.groups) {"],
  ),
  ...of(
    "shaders/mass.wgsl",
    [
      "min-p limits what top-p measures in every order",
      "(plan.flags & (FLAG_TOP_P | FLAG_MIN_P_FIRST)) != FLAG_TOP_P",
      "true",
    ],
    [
      "masses at the draw's temperature",
      "select(plan.draw_scale, plan.filter_scale, (plan.flags & FLAG_TOP_P) != 0u)",
      "plan.draw_scale",
    ],
    [
      "masses of groups without a candidate are left as they were",
      "    masses[at] = vec2(0u);\n    return;\n  }\n  // What",
      "    return;\n  }\n  // What",
    ],
    ["tokens at min-p's limit are left out", "limit_scale) <= vec4(limit)", "limit_scale) < vec4(limit)"],
    ["groups at the end of a row are read as whole", "limited || !is_whole(row, group)", "limited"],
    ["the near groups are added up like the far ones", "nearest < NEAR", "nearest < 0u"],
  ),
  ...of(
    ["shaders/draw.wgsl", "shaders/lib/row.wgsl", "shaders/lib/token.wgsl"],
    [
      "scan: the sums are not shared",
      "sum = add64(sum, partial[lid - reach]);",
      "sum = add64(sum, partial[lid - 1u]);",
    ],
    [
      "scan: missing barrier",
      "    workgroupBarrier();\n    partial[lid] = sum;\n    workgroupBarrier();",
      "    partial[lid] = sum;",
    ],
    ["add_to_bin: dropped carry", "amount.y + select(0u, 1u, old + amount.x < old)", "amount.y"],
    ["clear_bins: high words are left", "i < BINS * 2u", "i < BINS"],
    [
      "claim: reached only when exceeded",
      "return less64(before_mine, target_sum) && !less64(add64(before_mine, mine), target_sum);",
      "return !less64(target_sum, before_mine) && less64(target_sum, add64(before_mine, mine));",
    ],
    ["sort: equal keys in any order", "a.x > b.x || (a.x == b.x && a.y > b.y)", "a.x > b.x"],
    ["sort: ties by id descending", "(a.x == b.x && a.y > b.y)", "(a.x == b.x && a.y < b.y)"],
    ["sort: missing barrier", "step >>= 1u) {\n      workgroupBarrier();", "step >>= 1u) {"],
    [
      "stricter: the looser one",
      "a.key > b.key || (a.key == b.key && a.id < b.id)",
      "a.key < b.key || (a.key == b.key && a.id > b.id)",
    ],
    [
      "groups tied at the k-th delegate: one tile too few",
      "group / LANES < reach.tiles",
      "group / LANES + 1u < reach.tiles",
    ],
    [
      "groups at the reach are left out",
      "key > reach.low || (key == reach.low &&",
      "key > reach.low + 1u || (key == reach.low &&",
    ],
    ["top-k keeps one more", "end = min(end, plan.top_k);", "end = min(end, plan.top_k + 1u);"],
    ["a guess: what lies before the band counts twice", "        rest = sub64(rest, before);\n", ""],
    [
      "a guess: the bin's tokens begin one too late",
      "key_of_distance(max_key, first - 1u, scale)",
      "key_of_distance(max_key, first, scale)",
    ],
    ["a guess that is wrong is believed", "guessed = at.index != NOWHERE;", "guessed = true;"],
    ["top-k keeps one less in wide rows", "rest.x > count", "rest.x >= count"],
    ["top-p: the token that reaches p is left out", "end = last.index + 1u; // 0", "end = last.index; // 0"],
    ["top-p measures what is kept, not the whole row", "select(mass, total, by_count)", "total"],
    [
      "min-p comes last whatever the order",
      "if ((plan.flags & FLAG_MIN_P_FIRST) != 0u) {\n    end =",
      "if (false) {\n    end =",
    ],
    ["min-p is forgotten after top-p", "  if (end != 0u) {\n    end = entries_reaching(floor_key, end);\n  }", ""],
    ["cut_where: what lies before the bin is forgotten", "rest = sub64(rest, at.before);\n    if", "if"],
    [
      "cut_where: ids of a finished key go on counting",
      "      part.upto = Cut(lowest, NO_TOKEN);\n    }\n    if (highest",
      "      part.upto.key = lowest;\n    }\n    if (highest",
    ],
    [
      "cut_where: the range of ids is one too short",
      "((1u << binning.shift) - 1u));\n    } else",
      "((1u << binning.shift) - 2u));\n    } else",
    ],
    [
      "draw: the point itself counts (entries)",
      "add64(draw_point(u, total), vec2(1u, 0u)));\n  if",
      "draw_point(u, total));\n  if",
    ],
    [
      "draw: the point itself counts (groups)",
      "var rest = add64(draw_point(u, total), vec2(1u, 0u));",
      "var rest = draw_point(u, total);",
    ],
    [
      "draw at the filters' temperature",
      "draw_entry(count, plan.draw_scale, u)",
      "draw_entry(count, plan.filter_scale, u)",
    ],
    ["draw_group: runs of groups are not whole tiles", "+ LANES - 1u) / LANES * LANES;", ");"],
    [
      "greedy: the highest lane among equals",
      "select(select(select(3u, 2u, hits.z), 1u, hits.y), 0u, hits.x)",
      "select(select(select(0u, 1u, hits.y), 2u, hits.z), 3u, hits.w)",
    ],
    [
      "greedy: the last group that has the maximum",
      "      first = group / LANES;\n      break;",
      "      first = group / LANES;",
    ],
    ["NaN is reported as masked", "status = STATUS_NAN;", "status = STATUS_MASKED;"],
    ["the position is never the caller's", "(plan.flags & FLAG_POSITION) != 0u", "false"],
    ["the counter stands still", "let next = add64(position, vec2(1u, 0u));", "let next = position;"],
    ["the maximum is not put back", "    atomicStore(&records[record].rising_key, 0u);\n", ""],
    ["64-bit tokens: the high word is left", "tokens[word + 1u] = 0u;", ""],
    [
      "tokens of all rows in the first row's place",
      "call.token_first + row_index * call.token_stride",
      "call.token_first",
    ],
  ),
  ...of(
    "shaders/list.wgsl",
    ["the last group is not listed", "group >= call.groups", "group + 1u >= call.groups"],
    ["weights at the filters' temperature", "records[record].draw_scale", "call.plans[workgroup_id.y].filter_scale"],
    ["the room's last entry is not used", "slot < room", "slot + 1u < room"],
  ),
  ...of(
    "src/webgpu/pack.ts",
    ["position words swapped", "words(plan.position ?? 0n)", "words(plan.position ?? 0n).reverse()"],
    ["the seed's high word is left out", "out[at + 7] = seedHigh;", ""],
    ["min-p first is forgotten", "(plan.minPFirst ? FLAG.minPFirst : 0)", "0"],
  ),
  ...of(
    "src/webgpu/engine.ts",
    [
      "a chunk starts a row late",
      "const start = (offset + firstRow * rowStride)",
      "const start = (offset + (firstRow + 1) * rowStride)",
    ],
    ["chunks write the tokens of the first", "tokens.offset + row, tokens.words", "tokens.offset, tokens.words"],
    [
      "chunks use the parameters of the first",
      "plans: plans.slice(firstRow, firstRow + count)",
      "plans: plans.slice(0, count)",
    ],
    ["a row's lead does not count as a quad", "(options.vocabSize + 3) / 4", "options.vocabSize / 4"],
    ["listed candidates in any order", "|| entries[3 * a]! - entries[3 * b]!", ""],
  ),
  ...of(
    "src/params.ts",
    ["min-p without the tolerance", "minP * (1 - 2 ** -20) * WEIGHT_ONE", "minP * WEIGHT_ONE"],
    ["top-p without the tolerance", "Math.round(topP * 2 ** 32) - 2 ** 12", "Math.round(topP * 2 ** 32)"],
    [
      "llama.cpp filters at the draw's temperature",
      'plain === "llama.cpp" ? distanceScale(1) : drawScale',
      "drawScale",
    ],
  ),
  ...of(
    "src/reference/draw.ts",
    [
      "reference: half a weight is drawn from",
      "if (rest < weight) return sampled(kept[index]!",
      "if (rest < weight / 2) return sampled(kept[index]!",
    ],
    ["reference: the best of the last group", "delegates.indexOf(max)", "delegates.lastIndexOf(max)"],
  ),
  ...of(
    "src/reference/cut.ts",
    ["reference: top-p keeps one less", "if (total >= need) return index + 1;", "if (total > need) return index + 1;"],
    ["reference: the bin's first token is left out", "if (reached < wanted)", "if (reached <= wanted)"],
    ["reference: equal rows keep one more", "id: count - 1 }", "id: count }"],
    ["reference: the bin reaches too far down", "Math.max(0, (height >> BIN_SHIFT) - 1)", "(height >> BIN_SHIFT) + 40"],
    [
      "reference: what was behind an earlier cut counts",
      "if (!isKept(logits[id]!, id, before)) continue;\n    reached",
      "reached",
    ],
    ["reference: min-p first is forgotten", "if (plan.minPFirst) end =", "if (false) end ="],
  ),
  ...of(
    "src/reference/mass.ts",
    ["reference: ties at the cut in the wrong order", "id <= cut.id", "id < cut.id"],
    ["reference: the last group's tail", "GROUP_SIZE, logits.length)", "GROUP_SIZE, logits.length - 1)"],
  ),
  ...of(
    "src/reference/weights.ts",
    ["reference: ties at a large row's cut in the wrong order", "id > last) continue", "id >= last) continue"],
    ["reference: a large row's far distances are not rounded to four", "octave < 24 ?", "octave < 0 ?"],
    ["reference: the largest far distance of an octave", "multiple === 2 ** 20 ? 2 : ", ""],
  ),
  ...of(
    "src/reference/max.ts",
    ["reference: rows below zero are in the wrong order", "bits[id + 2]! ^ flip", "bits[id + 2]!"],
    ["reference: +inf is not clamped", "largest = clampLogit(largest);", ""],
  ),
  ...of(
    "src/reference/numeric.ts",
    ["reference: -0 is below +0", "if (key === 0x807f_fffe) return 0x807f_ffff; // -0 equals +0", ""],
    ["reference: min-p's limit is left out", "<= limit) high = middle", "< limit) high = middle"],
  ),
  ...of(
    "src/reference/philox.ts",
    ["reference: nine rounds", "round < 10", "round < 9"],
    [
      "reference: counter words swapped",
      "[...words(position), 0, PURPOSE.draw]",
      "[0, ...words(position), PURPOSE.draw]",
    ],
  ),
  ...of(
    "shaders/lib/fixed.wgsl",
    ["log2fix: a bit too few", "bit < 20u", "bit < 19u"],
    ["log2fix: large numbers keep their top", "shift_right(value, whole - 31u).x", "shift_right(value, whole - 30u).x"],
    ["divide: the remainder is never taken off", "    rest = sub64(rest, b);\n", ""],
    ["signed_product: rounds towards zero", "vec2((1u << bits) - 1u, 0u)", "vec2(0u, 0u)"],
    [
      "square_root: rounded up",
      "if (!less64(value, mul32(root | bit, root | bit)))",
      "if (less64(mul32(root, root), value))",
    ],
  ),
  ...of(
    "shaders/stages.wgsl",
    ["stages: the second word of the order is not read", "place >= 8u", "place >= 16u"],
    [
      "stages: the last entry that is there is sure",
      "sure = sure && reached < here;",
      "sure = sure && reached <= here;",
    ],
    ["stages: of ties, all seem to be written down", "select(count, min(count, top_k), by_count)", "count"],
    ["stages: min-keep is forgotten among entries", "var at_least = start + ask.least;", "var at_least = start + 1u;"],
    ["stages: min-keep is forgotten in the row", "ask.least > 1u || ask.floor_key > kept.first_key", "false"],
    ["stages: what was dropped counts", "part.after = cut;", "part.after = part.after;"],
    [
      "stages: weights stay relative to the row's largest",
      "      half_max = logit_of_key(kept.first_key) * 0.5;\n",
      "",
    ],
    ["stages: temperature comes first whatever the order", "var scale = SCALE_OF_ONE;", "var scale = plan.draw_scale;"],
    ["totals: informations of the upper half are lost", "(high << vec4(12u)) | ", ""],
    ["totals: squares without their cross term", "mul32(sum_of(cross), 1u << 12u)", "vec2(0u)"],
    [
      "sigma: the reach is not capped",
      "let near = min(away, vec4(SIGMA_REACH)) * counted;",
      "let near = away * counted;",
    ],
    ["sigma: the rest of the mean is left out", "let sum = add64(totals.first, rest);", "let sum = totals.first;"],
    ["typical: the mass is not needed", "!less64(sums[0], mass) && sums[1].x >= least", "sums[1].x >= least"],
    ["typical: tokens in front of the mean stay", "if (mean > off) {", "if (false) {"],
    ["typical: the nearer tokens behind the mean are cut", "if (mean + off > 0u) {", "if (false) {"],
    ["typical: wide rows by number only", "let weighted = by == 0u;", "let weighted = false;"],
    ["top-H: the token that passes the share stays", "        count++;\n", "        count += 2u;\n"],
    ["xtc: all choices above the threshold go", "drop = top - 1u;", "drop = top;"],
    ["xtc: the chance is that of the draw", "vec4(position, 0u, PURPOSE_XTC)", "vec4(position, 0u, PURPOSE_DRAW)"],
    ["xtc: min-keep is forgotten", " && totals.count - (top - 1u) >= stages.min_keep", ""],
    ["eta: the larger threshold", "min(weight_of_share(stages.eta, totals.first), by_entropy)", "by_entropy"],
    ["dynamic temperature: the exponent is 1", "product(stages.dynatemp_exponent, certainty, 16u)", "certainty"],
    ["mirostat 1: flat heads like steep ones", "      log -= i32(reach);\n", ""],
    [
      "mirostat: what was learned is forgotten",
      "2 * stages.mirostat_tau + records[record].mirostat",
      "2 * stages.mirostat_tau",
    ],
    ["mirostat: the step is added", "- 2 * stages.mirostat_tau - step", "- 2 * stages.mirostat_tau + step"],
    [
      "adaptive-p: the target does not move",
      "aim = wanted + min(wanted - average, WEIGHT_ONE - wanted);",
      "aim = wanted;",
    ],
    ["adaptive-p: the nearest token is not sought", "share_extremes(nearest, 0u);", "share_extremes(0u, 0u);"],
    ["adaptive-p: nothing decays", "mul32(memory.y, stages.adaptive_decay).y", "memory.y"],
    ["top-p and joint: any mass will do", "mass_needed(plan.top_p, totals.first)", "vec2(1u, 0u)"],
  ),
  ...of(
    "src/reference/stages.ts",
    ["reference: typical takes the further side first", "if (nearer <= further) {", "if (nearer < further) {"],
    [
      "reference: top-H counts one more",
      "kept < count && (sum += terms[kept]!) <= most",
      "kept < count && (sum += terms[kept]!) < most",
    ],
    [
      "reference: xtc without min-keep",
      "top >= 2 && this.#end - this.#start - (top - 1) >= this.#plan.minKeep",
      "top >= 2",
    ],
    [
      "reference: the scale is not cut off",
      "BigInt(exact.toString(2).length - 24)",
      "BigInt(exact.toString(2).length - 25)",
    ],
  ),
];
