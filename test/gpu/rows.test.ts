/** Rows that read the same logits are drawn as if those had been copied. */
import { expect, test } from "vitest";
import { createSampler, type LogitsType, type SamplingParams } from "../../src/index.ts";
import { candidatesDifference, sampleDifference } from "../support/cases.ts";
import { bufferOf, sharedDevice, wordsOf } from "../support/device.ts";
import { batch } from "../support/inputs.ts";
import { floatToHalf } from "../support/oracle.ts";

const device = await sharedDevice();
const V = 1001;
const LOGITS = 7;
const rowMap = [6, 0, 0, 6, 3, 1, 1, 1, 5, 0, 6];
const rows = rowMap.length;
const floats = batch(["peaked", "flat", "tiesAtCut"], V, LOGITS, 4);
const plain: SamplingParams[] = [{ topP: 0.9 }, { temperature: 0.7, topK: 40 }];
/** And when the rows' histories differ. What stages keep of rows that read the same logits is in stages.test.ts. */
const penalised = [...plain, { topK: 40, repetitionPenalty: 1.5 }];
/** Rows differ in their parameters, but not in their seed. */
const paramsOf = (set: SamplingParams): SamplingParams[] =>
  rowMap.map((_, row) => ({ temperature: 1 + row / 10, ...set, seed: 5n }));

test.each<[string, LogitsType, { rows?: number; bytes?: number } | undefined]>([
  ["at once", "float32", undefined],
  ["in chunks of rows", "float32", { rows: 3 }],
  // Three rows of logits lie within reach of each other.
  ["in chunks of bytes", "float32", { bytes: 13_000 }],
  ["one row of logits at a time", "float16", { bytes: 2600 }],
  ["16 bits", "float16", undefined],
])("%s, %s, %j", async (_, logitsType, __chunk) => {
  const shape = { vocabSize: V, maxBatch: rows, logitsType, maxHistory: 8 };
  const chunked = { ...shape, engine: "webgpu" as const, ...(__chunk && { __chunk }) };
  const mapped = await createSampler({ ...chunked, device });
  const recording = await createSampler({ ...chunked, device });
  const cpu = await createSampler({ ...shape, engine: "cpu" });
  const copied = await createSampler({ ...shape, engine: "cpu" });

  const [offset, rowStride] = [3, V + 5];
  const typed = logitsType === "float32" ? floats : floatToHalf(floats);
  const packed = (count: number): Float32Array | Uint16Array =>
    logitsType === "float32" ? new Float32Array(count).fill(1000) : new Uint16Array(count).fill(0x7000);
  const data = packed(offset + LOGITS * rowStride + 4);
  const copies = packed(rows * V);
  const rowOf = (row: number): Float32Array | Uint16Array => typed.subarray(row * V, (row + 1) * V);
  for (let row = 0; row < LOGITS; row++) data.set(rowOf(row), offset + row * rowStride);
  rowMap.forEach((from, row) => copies.set(rowOf(from), row * V));

  const buffer = bufferOf(device, data);
  const tokens = bufferOf(device, new Uint32Array(rows + 2).fill(7));
  const layout = { offset, rowStride, rowMap, rows: LOGITS };
  for (const [index, set] of (logitsType === "float32" ? penalised : plain).entries()) {
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
