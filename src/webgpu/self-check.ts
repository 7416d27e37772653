import type { Engine } from "../engine.ts";
import { planRow, type SamplingParams } from "../params.ts";
import { type LogitsType, widen } from "../reference/convert.ts";
import { sampleRow } from "../reference/draw.ts";

/** Tokens of a row of the check. */
export const CHECK_VOCAB = 3000;

/** Every path of the kernels once. */
const SETS: readonly SamplingParams[] = [
  { temperature: 0 },
  { temperature: 1.5 },
  { temperature: 2, topK: 50 },
  { temperature: 2, topK: 50, topP: 0.9 },
  { temperature: 1.5, topP: 0.9 },
  { temperature: 2, topK: 700 },
  { temperature: 2, minP: 0.1 },
];

/** Rows of the check. */
export const CHECK_ROWS: number = SETS.length;

/**
 * Draws a few rows and compares them with the reference. A driver or a shader compiler that gets a kernel wrong is found
 * out here, before it has drawn a token for anybody.
 *
 * @param engine for `CHECK_VOCAB` tokens and `CHECK_ROWS` rows
 * @returns what is wrong, or undefined
 */
export async function selfCheck(engine: Engine, type: LogitsType): Promise<string | undefined> {
  // Bits of finite numbers in every 16-bit type, of both signs, with ties.
  const row = Uint16Array.from({ length: CHECK_VOCAB }, (_, id) => (0x3c00 + ((id * 7919) % 900)) | ((id & 1) << 15));
  const floats = widen(row, type === "bfloat16" ? "bfloat16" : "float16");
  const bits = type === "float32" ? floats : row;
  const source =
    type === "float32" ? new Float32Array(bits.length * CHECK_ROWS) : new Uint16Array(bits.length * CHECK_ROWS);
  for (let at = 0; at < source.length; at += bits.length) source.set(bits, at);
  const plans = SETS.map((params, index) => planRow({ ...params, seed: index, position: index }, CHECK_VOCAB));
  const { tokens } = await engine.sample({ source, offset: 0, rowStride: CHECK_VOCAB, rows: CHECK_ROWS }, plans);
  for (const [index, plan] of plans.entries()) {
    const expected = sampleRow(floats, plan, plan.seed!, plan.position!).token;
    if (tokens[index] !== expected) {
      return `${JSON.stringify(SETS[index])} drew token ${tokens[index]} instead of ${expected}`;
    }
  }
  return undefined;
}
