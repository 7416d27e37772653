import type { MaskPlan, ProcessPlan } from "../processing.ts";
import { clear } from "./clear.ts";
import { count } from "./count.ts";
import { NO_HISTORY, type RowHistory } from "./history.ts";
import { countOf, hasBit, isSeen, type Marks, newMarks, repeatOf } from "./marks.ts";
import { clampLogit, MAX_FLOAT, NO_TOKEN } from "./numeric.ts";

/**
 * Turns marked logits into processed ones: `-inf` where a token is banned, arithmetic where it is touched, the same bits
 * everywhere else. The twin of `shaders/process.wgsl`.
 *
 * @param logits one row, `[vocabSize]`
 * @param marks what `count` left
 * @param into where to, `[vocabSize]`; not `logits`
 */
export function process(logits: Float32Array, marks: Marks, plan: ProcessPlan, into: Float32Array): Float32Array {
  into.set(logits);
  let bias = 0;
  for (let id = 0; id < logits.length; id++) {
    while (bias < plan.biasIds.length && plan.biasIds[bias]! < id) bias++;
    const isBanned =
      hasBit(marks.banned, id) ||
      (plan.allowed !== undefined && !maskBit(plan.allowed, id)) ||
      (plan.banned !== undefined && maskBit(plan.banned, id)) ||
      (plan.forced !== NO_TOKEN && plan.forced !== id);
    if (isBanned) into[id] = -Infinity;
    else if (plan.forced === id) into[id] = 0;
    else if (hasBit(marks.touched, id)) {
      const added = plan.biasIds[bias] === id ? plan.biases[bias]! : undefined;
      into[id] = adjust(logits[id]!, added, marks.words[id]!, plan);
    }
  }
  return into;
}

/** One touched logit: bias, then penalties, then DRY; each step is one operation of float32. */
function adjust(logit: number, bias: number | undefined, word: number, plan: ProcessPlan): number {
  if (Number.isNaN(logit) || logit === -Infinity) return logit;
  let z = clampLogit(logit);
  const repeat = (): void => {
    if (plan.repetition !== 1 && isSeen(word)) {
      z = rounded(z > 0 ? z / plan.repetition : z * plan.repetition);
    }
  };
  if (bias !== undefined) z = rounded(z + bias);
  if (!plan.additiveFirst) repeat();
  const times = countOf(word);
  if (times > 0 && plan.frequency !== 0) z = rounded(z - rounded(plan.frequency * times));
  if (times > 0 && plan.presence !== 0) z = rounded(z - plan.presence);
  if (plan.additiveFirst) repeat();
  if (plan.dry !== undefined && repeatOf(word) > 0) {
    const { allowedLength, penalties } = plan.dry;
    z = rounded(z - penalties[Math.min(repeatOf(word) - allowedLength, penalties.length - 1)]!);
  }
  return z;
}

/** To float32, to the nearest, ties to even; what is too large becomes the largest finite float. */
function rounded(value: number): number {
  return Math.max(Math.min(Math.fround(value), MAX_FLOAT), -MAX_FLOAT);
}

function maskBit({ source, offset }: MaskPlan, id: number): boolean {
  if (!(source instanceof Uint32Array)) throw new TypeError("a mask in a GPUBuffer cannot be read on the CPU");
  return (source[offset + (id >>> 5)]! & (1 << (id & 31))) !== 0;
}

/** Memory that {@link processed} works in, for one vocabulary. */
export interface ProcessScratch {
  /** All zero between rows. */
  readonly marks: Marks;
  /** The last processed row. */
  readonly row: Float32Array;
}

/** Makes memory for {@link processed}. */
export function processScratch(vocabSize: number): ProcessScratch {
  return { marks: newMarks(vocabSize), row: new Float32Array(vocabSize) };
}

/**
 * The processed logits of a row, from plan and history.
 *
 * @returns `logits` themselves if there is nothing to do, else a row in `scratch`
 */
export function processed(
  logits: Float32Array,
  plan: ProcessPlan | undefined,
  history: RowHistory = NO_HISTORY,
  scratch: ProcessScratch = processScratch(logits.length),
): Float32Array {
  if (plan === undefined) return logits;
  count(scratch.marks, plan, history);
  const row = process(logits, scratch.marks, plan, scratch.row);
  clear(scratch.marks);
  return row;
}
