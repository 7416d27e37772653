/**
 * Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
 * 1, 2, 3" (SC 2011). A draw is a pure function of key and counter: no state, no order, nothing to keep in step.
 */

/** What a random number is for; the fourth counter word. */
export const PURPOSE = {
  /** The draw of a token. */
  draw: 0,
  /** Whether XTC runs. */
  xtc: 1,
  /** The seed of a row that was given none. */
  rowSeed: 0xffff_ffff,
} as const;

function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const cross = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (cross & 0xffff);
  return (aHigh * bHigh + Math.floor(cross / 0x1_0000) + Math.floor(carry / 0x1_0000)) >>> 0;
}

/** Ten rounds over four counter words with a key of two. All words are unsigned 32-bit integers. */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [x0, x1, x2, x3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(0xd251_1f53, x0);
    const low0 = Math.imul(0xd251_1f53, x0) >>> 0;
    const high1 = mulHigh(0xcd9e_8d57, x2);
    const low1 = Math.imul(0xcd9e_8d57, x2) >>> 0;
    [x0, x1, x2, x3] = [(high1 ^ x1 ^ k0) >>> 0, low1, (high0 ^ x3 ^ k1) >>> 0, low0];
    k0 = (k0 + 0x9e37_79b9) >>> 0;
    k1 = (k1 + 0xbb67_ae85) >>> 0;
  }
  return [x0, x1, x2, x3];
}

/** The uniform 64-bit integer of one token draw, as (high, low) words; the draws of a row are numbered from 0. */
export function uniformOf(seed: bigint, position: bigint, number: number = 0): [high: number, low: number] {
  const [x0, x1] = philox4x32([...words(position), number, PURPOSE.draw], words(seed));
  return [x0, x1];
}

/** The seed of a row that was given none: a sampler-wide seed and the row's number. */
export function seedOfRow(samplerSeed: bigint, row: number): bigint {
  const [x0, x1] = philox4x32([row, 0, 0, PURPOSE.rowSeed], words(samplerSeed));
  return (BigInt(x1) << 32n) | BigInt(x0);
}

/** {@link seedOfRow} for one sampler, each row's worked out once. */
export function rowSeeds(samplerSeed: bigint): (row: number) => bigint {
  const seeds: bigint[] = [];
  return (row) => (seeds[row] ??= seedOfRow(samplerSeed, row));
}

/** A 64-bit integer as (low, high) words. */
export function words(value: bigint): [low: number, high: number] {
  return [Number(value & 0xffff_ffffn), Number(value >> 32n)];
}
