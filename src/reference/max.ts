import { clampLogit } from "./numeric.ts";

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
 * Finds the row's largest logit, and that of every group. `NaN` and `-inf` are passed over (no comparison with them
 * is ever true); `+inf` counts as the largest finite float. The twin of `shaders/max.wgsl`.
 *
 * @param logits one row, `[vocabSize]`
 * @param delegates scratch to write into, `[ceil(vocabSize / GROUP_SIZE)]`
 */
export function max(
  logits: Float32Array,
  delegates: Float32Array = new Float32Array(Math.ceil(logits.length / GROUP_SIZE)),
): RowMax {
  let rowMax = -Infinity;
  for (let group = 0, start = 0; start < logits.length; group++, start += GROUP_SIZE) {
    const end = Math.min(start + GROUP_SIZE, logits.length);
    let largest = -Infinity;
    for (let id = start; id < end; id++) {
      const z = logits[id]!;
      if (z > largest) largest = z;
    }
    largest = clampLogit(largest);
    delegates[group] = largest;
    if (largest > rowMax) rowMax = largest;
  }
  return { max: rowMax, delegates };
}
