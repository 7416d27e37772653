import { describe, expect, test } from "vitest";
import {
  createSampler,
  type Logits,
  type LogitsType,
  type Sampler,
  type SamplingParams,
  type Tuning,
} from "../../src/index.ts";
import { TUNINGS } from "../../src/webgpu/tuning.ts";
import { candidatesDifference, paramSets, sampleDifference, show } from "../support/cases.ts";
import { bufferOf, sharedDevice } from "../support/device.ts";
import { batch, type InputName, inputNames } from "../support/inputs.ts";
import { floatToBfloat, floatToHalf } from "../support/oracle.ts";

const device = await sharedDevice();

interface Pair {
  readonly gpu: Sampler;
  readonly cpu: Sampler;
}

interface PairOptions {
  readonly vocabSize: number;
  readonly maxBatch: number;
  readonly logitsType?: LogitsType;
  readonly tuning?: Partial<Tuning>;
  readonly __chunk?: { rows?: number; bytes?: number };
}

async function pair({ tuning, __chunk, ...shape }: PairOptions): Promise<Pair> {
  const extra = { ...(tuning && { tuning }), ...(__chunk && { __chunk }) };
  return {
    gpu: await createSampler({ ...shape, ...extra, device, engine: "webgpu" }),
    cpu: await createSampler({ ...shape, engine: "cpu" }),
  };
}

type Params = SamplingParams | readonly SamplingParams[];

/** Compares both engines on one call; a line that says where they differ, or undefined. */
async function difference(
  { gpu, cpu }: Pair,
  logits: Logits,
  params: Params,
  cpuLogits = logits,
): Promise<string | undefined> {
  const [actual, expected] = [await gpu.sample(logits, params), await cpu.sample(cpuLogits, params)];
  const [kept, expectedKept] = [await gpu.candidates(logits, params), await cpu.candidates(cpuLogits, params)];
  return sampleDifference(actual, expected) ?? candidatesDifference(kept, expectedKept);
}

/** All named inputs as one batch, under each of the parameter sets. */
async function compareAll(
  engines: Pair,
  vocab: number,
  sets: readonly SamplingParams[],
  names: readonly InputName[] = inputNames,
  convert: (row: Float32Array) => Float32Array | Uint16Array = (rows) => rows,
): Promise<string[]> {
  const lines: string[] = [];
  for (const [index, params] of sets.entries()) {
    const logits = convert(batch(names, vocab, names.length, index));
    const random = { seed: (BigInt(index) * 0x9e37_79b9_7f4a_7c15n) & 0xffff_ffff_ffff_ffffn, position: index };
    const found = await difference(engines, logits, { ...params, ...random });
    if (found !== undefined) {
      lines.push(
        `batch(${names.length === inputNames.length ? "inputNames" : names.join()}, ${vocab}, ${names.length}, ${index}), ${show({ ...params, ...random })}: ${found}`,
      );
    }
  }
  return lines;
}

const some = paramSets.filter((_, index) => index % 3 === 1);

describe("vocabularies", () => {
  test.each([1, 2, 3, 5, 31, 127, 1000, 4097])("%d tokens: all inputs, all parameter sets", async (vocabSize) => {
    const engines = await pair({ vocabSize, maxBatch: inputNames.length });
    expect(await compareAll(engines, vocabSize, paramSets)).toEqual([]);
    engines.gpu.destroy();
  });

  test("32,001 tokens: all inputs, some parameter sets", async () => {
    const engines = await pair({ vocabSize: 32_001, maxBatch: inputNames.length });
    expect(await compareAll(engines, 32_001, some)).toEqual([]);
    engines.gpu.destroy();
  });

  test.each([
    [50_257, 1],
    [128_256, 3],
    [151_936, 5],
    [262_144, 7],
  ])("%d tokens: some inputs, parameter sets from %d on", async (vocabSize, first) => {
    const names = ["peaked", "flat", "tiesAtCut", "rawBits"] as const;
    const engines = await pair({ vocabSize, maxBatch: names.length });
    const sets = paramSets.filter((_, index) => index % 8 === first);
    expect(await compareAll(engines, vocabSize, sets, names)).toEqual([]);
    expect(
      await compareAll(
        engines,
        vocabSize,
        [{ temperature: 0.8, topP: 0.9 }, { topK: 50 }],
        ["equal", "clustered", "adjacentFloats", "masked90"],
      ),
    ).toEqual([]);
    engines.gpu.destroy();
  });

  test("2^22 tokens", async () => {
    const vocabSize = 2 ** 22;
    const engines = await pair({ vocabSize, maxBatch: 1 });
    const logits = batch(["flat"], vocabSize, 1, 3);
    for (const params of [{}, { topK: 50 }, { topP: 0.6 }]) {
      const results = [
        await engines.gpu.sample(logits, { ...params, seed: 1n }),
        await engines.cpu.sample(logits, { ...params, seed: 1n }),
      ];
      expect(sampleDifference(results[0]!, results[1]!), show(params)).toBeUndefined();
    }
    engines.gpu.destroy();
  });
});

