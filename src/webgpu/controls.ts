/**
 * Packs what rows ask of their logits into the layout of `shaders/lib/processing.wgsl`.
 */
import { type ProcessPlan, WHOLE_HISTORY } from "../processing.ts";
import { penalises } from "../reference/count.ts";
import { NO_TOKEN } from "../reference/numeric.ts";

/** Words in front of the plans, and words of a plan. */
const HEADER_WORDS = 4;
const PLAN_WORDS = 24;
const NONE = 0xffff_ffff;

const FLAG = { penalties: 1, repetition: 2, frequency: 4, presence: 8, additiveFirst: 16, dry: 32 } as const;

/** Words of a mask that lie in a buffer of the caller's. */
export interface MaskCopy {
  readonly source: GPUBuffer;
  /** Words. */
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/** The controls of a dispatch's rows. */
export interface Controls {
  readonly words: Uint32Array<ArrayBuffer>;
  /** To be done before the rows are processed. */
  readonly copies: readonly MaskCopy[];
  /** Entries of the longest list of a row, without its history. */
  readonly listed: number;
  /** How many of the last tokens matter. */
  readonly reach: number;
  /** How many tokens are compared for each of them, at most. */
  readonly run: number;
}

/**
 * Packs controls.
 *
 * @param plans one per row of the dispatch
 * @param capacity tokens that a row's history holds
 */
export function packControls(
  plans: readonly (ProcessPlan | undefined)[],
  capacity: number,
  vocabSize: number,
): Controls {
  const pieces: { at: number; words: Uint32Array }[] = [];
  const places = new Map<object, number>();
  const copies: MaskCopy[] = [];
  let end = HEADER_WORDS + PLAN_WORDS * plans.length;
  /** Puts words down once, however many rows share them. */
  const put = (key: object, ...arrays: Uint32Array[]): number => {
    let place = places.get(key);
    if (place === undefined) {
      places.set(key, (place = end));
      for (const words of arrays) {
        pieces.push({ at: end, words });
        end += words.length;
      }
    }
    return place;
  };
  const list = (ids: Uint32Array, ...more: Uint32Array[]): [number, number] => [put(ids, ids, ...more), ids.length];
  const mask = (plan: ProcessPlan["allowed"]): number => {
    if (plan === undefined) return NONE;
    if (plan.source instanceof Uint32Array) return put(plan.source, plan.source);
    let to = places.get(plan);
    if (to === undefined) {
      places.set(plan, (to = end));
      end += Math.ceil(vocabSize / 32);
      copies.push({ source: plan.source, from: plan.offset, to, count: end - to });
    }
    return to;
  };

  const header = new Uint32Array(end);
  header[0] = capacity;
  let listed = 0;
  let reach = 0;
  let run = 0;
  for (const [row, plan] of plans.entries()) {
    const at = HEADER_WORDS + PLAN_WORDS * row;
    if (plan === undefined) {
      header.set([NO_TOKEN], at + 5);
      header.set([NONE, NONE], at + 16);
      continue;
    }
    const { dry, badWords } = plan;
    const words = badWords.map((word) => put(word, Uint32Array.of(word.length), word));
    header.set(
      [
        (penalises(plan) ? FLAG.penalties : 0) |
          (plan.repetition !== 1 ? FLAG.repetition : 0) |
          (plan.frequency !== 0 ? FLAG.frequency : 0) |
          (plan.presence !== 0 ? FLAG.presence : 0) |
          (plan.additiveFirst ? FLAG.additiveFirst : 0) |
          (dry !== undefined ? FLAG.dry : 0),
        ...bitsOf(Float32Array.of(plan.repetition, plan.frequency, plan.presence)),
        plan.window,
        plan.forced,
        plan.ngram,
        plan.minTokens,
        ...list(plan.biasIds, bitsOf(plan.biases)),
        ...list(plan.suppressed),
        ...list(plan.stops),
        ...list(Uint32Array.from(words)),
        mask(plan.allowed),
        mask(plan.banned),
        ...(dry === undefined
          ? [0, 0, 0, 0, 0, 0]
          : [put(dry, bitsOf(dry.penalties)), dry.penalties.length, ...list(dry.breakers)]),
        ...(dry === undefined ? [] : [dry.allowedLength, dry.window]),
      ],
      at,
    );
    listed = Math.max(listed, plan.biasIds.length, plan.suppressed.length, plan.stops.length, badWords.length);
    if (plan.ngram > 0) reach = WHOLE_HISTORY;
    run = Math.max(run, plan.ngram, dry === undefined ? 0 : dry.allowedLength + dry.penalties.length);
    reach = Math.max(reach, penalises(plan) ? plan.window : 0, dry?.window ?? 0);
  }
  const packed = new Uint32Array(end);
  packed.set(header);
  for (const { at, words } of pieces) packed.set(words, at);
  return { words: packed, copies, listed, reach, run };
}

/** The bits of floats. */
function bitsOf(floats: Float32Array): Uint32Array {
  return new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
}
