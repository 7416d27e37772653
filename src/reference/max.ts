import { bitsFloat, clampLogit } from "./numeric.ts";

/** Tokens per group: a group's largest logit, its delegate, decides whether the group is read again. */
export const GROUP_SIZE = 64;

/** What one pass over a row leaves behind. */
export interface RowMax {
  /** Largest logit that can be sampled, or `-Infinity` when the row has no candidate. */
  readonly max: number;
  /** Largest logit of each group of {@link GROUP_SIZE} consecutive tokens, `-Infinity` where none can be sampled. */
  readonly delegates: Float32Array;
}

/**
 * Finds the row's largest logit, and that of every group. `NaN` and `-inf` are passed over; `+inf` counts as the
 * largest finite float. The twin of `shaders/max.wgsl`.
 *
 * @param logits one row, `[vocabSize]`
 * @param delegates scratch to write into, `[ceil(vocabSize / GROUP_SIZE)]`
 */
export function max(
  logits: Float32Array,
  delegates: Float32Array = new Float32Array(Math.ceil(logits.length / GROUP_SIZE)),
): RowMax {
  const bits = new Int32Array(logits.buffer, logits.byteOffset, logits.length);
  let rowMax = -Infinity;
  let flip = 0;
  for (let group = 0, start = 0; start < logits.length; group++, start += GROUP_SIZE) {
    let largest = Number.NaN;
    if (start + GROUP_SIZE <= bits.length) {
      let top = largestFlipped(bits, start, flip);
      // A group below zero after one that was not, or the other way round: groups of a row are mostly alike.
      if (top < 0 !== (flip !== 0)) {
        flip ^= MAGNITUDE;
        top = largestFlipped(bits, start, flip);
      }
      largest = bitsFloat(top ^ flip);
    }
    if (Number.isNaN(largest)) largest = largestOf(logits, start, Math.min(start + GROUP_SIZE, logits.length));
    largest = clampLogit(largest);
    delegates[group] = largest;
    if (largest > rowMax) rowMax = largest;
  }
  return { max: rowMax, delegates };
}

const MAGNITUDE = 0x7fff_ffff;

/**
 * The largest of a whole group's bits as signed integers: of floats from +0 up they are in order; of floats below, once
 * all bits but the sign are flipped. A NaN of positive sign is larger than any number.
 */
function largestFlipped(bits: Int32Array, start: number, flip: number): number {
  const end = start + GROUP_SIZE;
  let top = -0x8000_0000;
  // Eight a step, since a step costs as much as four of them.
  for (let id = start; id < end; id += 8) {
    top = larger(top, larger(largestOf4(bits, id, flip), largestOf4(bits, id + 4, flip)));
  }
  return top;
}

function largestOf4(bits: Int32Array, id: number, flip: number): number {
  const low = larger(bits[id]! ^ flip, bits[id + 1]! ^ flip);
  return larger(low, larger(bits[id + 2]! ^ flip, bits[id + 3]! ^ flip));
}

/** `Math.max` of two int32 without a branch, which would be mispredicted some four times a group. */
function larger(a: number, b: number): number {
  return (a + ((b - a) & -Number(b > a))) | 0;
}

/** No comparison with NaN is ever true. */
function largestOf(logits: Float32Array, start: number, end: number): number {
  let largest = -Infinity;
  for (let id = start; id < end; id++) if (logits[id]! > largest) largest = logits[id]!;
  return largest;
}
