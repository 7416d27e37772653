/**
 * Fixed-point arithmetic for the rules that need a logarithm, a root or a quotient: integers in, integers out, every
 * rounding stated. The twin of `shaders/lib/fixed.wgsl`.
 */

/** One octave, a factor of two, in the unit of distances: 2^-20 octaves. */
export const OCTAVE: number = 2 ** 20;

/**
 * The binary logarithm of an integer, in 2^-20 octaves: the bits of the fraction one by one, by squaring a mantissa of 32
 * bits whose last ones are cut off each time. Exact for powers of two, never above the true value, and within 2^-20
 * octaves of it.
 *
 * @param value 1 to 2^53
 */
export function log2fix(value: number): number {
  const whole = value.toString(2).length - 1;
  let mantissa = BigInt(Math.floor(value * 2 ** (31 - whole)));
  let log = whole;
  for (let bit = 0; bit < 20; bit++) {
    mantissa = (mantissa * mantissa) >> 31n;
    log *= 2;
    if (mantissa >> 32n !== 0n) {
      mantissa >>= 1n;
      log += 1;
    }
  }
  return log;
}

/** `floor(a · 2^bits / b)`, of integers from 0 on; at most 2^32 - 1. */
export function quotient(a: number | bigint, b: number | bigint, bits: number = 0): number {
  const exact = (BigInt(a) << BigInt(bits)) / BigInt(b);
  return exact > 0xffff_ffffn ? 0xffff_ffff : Number(exact);
}

/** `floor(a · b / 2^bits)`, of integers; rounds towards minus infinity. */
export function product(a: number, b: number, bits: number): number {
  return Number((BigInt(a) * BigInt(b)) >> BigInt(bits));
}

/** `floor(sqrt(value))`. */
export function squareRoot(value: bigint): number {
  let root = 0n;
  for (let bit = 31n; bit >= 0n; bit--) {
    const next = root | (1n << bit);
    if (next * next <= value) root = next;
  }
  return Number(root);
}
