/**
 * The numbers under every decision: ordered keys, distances and integer weights.
 *
 * Nothing here rounds differently on another machine: the float steps are single IEEE-754 binary32 operations
 * (`Math.fround`), everything after them is integer arithmetic.
 */
import { EXP2_TABLE } from "./exp2-table.ts";

/** Largest vocabulary: 2^22 tokens. */
export const MAX_VOCAB_SIZE = 0x40_0000;
/** Largest finite float32: what `+inf` counts as. */
export const MAX_FLOAT = 3.4028234663852886e38;
/** Halved differences of logits are cut off here, so that no product with a scale overflows. */
export const FARTHEST: number = 2 ** 60;
/** Weight of the most probable token: 2^31. */
export const WEIGHT_ONE = 0x8000_0000;
/** Distances are cut off here, far beyond the last one that still has a weight. */
export const MAX_DISTANCE = 0x400_0000;
/** Distances from here on (32 octaves) have weight 0: the token can be listed, never drawn. */
export const ZERO_WEIGHT_DISTANCE = 0x200_0000;
/** Returned for a row that has no candidate. */
export const NO_TOKEN = 0xffff_ffff;
/** Below this temperature a row is greedy (vLLM's threshold). */
export const GREEDY_TEMPERATURE = 1e-5;

/** A logit as the contract counts it: `+inf` as the largest finite float. `NaN` stays. */
export function clampLogit(logit: number): number {
  return logit > MAX_FLOAT ? MAX_FLOAT : logit;
}

const floatView = new Float32Array(1);
const bitsView = new Uint32Array(floatView.buffer);

/** The bits of a float32, as an unsigned integer. */
export function floatBits(value: number): number {
  floatView[0] = value;
  return bitsView[0]!;
}

/** The float32 that has these bits. */
export function bitsFloat(bits: number): number {
  bitsView[0] = bits;
  return floatView[0]!;
}

/**
 * The ordered key of a float32: a larger logit has the larger key, equal logits (also -0 and +0) have equal keys.
 *
 * Negative floats are turned over and positive ones lifted above them, the usual radix-sort map. Adding 0x7fffff
 * then wraps positive NaNs round to the bottom, beside negative NaNs and -inf, so that one comparison tells
 * everything that can never be sampled; it gets key 0.
 */
export function keyOfBits(bits: number): number {
  const key = (((bits >>> 31 ? ~bits : bits | 0x8000_0000) >>> 0) + 0x7f_ffff) >>> 0;
  if (key < 0xff_ffff) return 0; // NaN, -inf
  if (key === 0xffff_ffff) return 0xffff_fffe; // +inf counts as the largest finite float
  if (key === 0x807f_fffe) return 0x807f_ffff; // -0 equals +0
  return key;
}

/** The bits behind a key other than 0: the inverse of {@link keyOfBits}. */
export function bitsOfKey(key: number): number {
  const lifted = (key - 0x7f_ffff) >>> 0;
  return (lifted >>> 31 ? lifted & 0x7fff_ffff : ~lifted) >>> 0;
}

/**
 * The scale that turns a halved difference of logits into a distance at temperature `T`:
 * `fround(2·log2(e)/T · 2^20)`, in 2^-20 octaves per unit.
 */
export function distanceScale(temperature: number): number {
  return Math.fround(((2 * Math.LOG2E) / temperature) * 2 ** 20);
}

/**
 * How far a logit lies below the row's largest, in 2^-20 octaves, at most {@link MAX_DISTANCE}.
 *
 * Halving first keeps the difference of two huge logits finite. Every step is one rounding, and since halving is
 * exact a fused multiply-subtract gives the same bits.
 */
export function distance(max: number, logit: number, scale: number): number {
  const d = Math.min(Math.fround(Math.fround(max * 0.5) - Math.fround(logit * 0.5)), FARTHEST);
  return Math.min(Math.fround(d * scale), MAX_DISTANCE) >>> 0;
}

/**
 * `2^31 · 2^(-distance / 2^20)` as an integer: monotone, within 2^-22 of the true value, 0 from 32 octaves on.
 *
 * A table of 256 steps an octave, then a second-order correction inside the step.
 */
export function exp2fix(distance: number): number {
  if (distance >= ZERO_WEIGHT_DISTANCE) return 0;
  const fraction = distance & 0xf_ffff;
  const step = EXP2_TABLE[fraction >>> 12]!;
  const a = ((fraction & 0xfff) * 45426) >>> 12;
  const b = a - ((a * a) >>> 25);
  return (step - (((step >>> 15) * b) >>> 9)) >>> (distance >>> 20);
}

/**
 * The largest distance whose weight is still `threshold` or more. With it a comparison of weights becomes a
 * comparison of distances, which needs no exponential.
 */
export function distanceOfWeight(threshold: number): number {
  if (threshold <= 0) return MAX_DISTANCE;
  let low = 0; // kept
  let high = ZERO_WEIGHT_DISTANCE; // not kept
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (exp2fix(middle) >= threshold) low = middle;
    else high = middle;
  }
  return low;
}

/** The smallest key whose logit lies no further than `limit` below the row's largest. */
export function keyOfDistance(max: number, limit: number, scale: number): number {
  if (limit >= MAX_DISTANCE) return 1;
  let low = 0xff_fffe; // too far: one below the lowest finite float
  let high = keyOfBits(floatBits(max)); // kept
  while (high - low > 1) {
    const middle = low + ((high - low) >>> 1);
    if (distance(max, bitsFloat(bitsOfKey(middle)), scale) <= limit) high = middle;
    else low = middle;
  }
  return high;
}

/**
 * The mass a nucleus must reach: `ceil(share · mass / 2^32)`, where `share` is `round(p · 2^32) - 2^12`.
 * The 2^-20 taken off keeps a nucleus whose mass *is* p from growing by the rounding of the logits.
 */
export function massNeeded(share: number, mass: number): number {
  return Number((BigInt(share) * BigInt(mass) + 0xffff_ffffn) >> 32n);
}

/** `floor(u · mass / 2^64)` for a uniform 64-bit `u`: where in the running sum the draw falls. */
export function drawPoint(high: number, low: number, mass: number): number {
  return Number((((BigInt(high) << 32n) | BigInt(low)) * BigInt(mass)) >> 64n);
}
