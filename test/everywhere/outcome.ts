/** What a row came to, as words: the form in which runtimes are compared and digested. */
import type { SampleResult } from "../../src/engine.ts";
import { outputsOf } from "../../src/outputs.ts";
import { planRow } from "../../src/params.ts";
import { append } from "../../src/reference/append.ts";
import { widen } from "../../src/reference/convert.ts";
import type { RowSample, RowStatus } from "../../src/reference/draw.ts";
import { draw } from "../../src/reference/draw.ts";
import { draws } from "../../src/reference/draws.ts";
import { emptyHistory, type RowHistory, tokenAt } from "../../src/reference/history.ts";
import { list, normalize, type RowCandidates } from "../../src/reference/list.ts";
import { max } from "../../src/reference/max.ts";
import { processed } from "../../src/reference/process.ts";
import { numbersOf, report, type RowNumbers, type RowReport } from "../../src/reference/report.ts";
import { emptyState } from "../../src/reference/stages.ts";
import { narrow, write } from "../../src/reference/write.ts";
import { resultOf } from "../../src/result.ts";
import type { Said } from "../support/processing.ts";
import type { Call, Section } from "./corpus.ts";

const STATUS: readonly RowStatus[] = ["ok", "masked", "nan"];

/** What came of a row. All of it is compared; what is made of integers and of nothing else is digested, too. */
export interface RowOutcome {
  readonly sample: RowSample;
  /** Draws of the same call behind that, if it has several. */
  readonly draws: readonly RowSample[];
  readonly kept: RowCandidates;
  /** Tokens of further draws. */
  readonly further: readonly number[];
  /** What by then the row has said, and its stages have learned. */
  readonly history: readonly number[];
  readonly state: readonly number[];
  /** What is told of the draws of the first call, if it asks for it. */
  readonly report: RowReport | undefined;
  /** The row of `maskLogits` and that of `renormalize`, if the call asks for them. */
  readonly written: readonly (Float32Array | Uint16Array)[];
  /** What `sample` gives: logarithms, which engines of JavaScript may round otherwise. */
  readonly numbers: readonly number[];
}

/** The words of a row that are digested, in parts by name. */
function partsOf({
  sample,
  draws,
  kept,
  further,
  history,
  state,
  report,
  written,
}: RowOutcome): [string, ArrayLike<number>][] {
  return [
    ["token", [sample.token]],
    ["status", [STATUS.indexOf(sample.status)]],
    ["weight", [sample.weight]],
    ["mass", long(sample.mass)],
    ["count of kept tokens", [kept.tokens.length]],
    ["kept token", kept.tokens],
    ["probability", bitsOf(kept.probabilities)],
    ["draw of the same call", draws.flatMap(({ token, weight }) => [token, weight])],
    ["further draw", further],
    ["history", history],
    ["state", state],
    ["report", report === undefined ? [] : wordsOfReport(report)],
    ...written.map((values, index): [string, ArrayLike<number>] => [
      index === 0 ? "masked logit" : "renormalized probability",
      bitsOf(values),
    ]),
  ];
}

const long = (value: number): [low: number, high: number] => [value % 2 ** 32, Math.floor(value / 2 ** 32)];

function bitsOf(values: Float32Array | Uint16Array): Uint32Array | Uint16Array {
  return values instanceof Uint16Array ? values : new Uint32Array(values.buffer, values.byteOffset, values.length);
}

function wordsOfReport(told: RowReport): number[] {
  const sums = [told.mass, told.information, told.keptMass, told.wholeMass].flatMap(long);
  const drawn = told.drawn.flatMap(({ rank, key }) => [rank, key]);
  const { tokens, keys } = told.top;
  return [told.baseKey, told.keptCount, ...sums, ...drawn, tokens.length, ...tokens, ...keys, ...told.chosen];
}

/** What is digested of a row. */
export function wordsOfRow(outcome: RowOutcome): Uint32Array<ArrayBuffer> {
  const parts = partsOf(outcome);
  const words = new Uint32Array(parts.reduce((sum, [, part]) => sum + part.length, 0));
  let at = 0;
  for (const [, part] of parts) {
    words.set(part, at);
    at += part.length;
  }
  return words;
}

/** Says how two rows differ, or undefined. */
export function rowDifference(actual: RowOutcome, expected: RowOutcome): string | undefined {
  const parts = (outcome: RowOutcome): [string, ArrayLike<number>][] => [
    ...partsOf(outcome),
    ["number", outcome.numbers],
  ];
  const others = parts(actual);
  for (const [index, [name, wanted]] of parts(expected).entries()) {
    const had = others[index]![1];
    for (let i = 0; i < Math.max(had.length, wanted.length); i++) {
      if (Object.is(had[i], wanted[i])) continue;
      return `${name} ${i} is ${had[i]}, expected ${wanted[i]}`;
    }
  }
  return undefined;
}

