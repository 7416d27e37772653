/**
 * The tuning that GPUs get, with workgroups that a software adapter is never given: the kernels that only some calls need.
 * engines.test.ts has the filters, test/everywhere all sizes. A CPU takes long for these barriers, hence few rows and calls.
 */
import { expect, test } from "vitest";
import { createSampler, type LogitsType, type Sampler, type SamplingParams } from "../../src/index.ts";
import { TUNINGS } from "../../src/webgpu/tuning.ts";
import { candidatesDifference, paramSets, sampleDifference, show, stagedSets } from "../support/cases.ts";
import { sharedDevice } from "../support/device.ts";
import { batch } from "../support/inputs.ts";
import { floatToHalf } from "../support/oracle.ts";

const device = await sharedDevice();
/** More groups than a draw has invocations, and in 16 bits than a streaming kernel has in one workgroup. */
const [vocabSize, maxBatch] = [17_001, 3];
const logits = batch(["peaked", "flat", "tiesAtCut"], vocabSize, maxBatch, 6);

async function pair(logitsType: LogitsType = "float32", maxHistory = 0): Promise<{ gpu: Sampler; cpu: Sampler }> {
  // As tuningFor has it for logits of 16 bits.
  const tuning = { ...TUNINGS.gpu, ...(logitsType !== "float32" && { quads: 2 * TUNINGS.gpu.quads }) };
  const shape = { vocabSize, maxBatch, logitsType, maxHistory };
  return {
    gpu: await createSampler({ ...shape, device, engine: "webgpu", tuning }),
    cpu: await createSampler({ ...shape, engine: "cpu" }),
  };
}

const rowsOf = (paramsOf: (row: number) => SamplingParams): SamplingParams[] =>
  Array.from({ length: maxBatch }, (_, row) => paramsOf(row));

test("stages, and what they learn", async () => {
  const { gpu, cpu } = await pair();
  // Each row has a third of the sets, one after the other.
  const steps = Math.ceil(stagedSets.length / maxBatch);
  for (let step = 0; step < steps; step++) {
    const params = rowsOf((row) => ({ ...stagedSets[(row * steps + step) % stagedSets.length]!, seed: BigInt(row) }));
    const samples = [await gpu.sample(logits, params), await cpu.sample(logits, params)] as const;
    expect(sampleDifference(...samples), params.map(show).join("; ")).toBeUndefined();
  }
  for (let row = 0; row < maxBatch; row++) expect(await gpu.state.read(row)).toEqual(await cpu.state.read(row));
  gpu.destroy();
});

test("processed logits: several draws, all that is told of them, the history, and whole rows", async () => {
  const { gpu, cpu } = await pair("float32", 40);
  const processing: SamplingParams = {
    repetitionPenalty: 1.3,
    frequencyPenalty: 0.2,
    logitBias: { 7: 2, 17_000: -1 },
    noRepeatNgramSize: 2,
    suppressTokens: [3, 16_384],
  };
  const told: SamplingParams = { draws: 5, rank: true, topLogprobs: 7, logprobTokens: [0, 7, 16_999] };
  for (let row = 0; row < maxBatch; row++) {
    const said = Array.from({ length: 12 }, (_, at) => (at % 5) * 3400 + row);
    for (const { history } of [gpu, cpu]) history.set(row, said, [7, row, 7]);
  }
  const bits = (rows: Float32Array | Uint16Array): Uint32Array => new Uint32Array(rows.buffer);
  for (let step = 0; step < 4; step++) {
    const params = rowsOf((row) => {
      return { ...processing, ...paramSets[(11 * row + 3 * step) % paramSets.length]!, seed: BigInt(row) };
    });
    const label = params.map(show).join("; ");
    expect(bits(await gpu.maskLogits(logits, params)), label).toEqual(bits(await cpu.maskLogits(logits, params)));
    expect(bits(await gpu.renormalize(logits, params)), label).toEqual(bits(await cpu.renormalize(logits, params)));
    const all = rowsOf((row) => ({ ...params[row]!, ...told, replacement: row !== step % 3 }));
    expect(sampleDifference(await gpu.sample(logits, all), await cpu.sample(logits, all)), label).toBeUndefined();
  }
  for (let row = 0; row < maxBatch; row++) expect(await gpu.history.read(row)).toEqual(await cpu.history.read(row));
  gpu.destroy();
});

test("float16", async () => {
  const { gpu, cpu } = await pair("float16");
  const halves = floatToHalf(logits);
  const filters = [{ topK: 50 }, { topP: 0.9 }, { minP: 0.02 }];
  const params = rowsOf((row) => ({ ...filters[row], seed: 5n, position: 1 }));
  expect(sampleDifference(await gpu.sample(halves, params), await cpu.sample(halves, params))).toBeUndefined();
  const lists = [await gpu.candidates(halves, params), await cpu.candidates(halves, params)] as const;
  expect(candidatesDifference(...lists)).toBeUndefined();
  gpu.destroy();
});
