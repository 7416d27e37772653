/** What a row came to, as words: the form in which runtimes are compared and digested. */
import { append } from "../../src/reference/append.ts";
import type { RowSample, RowStatus } from "../../src/reference/draw.ts";
import { draw } from "../../src/reference/draw.ts";
import { list, normalize, type RowCandidates } from "../../src/reference/list.ts";
import { emptyHistory, type RowHistory, tokenAt } from "../../src/reference/history.ts";
import { max } from "../../src/reference/max.ts";
import { planRow } from "../../src/params.ts";
import { widen } from "../../src/reference/convert.ts";
import { processed } from "../../src/reference/process.ts";
import { emptyState } from "../../src/reference/stages.ts";
import type { Said } from "../support/processing.ts";
import type { Call, Section } from "./corpus.ts";

const STATUS: readonly RowStatus[] = ["ok", "masked", "nan"];

/**
 * Token, status, weight, mass, kept tokens, the bits of their probabilities, the tokens of further draws, and what by
 * then the row has said, and its stages have learned.
 */
export function wordsOfRow(
  sample: RowSample,
  kept: RowCandidates,
  further: readonly number[],
  history: readonly number[] = [],
  learned: readonly number[] = [],
): Uint32Array<ArrayBuffer> {
  const count = kept.tokens.length;
  const words = new Uint32Array(6 + 2 * count + further.length + history.length + learned.length);
  words.set([
    sample.token,
    STATUS.indexOf(sample.status),
    sample.weight,
    sample.mass % 2 ** 32,
    Math.floor(sample.mass / 2 ** 32),
    count,
  ]);
  words.set(kept.tokens, 6);
  const { buffer, byteOffset } = kept.probabilities;
  words.set(new Uint32Array(buffer, byteOffset, count), 6 + count);
  words.set(further, 6 + 2 * count);
  words.set(history, 6 + 2 * count + further.length);
  words.set(learned, words.length - learned.length);
  return words;
}

/** Says how two rows differ, or undefined. */
export function rowDifference(actual: Uint32Array, expected: Uint32Array): string | undefined {
  const names = ["token", "status", "weight", "low word of the mass", "high word of the mass", "count of kept tokens"];
  for (let i = 0; i < Math.max(actual.length, expected.length); i++) {
    if (actual[i] === expected[i]) continue;
    const count = expected[5]!;
    const at = i - 6;
    const later =
      at < 2 * count ? `probability ${at - count}` : `word ${at - 2 * count + 1} of further draws, history and state`;
    const what = names[i] ?? (at < count ? `kept token ${at}` : later);
    return `${what} is ${actual[i]}, expected ${expected[i]}`;
  }
  return undefined;
}

/** The rows of a call as the reference has them. */
export function referenceRows(
  { vocabSize, logitsType, rows, maxHistory, staged }: Section,
  call: Call,
): Uint32Array<ArrayBuffer>[] {
  return Array.from({ length: rows }, (_, row) => {
    const at = call.offset + row * call.rowStride;
    const bits = call.logits.subarray(at, at + vocabSize);
    const logits = bits instanceof Float32Array ? bits : widen(bits, logitsType as "float16" | "bfloat16");
    const params = call.params[row]!;
    const plan = planRow(params, vocabSize);
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
    const kept = normalize(list(first.seen, plan, first.found, params));
    const sample = drawAt(params.position);
    const further = Array.from({ length: call.further }, (__, n) => drawAt(params.position + BigInt(n + 1)).token);
    return wordsOfRow(
      sample,
      kept,
      further,
      history === undefined ? [] : wordsOfHistory(textOf(history)),
      staged ? [state.mirostat >>> 0, state.adaptiveSum, state.adaptiveTotal] : [],
    );
  });
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
