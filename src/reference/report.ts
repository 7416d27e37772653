import type { OutputPlan } from "../outputs.ts";
import type { RowPlan } from "../params.ts";
import type { RowSample } from "./draw.ts";
import { inOrder } from "./cut.ts";
import type { WeightedCandidates } from "./list.ts";
import type { RowMax } from "./max.ts";
import {
  bitsFloat,
  bitsOfKey,
  clampLogit,
  distance,
  distanceScale,
  exp2fix,
  floatBits,
  keyOfBits,
  NO_TOKEN,
} from "./numeric.ts";

/** Scale of the weights at temperature 1. */
export const UNIT_SCALE: number = distanceScale(1);

/** What is told of a row, in integers: all that log probabilities, ranks and entropies are made of. */
export interface RowReport {
  /**
   * Key of the largest logit of the distribution, which weights are relative to; 0 in a row without a candidate, of which
   * nothing else is told.
   */
  readonly baseKey: number;
  /** Sum of the weights of the distribution; 0 where the draw knows it, or where nobody needs it. */
  readonly mass: number;
  /** Sum of `weight · distance / 2^20`, each rounded to the nearest integer. */
  readonly information: number;
  /** How many tokens are kept. */
  readonly keptCount: number;
  /** Sum of the weights of the kept tokens at the scale of the draw, relative to the row's largest logit. */
  readonly keptMass: number;
  /** The same of all candidates. */
  readonly wholeMass: number;
  /** The drawn tokens. */
  readonly drawn: readonly DrawnReport[];
  /** The most probable tokens of the distribution. */
  readonly top: TopReport;
  /** Keys of the chosen tokens; 0 for one that is not of the distribution. */
  readonly chosen: Uint32Array;
}

/** A row, and what was found in it. */
export interface ReportedRow {
  /** `[vocabSize]` */
  readonly logits: Float32Array;
  /** What `max` found. */
  readonly row: RowMax;
}

/** A drawn token. */
export interface DrawnReport {
  /** Its place among all candidates, from 1; 0 if that is not wanted. */
  readonly rank: number;
  /** The key of its logit; 0 is that of no candidate. */
  readonly key: number;
}

/** The most probable tokens. */
export interface TopReport {
  /** Token ids, most probable first. */
  readonly tokens: Uint32Array;
  /** The keys of their logits. */
  readonly keys: Uint32Array;
}

/** What a report is made of. */
export interface ReportInput {
  /** The row that the mode speaks of. */
  readonly told: ReportedRow;
  /** The row that was drawn from; the same one but for raw logits of a processed row. */
  readonly sampled: ReportedRow;
  /** What was kept of that, most probable first; may be left out where {@link needsKept} says so. */
  readonly kept?: WeightedCandidates | undefined;
  /** Scale of the draw; 0 in a greedy row. */
  readonly drawScale: number;
  /** Tokens that were drawn; `NO_TOKEN` has no rank. */
  readonly drawn: ArrayLike<number>;
}

/** Whether a report depends on the list of kept tokens, which costs more than the draw where nothing is cut off. */
export function needsKept({ mode, top, chosen, entropy }: OutputPlan, { stages }: RowPlan): boolean {
  return stages !== undefined || entropy || (mode === "kept" && top + chosen.length > 0);
}

/** Whether the distribution of a row is that of the kept tokens; a greedy row has none. */
function isOfKept({ mode }: OutputPlan, drawScale: number): boolean {
  return mode === "kept" && drawScale !== 0;
}

/** Reports on a row. The twin of `shaders/report.wgsl`. */
export function report(input: ReportInput, plan: OutputPlan): RowReport {
  const { sampled, drawn } = input;
  const kept = input.kept?.tokens ?? new Uint32Array(0);
  const { logits, row } = input.told;
  const none = row.max === -Infinity;
  const ofKept = isOfKept(plan, input.drawScale);
  const drawScale = input.drawScale || UNIT_SCALE;
  const scale = plan.mode === "raw" ? UNIT_SCALE : drawScale;
  const keyOf = (id: number): number => (id < logits.length ? keyOfBits(floatBits(logits[id]!)) : 0);
  const keptCount = plan.entropy ? kept.length : 0;
  const weighs = plan.entropy && sampled.row.max !== -Infinity;
  const keptMass = weighs ? survey(sampled.logits, sampled.row.max, drawScale, kept).mass : 0;
  const wholeMass = weighs ? survey(sampled.logits, sampled.row.max, drawScale).mass : 0;
  if (none) {
    const nothing = Array.from(drawn, () => ({ rank: 0, key: 0 }));
    const top = { tokens: new Uint32Array(0), keys: new Uint32Array(0) };
    const chosen = new Uint32Array(plan.chosen.length);
    return { baseKey: 0, mass: 0, information: 0, keptCount, keptMass, wholeMass, drawn: nothing, top, chosen };
  }

  const hasList = plan.top + plan.chosen.length > 0;
  const needsMass = plan.entropy || (ofKept ? hasList && plan.adapted : hasList || plan.mode !== "kept");
  const baseKey = ofKept && kept.length > 0 ? keyOf(kept[0]!) : keyOfBits(floatBits(row.max));
  const totals = needsMass
    ? survey(logits, logitOfKey(baseKey), scale, ofKept ? kept : undefined)
    : { mass: 0, information: 0 };
  const tokens = ofKept ? kept.slice(0, plan.top) : mostProbable(logits, plan.top);
  const members = new Set(ofKept && plan.chosen.length > 0 ? kept : []);
  return {
    baseKey,
    mass: totals.mass,
    information: plan.entropy ? totals.information : 0,
    keptCount,
    keptMass,
    wholeMass,
    drawn: Array.from(drawn, (id) => {
      const key = keyOf(id);
      return { rank: plan.rank && id < logits.length ? rankOf(logits, id) : 0, key };
    }),
    top: { tokens, keys: tokens.map(keyOf) },
    chosen: plan.chosen.map((id) => (ofKept && !members.has(id) ? 0 : keyOf(id))),
  };
}

