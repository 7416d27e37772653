import { type RowPlan, TOP_K_OFF, TOP_P_OFF } from "../params.ts";
import { type Cut, faintestWithMass, isKept, KEEP_ALL } from "./mass.ts";
import { GROUP_SIZE, type RowMax } from "./max.ts";
import {
  bitsFloat,
  bitsOfKey,
  clampLogit,
  distance,
  distanceOfWeight,
  exp2fix,
  floatBits,
  keyOfBits,
  keyOfDistance,
  massNeeded,
  MAX_DISTANCE,
  MAX_FLOAT,
  WEIGHT_ONE,
} from "./numeric.ts";
import { BIN_SHIFT, BINS, weightTable } from "./weights.ts";

/** What the filters leave of a row. */
export interface Filtered {
  /** The last kept token of the ordered row. */
  readonly cut: Cut;
  /** The kept tokens, most probable first, when they were few enough to be written down on the way. */
  readonly kept: Uint32Array | undefined;
}

/** Top-k up to here is looked for among delegates; more is found by histogram. */
const TOP_K_REACH = 1024;
/** More tokens than this are not written down. */
const MOST_CANDIDATES = 4096;

/** What is known, besides, of the kept tokens. */
export interface Narrowed extends Filtered {
  /** Their mass at the filters' temperature, where it was added up on the way. */
  readonly mass?: number;
  /** By id, weights at the filters' temperature, of groups that reach the cut; scratch that the next row overwrites. */
  readonly weights?: Float64Array;
  /** Their number, in a row of equal logits, of which the first ones are kept. */
  readonly count?: number;
}

/**
 * Runs top-k, top-p and min-p in the plan's order. Each keeps a prefix of the ordered row, so together they are one
 * cut; only top-p cares what came before it, since its mass is that of what is left.
 *
 * @param logits one row
 * @param row its maximum and delegates, see `max`; the row must have a candidate
 */
export function filter(logits: Float32Array, row: RowMax, plan: RowPlan): Filtered {
  const { cut, kept } = narrow(logits, row, plan);
  return { cut, kept };
}

/** The same, with what else the draw can use. */
export function narrow(logits: Float32Array, row: RowMax, plan: RowPlan): Narrowed {
  const minP = minPCut(row.max, plan);
  if (plan.topK === TOP_K_OFF && plan.topP === TOP_P_OFF) return { cut: minP, kept: undefined };
  if (plan.topK === TOP_K_OFF && isEqual(logits, row.max)) return narrowEqual(logits, row, plan);
  return filterFew(logits, row, plan, minP) ?? filterMany(logits, row, plan, minP);
}

function isEqual(logits: Float32Array, value: number): boolean {
  let id = 0;
  // Four a step, since a step costs as much as two of them.
  while (id + 4 <= logits.length) {
    if (logits[id] !== value || logits[id + 1] !== value) return false;
    if (logits[id + 2] !== value || logits[id + 3] !== value) return false;
    id += 4;
  }
  while (id < logits.length && logits[id] === value) id++;
  return id === logits.length;
}

/** A row of equal logits: in order as it lies, and all weigh the same. */
function narrowEqual(logits: Float32Array, { max }: RowMax, { topP }: RowPlan): Narrowed {
  const mass = logits.length * WEIGHT_ONE;
  const count = Math.ceil(massNeeded(topP, mass) / WEIGHT_ONE);
  return { cut: { logit: max, id: count - 1 }, kept: undefined, count };
}

/** Min-p as a cut: every logit within a distance of the largest, ties included. */
function minPCut(max: number, plan: RowPlan): Cut {
  if (plan.minPDistance >= MAX_DISTANCE) return KEEP_ALL;
  const key = keyOfDistance(max, plan.minPDistance, plan.filterScale);
  return { logit: bitsFloat(bitsOfKey(key)), id: KEEP_ALL.id };
}

/**
 * Top-k of few tokens: all of them lie in groups whose delegate is among the largest, since the k-th largest delegate is
 * a lower bound of the k-th largest token.
 *
 * @returns undefined when k is large, or too many tokens would have to be written down
 */
function filterFew(logits: Float32Array, row: RowMax, plan: RowPlan, minP: Cut): Filtered | undefined {
  if (plan.topK > TOP_K_REACH) return undefined;
  const ids = gather(logits, row, nthLargest(row.delegates, plan.topK), plan.topK);
  if (ids === undefined) return undefined;

  const passes = (id: number): boolean => isKept(logits[id]!, id, minP);
  let end = Math.min(ids.length, plan.topK);
  if (plan.minPFirst) end = countPrefix(ids, end, passes);
  if (plan.topP !== TOP_P_OFF) {
    const weights = weightsOf(logits, row.max, ids.subarray(0, end), plan.filterScale);
    end = prefixReaching(weights, massNeeded(plan.topP, sum(weights)));
  }
  if (!plan.minPFirst) end = countPrefix(ids, end, passes);
  const last = ids[end - 1]!;
  return { cut: { logit: clampLogit(logits[last]!), id: last }, kept: ids.subarray(0, end) };
}

