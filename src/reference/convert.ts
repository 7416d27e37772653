/** Logit types the sampler reads. */
export type LogitsType = "float32" | "float16" | "bfloat16";

/** Bytes of one logit. */
export function bytesPerLogit(type: LogitsType): 2 | 4 {
  return type === "float32" ? 4 : 2;
}

/** The float32 bits of a float16, by integer operations so that subnormals survive. */
export function bitsOfHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const magnitude = half & 0x7fff;
  if (magnitude >= 0x7c00) return (sign | 0x7f80_0000 | ((magnitude & 0x3ff) << 13)) >>> 0; // inf, NaN
  if (magnitude >= 0x400) return (sign | ((magnitude << 13) + 0x3800_0000)) >>> 0;
  if (magnitude === 0) return sign >>> 0;
  const shift = Math.clz32(magnitude) - 21; // brings the leading one to bit 10
  return (sign | ((((magnitude << shift) & 0x3ff) << 13) | ((113 - shift) << 23))) >>> 0;
}

/**
 * Widens 16-bit logits to float32; exact.
 *
 * @param bits float16 or bfloat16 bits
 * @param into where to, of the same length
 */
export function widen(
  bits: Uint16Array,
  type: Exclude<LogitsType, "float32">,
  into: Float32Array = new Float32Array(bits.length),
): Float32Array {
  const out = new Uint32Array(into.buffer, into.byteOffset, into.length);
  if (type === "bfloat16") for (let i = 0; i < bits.length; i++) out[i] = bits[i]! << 16;
  else for (let i = 0; i < bits.length; i++) out[i] = bitsOfHalf(bits[i]!);
  return into;
}
