import { GROUP_SIZE, type RowMax } from "./max.ts";
import {
  clampLogit,
  distance,
  exp2fix,
  FAR,
  FARTHEST,
  MAX_DISTANCE,
  MAX_FLOAT,
  OCTAVES,
  powerTable,
  TO_INTEGER,
  TO_MULTIPLE_OF_4,
} from "./numeric.ts";

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

/** Rows from here on are worth a table of powers. */
const LARGE_ROW = 2 ** 15;

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
  { max, delegates }: RowMax,
  scale: number,
  cut: Cut,
  masses: Float64Array = new Float64Array(delegates.length),
): number {
  if (logits.length >= LARGE_ROW) return massOfLargeRow(logits, max, delegates, scale, cut, masses);
  let total = 0;
  for (let group = 0; group < delegates.length; group++) {
    let sum = 0;
    if (hasMass(delegates[group]!, max, scale, cut)) {
      const end = Math.min((group + 1) * GROUP_SIZE, logits.length);
      for (let id = group * GROUP_SIZE; id < end; id++) {
        if (isKept(logits[id]!, id, cut)) sum += exp2fix(distance(max, clampLogit(logits[id]!), scale));
      }
    }
    masses[group] = sum;
    total += sum;
  }
  return total;
}

/** Whether a group has tokens that count. */
function hasMass(delegate: number, max: number, scale: number, cut: Cut): boolean {
  return delegate >= cut.logit && distance(max, delegate, scale) < MAX_DISTANCE;
}

/** The same, with `distance` and `exp2fix` written out and the powers looked up: a fifth of the time. */
function massOfLargeRow(
  logits: Float32Array,
  max: number,
  delegates: Float32Array,
  scale: number,
  cut: Cut,
  masses: Float64Array,
): number {
  const powers = powerTable();
  const octaves = OCTAVES;
  const least = cut.logit;
  const last = cut.id;
  const half = Math.fround(max * 0.5);
  let total = 0;
  for (let group = 0; group < delegates.length; group++) {
    let sum = 0;
    if (hasMass(delegates[group]!, max, scale, cut)) {
      const end = Math.min((group + 1) * GROUP_SIZE, logits.length);
      for (let id = group * GROUP_SIZE; id < end; id++) {
        let z = logits[id]!;
        if (!(z >= least)) continue;
        if (z > MAX_FLOAT) z = MAX_FLOAT;
        if (z === least && id > last) continue;
        let d = Math.fround(half - z * 0.5);
        if (d > FARTHEST) d = FARTHEST;
        let t = Math.fround(d * scale);
        if (t >= MAX_DISTANCE) continue;
        const unit = t < FAR ? TO_INTEGER : TO_MULTIPLE_OF_4;
        t = t + unit - unit;
        const up = (MAX_DISTANCE - t) | 0;
        sum += powers[up & 0xf_ffff]! * octaves[up >> 20]! + TO_INTEGER - TO_INTEGER;
      }
    }
    masses[group] = sum;
    total += sum;
  }
  return total;
}