describe("batches with parameters of their own", () => {
  test.each([1, 3, 8, 33])("%d rows", async (rows) => {
    const vocabSize = 1999;
    const engines = await pair({ vocabSize, maxBatch: 33 });
    for (let round = 0; round < 3; round++) {
      const logits = batch(inputNames, vocabSize, rows, round);
      const params = Array.from({ length: rows }, (_, row) => ({
        ...paramSets[(row + 11 * round) % paramSets.length]!,
        seed: BigInt(row) << 40n,
        ...(row % 2 === 0 && { position: 2n ** 32n - 1n + BigInt(row) }),
      }));
      expect(await difference(engines, logits, params), `round ${round}`).toBeUndefined();
    }
    engines.gpu.destroy();
  });
});

describe("tunings never change a result", () => {
  // Each is compiled anew. test/everywhere has all of them, and tuning.test.ts what only some calls need with that of GPUs.
  const tunings: Partial<Tuning>[] = [
    TUNINGS.gpu,
    { lanes: 2, quads: 8, streamWorkgroup: 1, drawWorkgroup: 1, subgroups: false },
  ];
  const few = paramSets.filter((_, index) => index % 8 === 2);
  test.each(tunings)("%j", async (tuning) => {
    for (const vocabSize of [127, 4097]) {
      const engines = await pair({ vocabSize, maxBatch: inputNames.length, tuning });
      expect(await compareAll(engines, vocabSize, few)).toEqual([]);
      engines.gpu.destroy();
    }
    const engines = await pair({ vocabSize: 50_257, maxBatch: 3, tuning });
    expect(
      await compareAll(engines, 50_257, [{ topP: 0.9 }, { topK: 50 }, {}, { topK: 3000 }], ["peaked", "flat", "equal"]),
    ).toEqual([]);
    engines.gpu.destroy();
  });
});

describe("16-bit logits", () => {
  const types = [
    ["float16", floatToHalf],
    ["bfloat16", floatToBfloat],
  ] as const;
  test.each(types)("%s: all inputs, all parameter sets, odd rows", async (logitsType, convert) => {
    for (const vocabSize of [1, 7, 1001, 4097]) {
      const engines = await pair({ vocabSize, maxBatch: inputNames.length, logitsType });
      expect(await compareAll(engines, vocabSize, vocabSize === 1001 ? paramSets : some, inputNames, convert)).toEqual(
        [],
      );
      engines.gpu.destroy();
    }
  });
});