/** All numbers of a row that `sample` gives, besides the token. */
export function numbersOfRow(result: SampleResult, row: number): number[] {
  const { logprobs, topLogprobs, tokenLogprobs, ranks, entropies, keptCounts, keptMasses, status } = result;
  const top = topLogprobs?.[row];
  const draws = logprobs.length / status.length;
  return [
    ...[logprobs, ranks].flatMap((values) => Array.from(values?.subarray(row * draws, (row + 1) * draws) ?? [])),
    ...[entropies, keptCounts, keptMasses].flatMap((values) => values?.[row] ?? []),
    ...(top === undefined ? [] : [...top.tokens, ...top.logprobs]),
    ...(tokenLogprobs?.[row] ?? []),
  ];
}

/** The rows of a call as the reference has them. */
export function referenceRows({ vocabSize, logitsType, rows, maxHistory, staged }: Section, call: Call): RowOutcome[] {
  const plans = call.params.map((params) => planRow(params, vocabSize));
  const outputs = outputsOf(plans);
  const told: RowNumbers[] = [];
  const outcomes = Array.from({ length: rows }, (_, row): Omit<RowOutcome, "numbers"> => {
    const at = call.offset + (call.rowMap?.[row] ?? row) * call.rowStride;
    const bits = call.logits.subarray(at, at + vocabSize);
    const logits = bits instanceof Float32Array ? bits : widen(bits, logitsType as "float16" | "bfloat16");
    const params = call.params[row]!;
    const plan = plans[row]!;
    const history = call.said === undefined ? undefined : historyOf(call.said[row]!, maxHistory);
    const look = (): { readonly seen: Float32Array; readonly found: ReturnType<typeof max> } => {
      const seen = processed(logits, plan.process, history);
      return { seen, found: max(seen) };
    };
    const first = look();
    let state = emptyState();
    const drawAt = (position: bigint): RowSample => {
      const { seen, found } = plan.process === undefined ? first : look();
      const sample = draw(seen, found, plan, params.seed, BigInt.asUintN(64, position), state);
      state = sample.state ?? state;
      if (history !== undefined) append(history, [sample.token]);
      return sample;
    };
    const kept = list(first.seen, plan, first.found, params);
    const sample = drawAt(params.position);
    const all = plan.draws === 1 ? [sample] : draws(kept, plan, params.seed, params.position, sample);
    const wanted = outputs?.[row];
    let reported: RowReport | undefined;
    if (wanted !== undefined) {
      const sampled = { logits: first.seen, row: first.found };
      const drawScale = kept.scale ?? plan.drawScale;
      const asGiven = wanted.mode === "raw" ? { logits, row: max(logits) } : sampled;
      reported = report({ told: asGiven, sampled, kept, drawScale, drawn: all.map(({ token }) => token) }, wanted);
      told.push(numbersOf(reported, wanted, all, drawScale));
    }
    const further = Array.from({ length: call.further }, (__, n) => drawAt(params.position + BigInt(n + 1)).token);
    const masked = (): Float32Array | Uint16Array => {
      const values = write(first.seen, kept, "logits");
      return logitsType === "float32" ? values : narrow(values, logitsType);
    };
    return {
      sample,
      draws: all.slice(1),
      kept: normalize(kept),
      further,
      history: history === undefined ? [] : wordsOfHistory(textOf(history)),
      state: staged ? [state.mirostat >>> 0, state.adaptiveSum, state.adaptiveTotal] : [],
      report: reported,
      written: call.written === true ? [masked(), write(first.seen, kept, "probabilities")] : [],
    };
  });
  const samples = outcomes.map(({ sample, draws: others }) => [sample, ...others]);
  const result = resultOf(samples, outputs && { rows: told, plans: outputs });
  return outcomes.map((outcome, row) => Object.assign(outcome, { numbers: numbersOfRow(result, row) }));
}

/** A history that was told a prompt, and then an output. */
function historyOf({ prompt, output }: Said, capacity: number): RowHistory {
  const history = emptyHistory(capacity);
  history.ring.set(prompt);
  Object.assign(history, { length: prompt.length, prompt: prompt.length });
  append(history, output);
  return history;
}

function textOf(history: RowHistory): { readonly prompt: number[]; readonly output: number[] } {
  const tokens = Array.from({ length: history.length }, (_, index) => tokenAt(history, index));
  return { prompt: tokens.slice(0, history.prompt), output: tokens.slice(history.prompt) };
}

/** What a row has said, as words. */
export function wordsOfHistory({ prompt, output }: { prompt: Iterable<number>; output: Iterable<number> }): number[] {
  const [before, since] = [[...prompt], [...output]];
  return [before.length, since.length, ...before, ...since];
}

/** SHA-256 of words, least significant byte first whatever the machine, as hexadecimal digits. */
export async function sha256(parts: readonly Uint32Array[]): Promise<string> {
  const bytes = new DataView(new ArrayBuffer(4 * parts.reduce((sum, part) => sum + part.length, 0)));
  let at = 0;
  for (const part of parts) {
    for (const word of part) {
      bytes.setUint32(at, word, true);
      at += 4;
    }
  }
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Digest of digests. */
export function sha256OfText(text: string): Promise<string> {
  return sha256([Uint32Array.from(text, (letter) => letter.codePointAt(0)!)]);
}
