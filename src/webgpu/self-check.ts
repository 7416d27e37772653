import type { Engine } from "../engine.ts";
import { planRow, type SamplingParams } from "../params.ts";
import { type LogitsType, widen } from "../reference/convert.ts";
import { append } from "../reference/append.ts";
import { logprobOf, sampleRow } from "../reference/draw.ts";
import { emptyHistory } from "../reference/history.ts";
import { processed } from "../reference/process.ts";

/** Tokens of a row of the check. */
export const CHECK_VOCAB = 3000;

/**
 * Every path of the kernels that every sampler has, once; those that calls ask for are not compiled yet. Two calls, because a
 * row with min-p gives all rows of its call the `mass` for that.
 */
const CALLS: readonly (readonly SamplingParams[])[] = [
  [
    { temperature: 0 },
    { temperature: 1.5 },
    { temperature: 2, topK: 50 },
    { temperature: 2, topK: 50, topP: 0.9 },
    { temperature: 1.5, topP: 0.9 },
    { temperature: 2, topK: 700 },
  ],
  [
    { temperature: 2, minP: 0.1 },
    { temperature: 1e6, topP: 0.5 },
  ],
];

/** Everything that processes logits at once. */
const PROCESSING: SamplingParams = {
  repetitionPenalty: 1.3,
  frequencyPenalty: 0.2,
  presencePenalty: 0.1,
  logitBias: { 7: 0.7, 8: -0.9, 2999: 0.3 },
  suppressTokens: [1, 2],
  badWords: [[9, 11, 12]],
  noRepeatNgramSize: 3,
  dry: { multiplier: 0.8 },
};
/** What every row has said by then. */
const SAID: Uint32Array = Uint32Array.of(7, 9, 11, 7, 9, 11, 14, 500, 501, 14, 500, 7, 9, 11);

/** Tokens that a row's history holds in the check of processed logits. */
export const CHECK_HISTORY: number = SAID.length + 2;

/** Rows of the check. */
export const CHECK_ROWS: number = Math.max(...CALLS.map((sets) => sets.length));

/**
 * Draws a few rows and compares them with the reference. A driver or a shader compiler that gets a kernel wrong is found
 * out here, before it has drawn a token for anybody.
 *
 * @param engine for `CHECK_VOCAB` tokens and `CHECK_ROWS` rows
 * @param processing whether the rows are processed; the engine then has histories of `CHECK_HISTORY` tokens
 * @returns what is wrong, or undefined
 */
export async function selfCheck(engine: Engine, type: LogitsType, processing: boolean): Promise<string | undefined> {
  // Bits of finite numbers in every 16-bit type, of both signs, with ties.
  const row = Uint16Array.from({ length: CHECK_VOCAB }, (_, id) => (0x3c00 + ((id * 7919) % 900)) | ((id & 1) << 15));
  const floats = widen(row, type === "bfloat16" ? "bfloat16" : "float16");
  const bits = type === "float32" ? floats : row;
  const source =
    type === "float32" ? new Float32Array(bits.length * CHECK_ROWS) : new Uint16Array(bits.length * CHECK_ROWS);
  for (let at = 0; at < source.length; at += bits.length) source.set(bits, at);
  const history = emptyHistory(CHECK_HISTORY);
  append(history, SAID);
  for (const sets of CALLS) {
    const plans = sets.map((params, index) =>
      planRow({ ...params, ...(processing && PROCESSING), seed: index, position: index }, CHECK_VOCAB),
    );
    if (processing) for (const row of sets.keys()) engine.history.set(row, new Uint32Array(0), SAID);
    const { tokens, logprobs } = await engine.sample(
      { source, offset: 0, rowStride: CHECK_VOCAB, rows: sets.length },
      plans,
    );
    for (const [index, plan] of plans.entries()) {
      const logits = processed(floats, plan.process, history);
      const expected = sampleRow(logits, plan, plan.seed!, plan.position!);
      // The probability tells of every kept token's weight, also where the draw happens to hit the right one.
      if (tokens[index] !== expected.token || logprobs[index] !== logprobOf(expected)) {
        return `${JSON.stringify(sets[index])}${processing ? " with processed logits" : ""} drew token ${tokens[index]} instead of ${expected.token}, or with another probability`;
      }
    }
  }
  return undefined;
}