/** Masses of a row's candidates, or of some of them. */
function survey(
  logits: Float32Array,
  max: number,
  scale: number,
  ids?: Uint32Array,
): { mass: number; information: number } {
  let mass = 0;
  let information = 0;
  const add = (z: number): void => {
    if (!(z > -Infinity)) return;
    const away = distance(max, clampLogit(z), scale);
    const weight = exp2fix(away);
    mass += weight;
    information += Math.floor((weight * away + 2 ** 19) / 2 ** 20); // exact: the product is below 2^51
  };
  if (ids === undefined) for (let id = 0; id < logits.length; id++) add(logits[id]!);
  else for (const id of ids) add(logits[id]!);
  return { mass, information };
}

/** 1 more than the number of tokens in front of a token in the ordered row. */
function rankOf(logits: Float32Array, token: number): number {
  const z = clampLogit(logits[token]!);
  let rank = 1;
  for (let id = 0; id < logits.length; id++) {
    const other = clampLogit(logits[id]!);
    // All candidates are in front of a token that is none.
    if (z > -Infinity ? other > z || (other === z && id < token) : other > -Infinity) rank++;
  }
  return rank;
}

/** The first `count` tokens of the ordered row. */
function mostProbable(logits: Float32Array, count: number): Uint32Array {
  if (count === 0) return new Uint32Array(0);
  // The largest logits so far, ascending: what does not exceed the first of them is not among the most probable.
  const largest = new Float32Array(count).fill(-Infinity);
  const ids: number[] = [];
  for (let id = 0; id < logits.length; id++) {
    const z = clampLogit(logits[id]!);
    if (!(z > largest[0]!)) continue; // ascending ids: of ties the first ones stay
    let at = 0;
    for (; at + 1 < count && largest[at + 1]! < z; at++) largest[at] = largest[at + 1]!;
    largest[at] = z;
    ids.push(id);
  }
  return inOrder(logits, Uint32Array.from(ids)).slice(0, count);
}

/** A list of tokens with their log probabilities. */
export interface TokenLogprobs {
  /** Token ids. */
  readonly tokens: Uint32Array;
  /** Natural logarithms of their probabilities. */
  readonly logprobs: Float32Array;
}

/** What is told of a row, in numbers to read. */
export interface RowNumbers {
  /** Natural logarithms of the probabilities of the drawn tokens. */
  readonly logprobs: readonly number[];
  /** Their ranks. */
  readonly ranks: readonly number[];
  /** The most probable tokens, in order. */
  readonly top: TokenLogprobs;
  /** Of the tokens that were asked for, in their order. */
  readonly chosen: Float32Array;
  /** In nats; `NaN` without a candidate. */
  readonly entropy: number;
  /** How many tokens the filters keep. */
  readonly keptCount: number;
  /** What the kept tokens have of the whole probability, at the temperature of the draw. */
  readonly keptMass: number;
}

/**
 * Takes the logarithms: the one place where they come from, for both engines.
 *
 * @param samples of the drawn tokens
 * @param drawScale scale of the draw; 0 in a greedy row
 */
export function numbersOf(
  told: RowReport,
  plan: OutputPlan,
  samples: readonly RowSample[],
  drawScale: number,
): RowNumbers {
  const ofKept = isOfKept(plan, drawScale);
  const first = samples[0]!;
  const scale = plan.mode === "raw" ? UNIT_SCALE : drawScale || UNIT_SCALE;
  const mass = ofKept && !plan.adapted ? first.mass : told.mass;
  const max = logitOfKey(told.baseKey);
  const logprobOf = (key: number): number => {
    if (key === 0) return -Infinity;
    const z = logitOfKey(key);
    // What is kept is drawn with the probabilities of its weights; a model's opinion has no such steps.
    if (ofKept) return Math.log(exp2fix(distance(max, z, scale)) / mass);
    return ((z - max) * scale * Math.LN2) / 2 ** 21 - Math.log(mass / 2 ** 31);
  };
  const entropy = Math.LN2 * (told.information / mass + Math.log2(mass / 2 ** 31));
  return {
    logprobs: samples.map((sample, index) => {
      if (plan.mode === "kept" || sample.token === NO_TOKEN) return Math.log(sample.weight / sample.mass);
      return logprobOf(told.drawn[index]!.key);
    }),
    ranks: told.drawn.map(({ rank }) => rank),
    top: { tokens: told.top.tokens, logprobs: Float32Array.from(told.top.keys, logprobOf) },
    chosen: Float32Array.from(told.chosen, logprobOf),
    entropy: told.baseKey === 0 ? NaN : Math.max(0, entropy),
    keptCount: told.keptCount,
    keptMass: told.wholeMass === 0 ? 0 : told.keptMass / told.wholeMass,
  };
}

function logitOfKey(key: number): number {
  return bitsFloat(bitsOfKey(key));
}
