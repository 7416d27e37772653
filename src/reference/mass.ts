import { GROUP_SIZE, type RowMax } from "./max.ts";
import {
  bitsFloat,
  bitsOfKey,
  clampLogit,
  distance,
  exp2fix,
  keyOfDistance,
  MAX_DISTANCE,
  MAX_FLOAT,
} from "./numeric.ts";
import { weightTable } from "./weights.ts";

/**
 * A place in the ordered row: everything up to and including token `id` among the logits equal to `logit`.
 * The order is by logit descending, then token id ascending, so that there are no ties.
 */
export interface Cut {
  /** The last logit that is kept. */
  readonly logit: number;
  /** The last token that is kept among those of that logit. */
  readonly id: number;
}

/** The cut that keeps every candidate. */
export const KEEP_ALL: Cut = { logit: -MAX_FLOAT, id: 0xffff_ffff };

/** Whether a token lies before or at the cut. Never true for `NaN` and `-inf`. */
export function isKept(logit: number, id: number, cut: Cut): boolean {
  const z = clampLogit(logit);
  return z > cut.logit || (z === cut.logit && id <= cut.id);
}

/**
 * Adds up the weights of the kept tokens, per group of {@link GROUP_SIZE} tokens, in token-id order.
 * The twin of `shaders/mass.wgsl`.
 *
 * @param scale distance scale of the temperature at which masses are wanted, see `distanceScale`
 * @param cut only tokens up to here count
 * @param masses scratch to write into, `[ceil(vocabSize / GROUP_SIZE)]`
 * @returns the total, an exact integer below 2^53
 */
export function mass(
  logits: Float32Array,
  row: RowMax,
  scale: number,
  cut: Cut,
  masses: Float64Array = new Float64Array(row.delegates.length),
): number {
  const { max, delegates } = row;
  const faintest = faintestWithMass(max, scale, cut);
  masses.fill(0);
  const table = weightTable(logits, max, scale);
  if (table !== undefined) return table.add(logits, row, scale, cut, faintest, masses);
  let total = 0;
  for (let group = 0; group < delegates.length; group++) {
    if (!(delegates[group]! >= faintest)) continue;
    const end = Math.min((group + 1) * GROUP_SIZE, logits.length);
    let sum = 0;
    for (let id = group * GROUP_SIZE; id < end; id++) {
      if (isKept(logits[id]!, id, cut)) sum += exp2fix(distance(max, clampLogit(logits[id]!), scale));
    }
    masses[group] = sum;
    total += sum;
  }
  return total;
}

/** The smallest logit that can count: one that is kept, and whose weight is not 0. */
export function faintestWithMass(max: number, scale: number, cut: Cut): number {
  return Math.max(cut.logit, bitsFloat(bitsOfKey(keyOfDistance(max, MAX_DISTANCE - 1, scale))));
}
