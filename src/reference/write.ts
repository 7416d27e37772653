import { bitsFloat, clampLogit, floatBits } from "./numeric.ts";
import type { LogitsType } from "./convert.ts";
import { normalize, type WeightedCandidates } from "./list.ts";

/** What {@link write} puts in the place of every token. */
export type Written = "logits" | "probabilities";

/**
 * What the filters keep of a row, in the place of every token. The twin of `shaders/write.wgsl`.
 *
 * @param logits the row, processed if it is
 * @param kept see `list`
 * @param what `"logits"`: the logit of a kept token, -inf for the others. `"probabilities"`: its probability, 0 for the others.
 * @returns `[vocabSize]`
 */
export function write(logits: Float32Array, kept: WeightedCandidates, what: Written): Float32Array {
  const out = new Float32Array(logits.length).fill(what === "logits" ? -Infinity : 0);
  if (what === "logits") for (const id of kept.tokens) out[id] = clampLogit(logits[id]!);
  else {
    const { tokens, probabilities } = normalize(kept);
    for (let index = 0; index < tokens.length; index++) out[tokens[index]!] = probabilities[index]!;
  }
  return out;
}

/** Bits of the largest finite float32. */
const LARGEST = 0x7f7f_ffff;

/**
 * The nearest 16-bit floats, ties to even. What is finite stays finite, but for the largest float32: that is +inf, which
 * alone counts as so much.
 */
export function narrow(values: Float32Array, type: Exclude<LogitsType, "float32">): Uint16Array {
  const of = type === "bfloat16" ? bfloatOf : halfOf;
  return Uint16Array.from(values, (value) => of(floatBits(value)));
}

function halfOf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fff_ffff;
  if (bits === LARGEST || magnitude >= 0x7f80_0000) return sign | 0x7c00;
  if (magnitude < 0x3880_0000) {
    // A subnormal: in units of 2^-24, where halves are told exactly.
    const units = bitsFloat(magnitude) * 2 ** 24;
    const whole = Math.floor(units);
    const rest = units - whole;
    return sign | (whole + (rest > 0.5 || (rest === 0.5 && whole % 2 === 1) ? 1 : 0));
  }
  const lifted = magnitude - 0x3800_0000;
  return sign | Math.min((lifted + 0xfff + ((lifted >>> 13) & 1)) >>> 13, 0x7bff);
}

function bfloatOf(bits: number): number {
  if (bits === LARGEST || (bits & 0x7fff_ffff) >= 0x7f80_0000) return ((bits >>> 16) & 0x8000) | 0x7f80;
  const rounded = (bits + 0x7fff + ((bits >>> 16) & 1)) / 0x1_0000;
  return (rounded & 0x8000) | Math.min(rounded & 0x7fff, 0x7f7f);
}