/** Any row: the cut is found by a histogram over distances, then exactly inside one bin. */
function filterMany(logits: Float32Array, row: RowMax, plan: RowPlan, minP: Cut): Narrowed {
  let found: Narrowed = { cut: plan.minPFirst ? minP : KEEP_ALL, kept: undefined };
  if (plan.topK !== TOP_K_OFF) found = cutWhere(logits, row, plan.filterScale, found.cut, { count: plan.topK });
  if (plan.topP !== TOP_P_OFF) found = cutWhere(logits, row, plan.filterScale, found.cut, { share: plan.topP });
  // Both are prefixes, so the stricter one is the one that ends first.
  const { cut } = found;
  const keepsLess = minP.logit > cut.logit || (minP.logit === cut.logit && minP.id < cut.id);
  return keepsLess ? { cut: minP, kept: undefined } : found;
}

/** By id, what tokens weigh, or 1 each where they are counted. */
let weights = new Float64Array(0);
/** By height, the same summed up. */
const bins = new Float64Array(BINS);

/**
 * The first place in the ordered row, up to `before`, where a number of tokens or a share of the mass (see `massNeeded`)
 * is reached; `before` when it never is.
 */
function cutWhere(
  logits: Float32Array,
  row: RowMax,
  scale: number,
  before: Cut,
  target: { readonly count: number } | { readonly share: number },
): Narrowed {
  const { max, delegates } = row;
  const byMass = "share" in target;
  const table = byMass ? weightTable(logits, max, scale) : undefined;
  const heightOf = (logit: number): number =>
    table === undefined ? MAX_DISTANCE - distance(max, logit, scale) : table.heightOf(logit, max, scale * 0.5);
  const faintest = byMass ? faintestWithMass(max, scale, before) : before.logit;
  if (weights.length < logits.length) weights = new Float64Array(logits.length);
  bins.fill(0);
  let total = 0;
  if (table !== undefined && byMass) {
    const lowest = lowestOfNucleus(target.share, logits.length);
    total = table.spread(logits, row, scale, before, faintest, lowest, weights, bins);
  } else {
    for (let id = 0; id < logits.length; id++) {
      weights[id] = 0;
      if (!isKept(logits[id]!, id, before)) continue;
      const height = heightOf(clampLogit(logits[id]!));
      const weight = byMass ? exp2fix(MAX_DISTANCE - height) : 1;
      weights[id] = weight;
      bins[height >> BIN_SHIFT]! += weight;
      total += weight;
    }
  }

  const wanted = byMass ? massNeeded(target.share, total) : target.count;
  let reached = 0;
  let bin = BINS - 1;
  while (bin >= 0 && reached + bins[bin]! < wanted) reached += bins[bin--]!;
  if (bin < 0) return { cut: before, kept: undefined };
  const lowest = Math.max(faintest, logitOfHeight(bin << BIN_SHIFT, max, heightOf));
  const above = logitOfHeight((bin + 1) << BIN_SHIFT, max, heightOf);
  for (const id of inOrder(logits, gatherBetween(logits, delegates, lowest, above))) {
    reached += weights[id]!;
    if (reached < wanted) continue;
    const cut = { logit: clampLogit(logits[id]!), id };
    return byMass ? { cut, kept: undefined, mass: reached, weights } : { cut, kept: undefined };
  }
  throw new Error("unreachable: the bin holds what is missing");
}

/**
 * A height, of a whole bin, that all of a nucleus reaches: tokens lighter than a token's part of what a nucleus leaves out
 * of the largest weight alone are left out in any case, even all of them together.
 */
function lowestOfNucleus(share: number, tokens: number): number {
  const least = Math.floor(((2 ** 32 - share) / 2 ** 32) * (WEIGHT_ONE / tokens)) - 1;
  const height = MAX_DISTANCE - distanceOfWeight(least);
  return Math.max(0, (height >> BIN_SHIFT) - 1) << BIN_SHIFT;
}

/** The smallest logit at a height; `NaN`, which none reaches, if even the largest lies lower. */
function logitOfHeight(height: number, max: number, heightOf: (logit: number) => number): number {
  if (height > MAX_DISTANCE) return Number.NaN;
  let low = 0xff_fffe; // too low: one below the lowest finite float
  let high = keyOfBits(floatBits(max)); // high enough
  while (high - low > 1) {
    const middle = low + ((high - low) >>> 1);
    if (heightOf(bitsFloat(bitsOfKey(middle))) >= height) high = middle;
    else low = middle;
  }
  return bitsFloat(bitsOfKey(high));
}

