/** Rows that read the same logits are drawn as if those had been copied. */
import { expect, test } from "vitest";
import { createSampler, type SamplingParams } from "../../src/index.ts";
import { candidatesDifference, sampleDifference } from "../support/cases.ts";
import { bufferOf, sharedDevice, wordsOf } from "../support/device.ts";
import { batch } from "../support/inputs.ts";

const device = await sharedDevice();
const V = 1001;
const LOGITS = 7;
const rowMap = [6, 0, 0, 6, 3, 1, 1, 1, 5, 0, 6];
const rows = rowMap.length;
const floats = batch(["peaked", "flat", "tiesAtCut"], V, LOGITS, 4);
/** The last when the rows' histories differ. What stages keep of such rows is in stages.test.ts, 16 bits in engines.test.ts. */
const sets: SamplingParams[] = [{ topP: 0.9 }, { temperature: 0.7, topK: 40 }, { topK: 40, repetitionPenalty: 1.5 }];
/** Rows differ in their parameters, but not in their seed. */
const paramsOf = (set: SamplingParams): SamplingParams[] =>
  rowMap.map((_, row) => ({ temperature: 1 + row / 10, ...set, seed: 5n }));

test.each<[string, { rows?: number; bytes?: number } | undefined]>([
  ["at once", undefined],
  ["in chunks of rows", { rows: 3 }],
  // Three rows of logits lie within reach of each other.
  ["in chunks of bytes", { bytes: 13_000 }],
  ["one row of logits at a time", { bytes: 5200 }],
])("%s, %j", async (_, __chunk) => {
  const shape = { vocabSize: V, maxBatch: rows, maxHistory: 8 };
  const chunked = { ...shape, engine: "webgpu" as const, ...(__chunk && { __chunk }) };
  const mapped = await createSampler({ ...chunked, device });
  const recording = await createSampler({ ...chunked, device });
  const cpu = await createSampler({ ...shape, engine: "cpu" });
  const copied = await createSampler({ ...shape, engine: "cpu" });

  const [offset, rowStride] = [3, V + 5];
  const data = new Float32Array(offset + LOGITS * rowStride + 4).fill(1000);
  const copies = new Float32Array(rows * V);
  const rowOf = (row: number): Float32Array => floats.subarray(row * V, (row + 1) * V);
  for (let row = 0; row < LOGITS; row++) data.set(rowOf(row), offset + row * rowStride);
  rowMap.forEach((from, row) => copies.set(rowOf(from), row * V));

  const buffer = bufferOf(device, data);
  const tokens = bufferOf(device, new Uint32Array(rows + 2).fill(7));
  const layout = { offset, rowStride, rowMap, rows: LOGITS };
  for (const [index, set] of sets.entries()) {
    const params = paramsOf(set);
    const expected = await copied.sample(copies, params);
    const logits = index % 2 === 0 ? { data, ...layout } : { buffer, ...layout };
    expect(sampleDifference(await mapped.sample(logits, params), expected)).toBeUndefined();
    expect(sampleDifference(await cpu.sample({ data, ...layout }, params), expected)).toBeUndefined();
    const encoder = device.createCommandEncoder();
    recording.encode(encoder, { logits: { buffer, ...layout }, tokens, tokensOffset: 1 }, params);
    device.queue.submit([encoder.finish()]);
    expect([...(await wordsOf(device, tokens))]).toEqual([7, ...expected.tokens, 7]);
    const kept = await copied.candidates(copies, params);
    expect(candidatesDifference(await mapped.candidates({ data, ...layout }, params), kept)).toBeUndefined();
    expect(candidatesDifference(await mapped.candidates({ buffer, ...layout }, params), kept)).toBeUndefined();
    const written = await copied.renormalize(copies, params);
    expect(await mapped.renormalize({ data, ...layout }, params)).toEqual(written);
    expect(await mapped.renormalize({ buffer, ...layout }, params)).toEqual(written);
    expect(await cpu.renormalize({ data, ...layout }, params)).toEqual(written);
    expect(candidatesDifference(await cpu.candidates({ data, ...layout }, params), kept)).toBeUndefined();
  }
  for (const sampler of [mapped, recording]) {
    for (let row = 0; row < rows; row++) {
      expect(await sampler.history.read(row)).toEqual(await copied.history.read(row));
    }
    sampler.destroy();
  }
  buffer.destroy();
  tokens.destroy();
});
