import { type RowPlan, TOP_K_OFF, TOP_P_OFF } from "../params.ts";
import { type Cut, isKept, KEEP_ALL, mass } from "./mass.ts";
import { GROUP_SIZE, type RowMax } from "./max.ts";
import {
  bitsFloat,
  bitsOfKey,
  clampLogit,
  distance,
  exp2fix,
  floatBits,
  keyOfBits,
  keyOfDistance,
  massNeeded,
  MAX_DISTANCE,
  MAX_FLOAT,
} from "./numeric.ts";

/** What the filters leave of a row. */
export interface Filtered {
  /** The last kept token of the ordered row. */
  readonly cut: Cut;
  /** The kept tokens, most probable first, when they were few enough to be written down on the way. */
  readonly kept: Uint32Array | undefined;
}

/** Top-p alone looks first among the tokens that reach this many delegates. */
const NUCLEUS_REACH = 256;
/** Top-k up to here is looked for among delegates; more is found by histogram. */
const TOP_K_REACH = 1024;
/** More tokens than this are not written down. */
const MOST_CANDIDATES = 4096;
/** Histogram bins: a sixteenth of an octave each, the last for everything below. */
const BINS = 1024;
const BIN_SHIFT = 16;

/**
 * Runs top-k, top-p and min-p in the plan's order. Each keeps a prefix of the ordered row, so together they are one
 * cut; only top-p cares what came before it, since its mass is that of what is left.
 *
 * @param logits one row
 * @param row its maximum and delegates, see `max`; the row must have a candidate
 */
export function filter(logits: Float32Array, row: RowMax, plan: RowPlan): Filtered {
  const minP = minPCut(row.max, plan);
  if (plan.topK === TOP_K_OFF && plan.topP === TOP_P_OFF) return { cut: minP, kept: undefined };

  const before = plan.minPFirst ? minP : KEEP_ALL;
  const total =
    plan.topK === TOP_K_OFF && plan.topP !== TOP_P_OFF ? mass(logits, row, plan.filterScale, before) : undefined;
  return filterFew(logits, row, plan, minP, total) ?? filterMany(logits, row, plan, minP, total);
}

/** Min-p as a cut: every logit within a distance of the largest, ties included. */
function minPCut(max: number, plan: RowPlan): Cut {
  if (plan.minPDistance >= MAX_DISTANCE) return KEEP_ALL;
  const key = keyOfDistance(max, plan.minPDistance, plan.filterScale);
  return { logit: bitsFloat(bitsOfKey(key)), id: KEEP_ALL.id };
}

/**
 * The usual case: the kept tokens are few, and so all of them lie in groups whose delegate is among the largest.
 * The k-th largest delegate is a lower bound of the k-th largest token.
 *
 * @returns undefined when the cut lies further down, or too many tokens would have to be written down
 */
function filterFew(
  logits: Float32Array,
  row: RowMax,
  plan: RowPlan,
  minP: Cut,
  total: number | undefined,
): Filtered | undefined {
  const reach = plan.topK === TOP_K_OFF ? NUCLEUS_REACH : plan.topK;
  if (reach > TOP_K_REACH) return undefined;
  const ids = gather(logits, row, nthLargest(row.delegates, reach), plan.topK);
  if (ids === undefined) return undefined;

  const passes = (id: number): boolean => isKept(logits[id]!, id, minP);
  let end = Math.min(ids.length, plan.topK);
  if (plan.minPFirst) end = countPrefix(ids, end, passes);
  if (plan.topP !== TOP_P_OFF) {
    const weights = weightsOf(logits, row.max, ids.subarray(0, end), plan.filterScale);
    const need = massNeeded(plan.topP, total ?? sum(weights));
    const reached = prefixReaching(weights, need);
    if (reached === undefined) return undefined;
    end = reached;
  }
  if (!plan.minPFirst) end = countPrefix(ids, end, passes);
  const last = ids[end - 1]!;
  return { cut: { logit: clampLogit(logits[last]!), id: last }, kept: ids.subarray(0, end) };
}

/** Any row: the cut is found by a histogram over distances, then exactly inside one bin. */
function filterMany(logits: Float32Array, row: RowMax, plan: RowPlan, minP: Cut, total: number | undefined): Filtered {
  let cut = plan.minPFirst ? minP : KEEP_ALL;
  if (plan.topK !== TOP_K_OFF) cut = cutWhere(logits, row, plan.filterScale, cut, () => 1, plan.topK);
  if (plan.topP !== TOP_P_OFF) {
    const need = massNeeded(plan.topP, total ?? mass(logits, row, plan.filterScale, cut));
    cut = cutWhere(logits, row, plan.filterScale, cut, exp2fix, need);
  }
  // Both are prefixes, so the stricter one is the one that ends first.
  const keepsLess = minP.logit > cut.logit || (minP.logit === cut.logit && minP.id < cut.id);
  return { cut: keepsLess ? minP : cut, kept: undefined };
}

/**
 * The first place in the ordered row, up to `before`, where the running sum of `amount` reaches `target`; `before`
 * when it never does.
 */
function cutWhere(
  logits: Float32Array,
  { max }: RowMax,
  scale: number,
  before: Cut,
  amount: (distance: number) => number,
  target: number,
): Cut {
  const distanceOf = (id: number): number => distance(max, clampLogit(logits[id]!), scale);
  const binOf = (away: number): number => Math.min(away >>> BIN_SHIFT, BINS - 1);
  const bins = new Float64Array(BINS);
  for (let id = 0; id < logits.length; id++) {
    if (!isKept(logits[id]!, id, before)) continue;
    const away = distanceOf(id);
    bins[binOf(away)]! += amount(away);
  }
  let sum = 0;
  let bin = 0;
  while (bin < BINS && sum + bins[bin]! < target) sum += bins[bin++]!;
  if (bin === BINS) return before;

  const ids: number[] = [];
  for (let id = 0; id < logits.length; id++) {
    if (isKept(logits[id]!, id, before) && binOf(distanceOf(id)) === bin) ids.push(id);
  }
  for (const id of inOrder(logits, Uint32Array.from(ids))) {
    sum += amount(distanceOf(id));
    if (sum >= target) return { logit: clampLogit(logits[id]!), id };
  }
  throw new Error("unreachable: the bin holds what is missing");
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

/** The n-th largest value; the lowest float when there are fewer. */
function nthLargest(values: Float32Array, n: number): number {
  const sorted = Float32Array.from(values).sort();
  return Math.max(sorted[sorted.length - n] ?? -MAX_FLOAT, -MAX_FLOAT);
}

function countPrefix(ids: Uint32Array, end: number, passes: (id: number) => boolean): number {
  let count = 0;
  while (count < end && passes(ids[count]!)) count++;
  return count;
}

function prefixReaching(weights: Uint32Array, need: number): number | undefined {
  let total = 0;
  for (let index = 0; index < weights.length; index++) {
    total += weights[index]!;
    if (total >= need) return index + 1;
  }
  return undefined;
}
