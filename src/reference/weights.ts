/**
 * The weights of whole rows. What `exp2fix(distance(max, logit, scale))` rounds a dozen times is looked up here, for
 * rows so large that it pays; the same integers.
 */
import type { Cut } from "./mass.ts";
import { GROUP_SIZE, type RowMax } from "./max.ts";
import { MAX_DISTANCE, MAX_FLOAT, power, TO_INTEGER } from "./numeric.ts";

/** Rows from here on are worth filling the tables once, in some 20 ms. */
const LARGE_ROW = 2 ** 15;
/** From this scale on, a difference of logits that overflows is far in any case. */
const LEAST_SCALE = 2 ** -35;

/** Histogram bins are 2^-8 octaves of height; the last is that of the largest logit. */
export const BIN_SHIFT = 12;
export const BINS: number = (MAX_DISTANCE >> BIN_SHIFT) + 1;

/** Weights by height: how far a logit lies above where nothing weighs anything. */
export interface WeightTable {
  /**
   * {@link MAX_DISTANCE} less the distance, which is not yet a multiple of 4 where it is far; 0 for `NaN` and `-inf`.
   *
   * @param halfScale half the distance scale, so that logits need not be halved
   */
  heightOf(logit: number, max: number, halfScale: number): number;
  /** The weight at a height. */
  weightAt(height: number): number;
  /**
   * Adds up the weights of the tokens before the cut, per group, for all groups whose delegate is not below `faintest`.
   *
   * @param masses those of the others stay as they are
   */
  add(logits: Float32Array, row: RowMax, scale: number, cut: Cut, faintest: number, masses: Float64Array): number;
  /**
   * The same for the whole row only, where every weight at a height of `lowest` or more is left in `weights`, by id, and
   * added to the bin of its height.
   */
  spread(
    logits: Float32Array,
    row: RowMax,
    scale: number,
    cut: Cut,
    faintest: number,
    lowest: number,
    weights: Float64Array,
    bins: Float64Array,
  ): number;
}

/** The table of weights, if it holds for a row: a large one, without `+inf`, at a usual temperature. */
export function weightTable(logits: Float32Array, max: number, scale: number): WeightTable | undefined {
  if (logits.length < LARGE_ROW || max >= MAX_FLOAT || scale < LEAST_SCALE) return undefined;
  return (table ??= newWeightTable());
}

let table: WeightTable | undefined;

function newWeightTable(): WeightTable {
  // Constants of this function and not of the module: those, bundlers make variables, which are read anew for each token.
  const nothing = MAX_DISTANCE;
  const toInteger = TO_INTEGER;
  const groupSize = GROUP_SIZE;
  const binShift = BIN_SHIFT;
  /** The power of every 16th exponent, in 2^-23. */
  const lines = new Int32Array(2 ** 16);
  /**
   * What the power of an exponent is above its line: 1 MB instead of 4. First of near distances; then of far ones, whose
   * nearest multiple of 4 it is.
   */
  const above = new Uint8Array(2 ** 21);
  /** By octave: which half of `above` it has, and what 2^-23 weighs in it. */
  const halves = Int32Array.from({ length: 33 }, (_, octave) => (octave < 24 ? 2 ** 20 : 0));
  const units = Float64Array.from({ length: 33 }, (_, octave) => 2 ** (octave - 24));

  for (let f = 0; f < 2 ** 20; f++) {
    const value = power(f) * 2 ** 23;
    if ((f & 15) === 0) lines[f >> 4] = value;
    above[f] = value - lines[f >> 4]!;
  }
  for (let f = 0; f < 2 ** 20; f++) {
    const multiple = (f + 1 + ((f >> 2) & 1)) & ~3; // ties to even
    const value = multiple === 2 ** 20 ? 2 : power(multiple); // of the next octave, its first
    above[2 ** 20 + f] = value * 2 ** 23 - lines[f >> 4]!;
  }
  const heightOf = (logit: number, max: number, halfScale: number): number => {
    const away = Math.fround(Math.fround(max - logit) * halfScale);
    return away < nothing ? (nothing + toInteger - (away + toInteger)) | 0 : 0;
  };
  const weightAt = (height: number): number => {
    const f = height & 0xf_ffff;
    const octave = height >> 20;
    return (lines[f >> 4]! + above[f + halves[octave]!]!) * units[octave]! + toInteger - toInteger;
  };
  return {
    heightOf,
    weightAt,
    add: (logits, { max, delegates }, scale, { logit: least, id: last }, faintest, masses) => {
      const halfScale = scale * 0.5;
      let total = 0;
      let previous = Number.NaN;
      let weight = 0;
      for (let group = 0; group < delegates.length; group++) {
        if (!(delegates[group]! >= faintest)) continue;
        const start = group * groupSize;
        const end = Math.min(start + groupSize, logits.length);
        let sum = 0;
        for (let id = start; id < end; id++) {
          const z = logits[id]!;
          if (!(z >= least)) continue;
          if (z === least && id > last) continue;
          // Equal logits, as of padding, come in runs.
          if (z !== previous) {
            previous = z;
            weight = weightAt(heightOf(z, max, halfScale));
          }
          sum += weight;
        }
        masses[group] = sum;
        total += sum;
      }
      return total;
    },
    spread: (logits, { max, delegates }, scale, { logit: least, id: last }, faintest, lowest, weights, bins) => {
      const halfScale = scale * 0.5;
      let sum = 0;
      for (let group = 0; group < delegates.length; group++) {
        if (!(delegates[group]! >= faintest)) continue;
        const start = group * groupSize;
        const end = Math.min(start + groupSize, logits.length);
        for (let id = start; id < end; id++) {
          const z = logits[id]!;
          const isBehind = z === least && id > last;
          const height = z >= least && !isBehind ? heightOf(z, max, halfScale) : 0;
          const weight = weightAt(height);
          sum += weight;
          if (height >= lowest) {
            weights[id] = weight;
            bins[height >> binShift]! += weight;
          }
        }
      }
      return sum;
    },
  };
}