describe("rows where they lie", () => {
  test.each([
    ["float32", 1, 0],
    ["float32", 3, 1],
    ["float16", 5, 3],
    ["bfloat16", 2, 2],
  ] as const)("%s at offset %d, stride + %d, in arrays and buffers", async (logitsType, offset, gap) => {
    const [vocabSize, rows] = [1001, 6];
    const engines = await pair({ vocabSize, maxBatch: rows, logitsType });
    const stride = vocabSize + gap;
    // What lies between the rows must never be seen: it is larger than any logit.
    const floats = new Float32Array(offset + rows * stride + 4).fill(1000);
    const source = batch(["peaked", "flat", "tiesAtCut"], vocabSize, rows, 4);
    for (let row = 0; row < rows; row++)
      floats.set(source.subarray(row * vocabSize, (row + 1) * vocabSize), offset + row * stride);
    const data =
      logitsType === "float32" ? floats : logitsType === "float16" ? floatToHalf(floats) : floatToBfloat(floats);
    const where = { offset, rowStride: stride, rows };
    const buffer = bufferOf(device, data);
    for (const params of some) {
      const seeded = { ...params, seed: 5n, position: 1 };
      expect(await difference(engines, { data, ...where }, seeded), show(params)).toBeUndefined();
      expect(await difference(engines, { buffer, ...where }, seeded, { data, ...where }), show(params)).toBeUndefined();
    }
    const mapped = { offset, rowStride: stride, rowMap: [5, 0, 0, 3] };
    const params = [0.5, 1, 1.5, 2].map((temperature) => ({ temperature, seed: 1n, position: 0 }));
    expect(await difference(engines, { data, ...mapped }, params)).toBeUndefined();
    expect(await difference(engines, { buffer, ...mapped }, params, { data, ...mapped })).toBeUndefined();
    // One row of many, at its place.
    const third = { offset: offset + 2 * stride, rows: 1 };
    expect(
      await difference(engines, { buffer, ...third }, { seed: 1n, position: 0 }, { data, ...third }),
    ).toBeUndefined();
    engines.gpu.destroy();
    buffer.destroy();
  });

  test("a row that ends with the buffer, whatever its length", async () => {
    for (const vocabSize of [1, 2, 3, 5, 6, 7, 9]) {
      const engines = await pair({ vocabSize, maxBatch: 3 });
      const data = batch(["lastTokenOnly", "peaked", "equal"], vocabSize, 3, 8);
      const buffer = bufferOf(device, data);
      for (const params of some) {
        expect(await difference(engines, buffer, { ...params, seed: 2n, position: 0 }, data)).toBeUndefined();
      }
      engines.gpu.destroy();
      buffer.destroy();
    }
  });
});

describe("chunks are invisible", () => {
  test.each([{ rows: 3 }, { bytes: 16_384 }, { rows: 2, bytes: 9000 }])("%j", async (chunk) => {
    const vocabSize = 1001;
    const engines = await pair({ vocabSize, maxBatch: 21, __chunk: chunk });
    expect(await compareAll(engines, vocabSize, some)).toEqual([]);
    const data = batch(inputNames, vocabSize, 21, 1);
    const buffer = bufferOf(device, data);
    for (const params of some) {
      expect(await difference(engines, buffer, { ...params, seed: 2n }, data), show(params)).toBeUndefined();
    }
    engines.gpu.destroy();
    buffer.destroy();
  });

  test("70,000 rows, more than a dispatch may have workgroups", async () => {
    const [vocabSize, rows] = [5, 70_000];
    const engines = await pair({ vocabSize, maxBatch: rows });
    const logits = batch(["flat", "equal", "tiesAtCut"], vocabSize, rows, 1);
    const params = { topP: 0.9, seed: 11n };
    const [actual, expected] = [await engines.gpu.sample(logits, params), await engines.cpu.sample(logits, params)];
    expect(sampleDifference(actual, expected)).toBeUndefined();
    engines.gpu.destroy();
  });
});

test("the comparison itself can fail", async () => {
  const engines = await pair({ vocabSize: 100, maxBatch: 1 });
  const logits = batch(["flat"], 100, 1, 1);
  const params = { topK: 40, seed: 1n, position: 0 };
  const [actual, kept] = [await engines.gpu.sample(logits, params), await engines.gpu.candidates(logits, params)];
  const other = { ...params, topK: 39 };
  expect(candidatesDifference(kept, await engines.cpu.candidates(logits, other))).toMatch(/40 kept, expected 39/);
  expect(sampleDifference(actual, await engines.cpu.sample(logits, other))).toMatch(/logprobs|tokens/);
  engines.gpu.destroy();
});
