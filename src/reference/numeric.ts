/**
 * The numbers under every decision: ordered keys, distances and integer weights.
 *
 * Nothing here rounds differently on another machine: every float step is a single IEEE-754 binary32 operation, rounded
 * to nearest (`Math.fround`), and what is decided on are the integers that come of them.
 */
/** Largest vocabulary: 2^22 tokens. */
export const MAX_VOCAB_SIZE = 0x40_0000;
/** Largest finite float32: what `+inf` counts as. */
export const MAX_FLOAT = 3.4028234663852886e38;
/** Halved differences of logits are cut off here, so that no product with a scale overflows. */
const FARTHEST = 2 ** 60;
/** Weight of the most probable token: 2^31. */
export const WEIGHT_ONE = 0x8000_0000;
/** Distances are cut off here, 32 octaves below the most probable token: the weight is 0, the token is never drawn. */
export const MAX_DISTANCE = 0x200_0000;
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

/** Distances from here on, 8 octaves, are multiples of 4. */
const FAR = 0x80_0000;
/** Added to a number from 0 to 2^51 and taken off again, it leaves the nearest integer, ties to even. */
export const TO_INTEGER: number = 1.5 * 2 ** 52;
/** The same for the nearest multiple of 4. */
const TO_MULTIPLE_OF_4 = 4 * TO_INTEGER;

/**
 * How far a logit lies below the row's largest, in 2^-20 octaves, at most {@link MAX_DISTANCE}: the nearest integer
 * within 8 octaves, the nearest multiple of 4 beyond.
 *
 * Halving first keeps the difference of two huge logits finite. Every step is one rounding, and since halving is
 * exact a fused multiply-subtract gives the same bits.
 */
export function distance(max: number, logit: number, scale: number): number {
  const d = Math.min(Math.fround(Math.fround(max * 0.5) - Math.fround(logit * 0.5)), FARTHEST);
  const t = Math.min(Math.fround(d * Math.fround(scale)), MAX_DISTANCE);
  const unit = t < FAR ? TO_INTEGER : TO_MULTIPLE_OF_4;
  return t + unit - unit;
}

/** `2^(n-1)` for the octave `n` of {@link exp2fix}. */
const OCTAVES = Float64Array.from({ length: 33 }, (_, n) => 2 ** (n - 1));

/** Coefficients of 2^f on [0, 1): minimax for the relative error among polynomials that are 1 at 0, as float32. */
const C1 = Math.fround(0.6931512951850891);
const C2 = Math.fround(0.24016444385051727);
const C3 = Math.fround(0.05579991266131401);
const C4 = Math.fround(0.009017030708491802);
const C5 = Math.fround(0.0018671300495043397);

/** 2^(f / 2^20) for an integer `f` from 0 to 2^20 - 1, as float32: five steps, each a rounded product and a rounded sum. */
export function power(f: number): number {
  const x = f * 2 ** -20;
  let y = Math.fround(Math.fround(C5 * x) + C4);
  y = Math.fround(Math.fround(y * x) + C3);
  y = Math.fround(Math.fround(y * x) + C2);
  y = Math.fround(Math.fround(y * x) + C1);
  return Math.fround(Math.fround(y * x) + 1);
}

/**
 * `2^31 · 2^(-distance / 2^20)` as an integer: monotone, within 2^-22 of the true value before it is rounded to an
 * integer, 0 at {@link MAX_DISTANCE}. The octave is exact; inside it a polynomial.
 */
export function exp2fix(distance: number): number {
  const up = MAX_DISTANCE - distance;
  const f = up & 0xf_ffff;
  const weight = power(f) * OCTAVES[up >> 20]!;
  return weight + TO_INTEGER - TO_INTEGER;
}

/**
 * The largest distance whose weight is still `threshold` or more. With it a comparison of weights becomes a
 * comparison of distances, which needs no exponential.
 */
export function distanceOfWeight(threshold: number): number {
  if (threshold <= 0) return MAX_DISTANCE;
  let low = 0; // kept
  let high = MAX_DISTANCE; // not kept
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

/**
 * The nearest float32 to `weight / mass`, ties to even; integers up to 2^53.
 *
 * @param weight no more than the mass
 */
export function probabilityOf(weight: number, mass: number): number {
  const quotient = weight / mass;
  const near = Math.fround(quotient);
  const other = 2 * quotient - near;
  if (other === near || Math.fround(other) !== other) return near;
  // Rounded to a float64 that is halfway between two float32: on which side of it the true quotient is, integers say.
  const beyond = (BigInt(weight) << 80n) - BigInt(quotient * 2 ** 80) * BigInt(mass);
  if (beyond === 0n) return near;
  return beyond > 0n ? Math.max(near, other) : Math.min(near, other);
}