let between = new Uint32Array(0);

/** The tokens from `lowest` up to, but not including, `above`, which may be `NaN`; by id. */
function gatherBetween(logits: Float32Array, delegates: Float32Array, lowest: number, above: number): Uint32Array {
  if (between.length < logits.length) between = new Uint32Array(logits.length);
  const found = between;
  let count = 0;
  for (let group = 0; group < delegates.length; group++) {
    if (!(delegates[group]! >= lowest)) continue;
    const start = group * GROUP_SIZE;
    const end = Math.min(start + GROUP_SIZE, logits.length);
    for (let id = start; id < end; id++) {
      const z = logits[id]!;
      // Each is written down, and counted if it lies there: a branch could not be predicted.
      found[count] = id;
      count += Number(z >= lowest) - Number(z >= above);
    }
  }
  return found.subarray(0, count);
}

const candidates = new Uint32Array(MOST_CANDIDATES);

/**
 * Every token at or above `threshold`, in order; undefined if there are too many. Of those just at it, the first `most`
 * are enough.
 */
function gather(logits: Float32Array, { delegates }: RowMax, threshold: number, most: number): Uint32Array | undefined {
  let count = 0;
  let tied = 0;
  for (let group = 0; group < delegates.length; group++) {
    if (!(delegates[group]! >= threshold)) continue;
    if (delegates[group] === threshold && tied >= most) continue;
    const end = Math.min((group + 1) * GROUP_SIZE, logits.length);
    for (let id = group * GROUP_SIZE; id < end; id++) {
      if (!(logits[id]! >= threshold)) continue;
      if (logits[id] === threshold && tied++ >= most) continue;
      if (count === MOST_CANDIDATES) return undefined;
      candidates[count++] = id;
    }
  }
  return inOrder(logits, candidates.subarray(0, count));
}

/** A key of 32 bits and an index of so many make an exact double. */
const MOST_JOINED = 2 ** 21;

/**
 * Puts tokens in order: by logit descending, then by id ascending.
 *
 * A typed array sorts numbers many times faster than by a comparison function, so key and index are joined in one
 * number.
 *
 * @param ids ascending
 */
export function inOrder(logits: Float32Array, ids: Uint32Array): Uint32Array {
  const count = ids.length;
  if (ids.every((id) => logits[id] === logits[ids[0]!])) return ids.slice(); // ties, as in equal rows
  if (count > MOST_JOINED) return ids.sort((a, b) => clampLogit(logits[b]!) - clampLogit(logits[a]!) || a - b);
  const joined = new Float64Array(count);
  for (let i = 0; i < count; i++) joined[i] = (0xffff_ffff - keyOfBits(floatBits(logits[ids[i]!]!))) * count + i;
  joined.sort();
  const ordered = new Uint32Array(count);
  for (let i = 0; i < count; i++) ordered[i] = ids[joined[i]! % count]!;
  return ordered;
}

/** Weights at a temperature, for tokens given by id. */
export function weightsOf(logits: Float32Array, max: number, ids: Uint32Array, scale: number): Uint32Array {
  const weights = new Uint32Array(ids.length);
  for (let i = 0; i < ids.length; i++) weights[i] = exp2fix(distance(max, clampLogit(logits[ids[i]!]!), scale));
  return weights;
}

/** Exact sum of weights. */
export function sum(weights: Uint32Array): number {
  let total = 0;
  for (let i = 0; i < weights.length; i++) total += weights[i]!;
  return total;
}

let selected = new Float32Array(0);

/** The n-th largest value; the lowest float when there are fewer. Quickselect (Hoare 1961). */
function nthLargest(values: Float32Array, n: number): number {
  if (n > values.length) return -MAX_FLOAT;
  if (selected.length < values.length) selected = new Float32Array(values.length);
  const left = selected;
  left.set(values);
  const at = values.length - n;
  let from = 0;
  let to = values.length - 1;
  while (from < to) {
    const pivot = left[(from + to) >> 1]!;
    let [low, high] = [from, to];
    while (low <= high) {
      while (left[low]! < pivot) low++;
      while (left[high]! > pivot) high--;
      if (low > high) break;
      const value = left[low]!;
      left[low++] = left[high]!;
      left[high--] = value;
    }
    if (at <= high) to = high;
    else if (at >= low) from = low;
    else break;
  }
  return Math.max(left[at]!, -MAX_FLOAT);
}

function countPrefix(ids: Uint32Array, end: number, passes: (id: number) => boolean): number {
  let count = 0;
  while (count < end && passes(ids[count]!)) count++;
  return count;
}

function prefixReaching(weights: Uint32Array, need: number): number {
  let total = 0;
  for (let index = 0; index < weights.length; index++) {
    total += weights[index]!;
    if (total >= need) return index + 1;
  }
  throw new Error("unreachable: what is needed is a part of the mass");
}
