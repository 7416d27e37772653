import { describe, expect, test } from "vitest";
import {
  type BatchParams,
  createSampler,
  MAX_VOCAB_SIZE,
  type Sampler,
  type SamplingParams,
  type StageName,
} from "../src/index.ts";
import { CpuEngine } from "../src/reference/engine.ts";
import { candidatesDifference, sampleDifference } from "./support/cases.ts";
import { failure } from "./support/failure.ts";
import { batch } from "./support/inputs.ts";

const V = 300;
const cpu = (maxBatch = 4): Promise<Sampler> => createSampler({ vocabSize: V, maxBatch, engine: "cpu" });
const logits = batch(["peaked", "flat"], V, 4, 9);

/** An order, right or wrong. */
const list = (...order: readonly string[]): SamplingParams => ({ order: order as readonly StageName[] });

describe("bad parameters name the parameter and the value", () => {
  test.each<[string, SamplingParams, typeof TypeError | typeof RangeError, RegExp]>([
    ["negative temperature", { temperature: -1 }, RangeError, /params\.temperature: .*got -1/],
    ["NaN temperature", { temperature: NaN }, RangeError, /params\.temperature: .*got NaN/],
    ["infinite temperature", { temperature: Infinity }, RangeError, /params\.temperature: .*got Infinity/],
    ["temperature as text", { temperature: "1" as unknown as number }, TypeError, /params\.temperature: .*got "1"/],
    ["topP above 1", { topP: 1.5 }, RangeError, /params\.topP: .*got 1.5/],
    ["topP below 0", { topP: -0.1 }, RangeError, /params\.topP: .*got -0.1/],
    ["topP NaN", { topP: NaN }, RangeError, /params\.topP: .*got NaN/],
    ["topK fractional", { topK: 1.5 }, RangeError, /params\.topK: .*got 1.5/],
    ["topK negative", { topK: -1 }, RangeError, /params\.topK: .*got -1/],
    ["minP above 1", { minP: 2 }, RangeError, /params\.minP: .*got 2/],
    ["minP negative", { minP: -1 }, RangeError, /params\.minP: .*got -1/],
    ["fractional seed", { seed: 0.5 }, RangeError, /params\.seed: .*got 0.5/],
    ["negative seed", { seed: -1n }, RangeError, /params\.seed: .*got -1n/],
    ["seed beyond 64 bits", { seed: 2n ** 64n }, RangeError, /params\.seed: .*got 18446744073709551616n/],
    ["unsafe seed", { seed: 2 ** 53 }, RangeError, /params\.seed: .*got 9007199254740992/],
    ["seed as text", { seed: "7" as unknown as bigint }, TypeError, /params\.seed: .*got "7"/],
    ["negative position", { position: -3 }, RangeError, /params\.position: .*got -3/],
    ["unknown order", { order: "hf" as "vllm" }, RangeError, /params\.order: .*got "hf"/],
    ["order null", { order: null as unknown as "vllm" }, TypeError, /params\.order: .*got null/],
    ["logprobs null", { logprobs: null as unknown as "raw" }, TypeError, /params\.logprobs: .*got null/],
    ["order as number", { order: 1 as unknown as "vllm" }, TypeError, /params\.order: .*got 1/],
    ["unknown name", { top_p: 0.9 } as SamplingParams, TypeError, /params\.top_p: unknown parameter/],
    ["typicalP above 1", { typicalP: 1.1 }, RangeError, /params\.typicalP: .*from 0 to 1, got 1.1/],
    ["typicalP negative", { typicalP: -0.1 }, RangeError, /params\.typicalP: .*got -0.1/],
    ["typicalP NaN", { typicalP: NaN }, RangeError, /params\.typicalP: .*got NaN/],
    ["topNSigma negative", { topNSigma: -1 }, RangeError, /params\.topNSigma: .*from 0 to 1000, got -1/],
    ["topNSigma beyond its range", { topNSigma: 1001 }, RangeError, /params\.topNSigma: .*got 1001/],
    ["epsilonCutoff of 1", { epsilonCutoff: 1 }, RangeError, /params\.epsilonCutoff: .*below 1, got 1/],
    ["epsilonCutoff negative", { epsilonCutoff: -1e-9 }, RangeError, /params\.epsilonCutoff: .*got -1e-9/],
    ["etaCutoff of 1", { etaCutoff: 1 }, RangeError, /params\.etaCutoff: .*below 1, got 1/],
    ["etaCutoff NaN", { etaCutoff: NaN }, RangeError, /params\.etaCutoff: .*got NaN/],
    ["topH above 1", { topH: 1.01 }, RangeError, /params\.topH: .*got 1.01/],
    ["topH as text", { topH: "1" as unknown as number }, TypeError, /params\.topH: .*got "1"/],
    ["xtcProbability above 1", { xtcProbability: 2 }, RangeError, /params\.xtcProbability: .*got 2/],
    ["xtcThreshold negative", { xtcThreshold: -0.1 }, RangeError, /params\.xtcThreshold: .*got -0.1/],
    ["minKeep 0", { minKeep: 0 }, RangeError, /params\.minKeep: .*integer from 1 to 4194304, got 0/],
    ["minKeep fractional", { minKeep: 1.5 }, RangeError, /params\.minKeep: .*got 1.5/],
    ["dynatempRange negative", { dynatempRange: -1 }, RangeError, /params\.dynatempRange: .*got -1/],
    ["dynatempRange infinite", { dynatempRange: Infinity }, RangeError, /params\.dynatempRange: .*got Infinity/],
    [
      "dynatempRange and temperature together",
      { temperature: 60_000, dynatempRange: 6000 },
      RangeError,
      /params\.dynatempRange: .*65535 together with the temperature, 60000, got 6000/,
    ],
    ["dynatempExponent negative", { dynatempExponent: -1 }, RangeError, /params\.dynatempExponent: .*got -1/],
    ["dynatempExponent beyond its range", { dynatempExponent: 65 }, RangeError, /params\.dynatempExponent: .*got 65/],
    ["mirostat 3", { mirostat: 3 as 2 }, RangeError, /params\.mirostat: .*integer from 0 to 2, got 3/],
    ["mirostat as boolean", { mirostat: true as unknown as 1 }, TypeError, /params\.mirostat: .*got true/],
    ["mirostatTau beyond its range", { mirostatTau: 65 }, RangeError, /params\.mirostatTau: .*got 65/],
    ["mirostatEta above 1", { mirostatEta: 1.5 }, RangeError, /params\.mirostatEta: .*got 1.5/],
    ["adaptiveP negative, which is off in llama.cpp", { adaptiveP: -1 }, RangeError, /params\.adaptiveP: .*got -1/],
    ["adaptiveP beside mirostat", { adaptiveP: 0.5, mirostat: 2 }, RangeError, /params\.adaptiveP: .*beside mirostat/],
    ["adaptiveDecay of 1", { adaptiveDecay: 1 }, RangeError, /params\.adaptiveDecay: .*to 0.99, got 1/],
    ["a stage that there is not", list("temp"), RangeError, /params\.order\[0\]: .*"topNSigma".*got "temp"/],
    ["a stage twice", list("topK", "minP", "topK"), RangeError, /params\.order\[2\]: .*once, got "topK"/],
    ["joint beside top-p", list("joint", "topP"), RangeError, /params\.order: .*"joint", or "topK" and "topP"/],
    [
      "adaptiveP before the end",
      list("adaptiveP", "minP"),
      RangeError,
      /params\.order: .*last place, got "adaptiveP", "minP"/,
    ],
    [
      "a parameter without its stage",
      { ...list("topK"), minP: 0.1 },
      RangeError,
      /params\.order: .*"minP" in the list/,
    ],
    ["temperature without its stage", { ...list("topK"), temperature: 2 }, RangeError, /order: .*"temperature" in the/],
    ["a range without its stage", { ...list("topK"), dynatempRange: 1 }, RangeError, /order: .*"temperature" in the/],
    ["top-k without top-k or joint", { ...list("topP"), topK: 5 }, RangeError, /params\.order: .*"topK" in the list/],
    ["an order as an object", { order: {} as "vllm" }, TypeError, /params\.order: .*list of stages, got Object/],
  ])("%s", async (_, params, type, message) => {
    const sampler = await cpu();
    for (const call of [() => sampler.sample(logits, params), () => sampler.candidates(logits, params)]) {
      const error = await failure(call);
      expect(error).toBeInstanceOf(type);
      expect(error.message).toMatch(message);
    }
    const row = await failure(() => sampler.sample(logits, [{}, {}, {}, params]));
    expect(row.message).toContain("params[3].");
  });

  test("what is off need not be in a list, and joint stands for both", async () => {
    const sampler = await cpu();
    const listed = {
      ...list("temperature", "joint"),
      temperature: 0.7,
      topK: 5,
      topP: 0.9,
      xtcThreshold: 0.2,
      seed: 1n,
    };
    const preset = { order: "joint", temperature: 0.7, topK: 5, topP: 0.9, seed: 1n } as const;
    expect(await sampler.candidates(logits, listed)).toEqual(await sampler.candidates(logits, preset));
    expect(await sampler.candidates(logits, { order: [] })).toEqual(await sampler.candidates(logits));
  });

  test("what can be read counts, all of it or nothing: inherited, behind accessors, or not enumerated", async () => {
    const sampler = await cpu();
    const sixty = new Uint32Array(Math.ceil(V / 32));
    sixty[60 >> 5] = 1 << (60 & 31);
    const fields = { allowedTokens: sixty, rank: true, minKeep: 2, temperature: 3, seed: 1n, position: 0 };
    const expected = await sampler.sample(logits, fields);
    expect([...expected.tokens]).toEqual([60, 60, 60, 60]);
    expect(expected.ranks).toBeDefined();
    const descriptors = Object.getOwnPropertyDescriptors(fields);
    for (const descriptor of Object.values(descriptors)) descriptor.enumerable = false;
    const hidden = Object.defineProperties({}, descriptors);
    const accessors = new (class {
      readonly #fields = fields;
      get allowedTokens(): Uint32Array {
        return this.#fields.allowedTokens;
      }
      get rank(): boolean {
        return this.#fields.rank;
      }
    })();
    const rest = { minKeep: 2, temperature: 3, seed: 1n, position: 0 };
    for (const params of [Object.create(fields), Object.assign(accessors, rest), hidden] as SamplingParams[]) {
      expect(await sampler.sample(logits, params)).toEqual(expected);
      expect(await sampler.sample(logits, [params, fields, params, fields])).toEqual(expected);
    }
    const misspelt = Object.create({ top_p: 0.9 }) as SamplingParams;
    expect((await failure(() => sampler.sample(logits, misspelt))).message).toMatch(/^params\.top_p: unknown/);
    const layout = Object.create({ data: logits, rowstride: V }) as { data: Float32Array };
    expect((await failure(() => sampler.sample(layout))).message).toMatch(/^logits\.rowstride: unknown/);
  });

  test("an array of the wrong length", async () => {
    const error = await failure(async () => (await cpu()).sample(logits, [{}, {}]));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toMatch(/params: .*array of 4, got an array of 2/);
    const empty = await failure(async () => (await cpu()).sample(logits, []));
    expect(empty.message).toMatch(/^params: .*got an empty array/);
  });

  test("not an object", async () => {
    const error = await failure(async () => (await cpu()).sample(logits, 7 as unknown as SamplingParams));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/params: .*got 7/);
    const none = await failure(async () => (await cpu()).sample(logits, null as unknown as SamplingParams));
    expect(none).toBeInstanceOf(TypeError);
    expect(none.message).toMatch(/^params: expected an object of sampling parameters, got null/);
  });

  test("nothing is lost: the next call is as if the bad one had not been", async () => {
    const [one, other] = [await cpu(), await cpu()];
    await one.sample(logits, { seed: 1n });
    await other.sample(logits, { seed: 1n });
    await failure(() => one.sample(logits, { seed: 1n, topK: -1 }));
    const sparse: SamplingParams[] = new Array(4);
    sparse[0] = { seed: 1n };
    expect((await failure(() => one.sample(logits, sparse))).message).toMatch(/^params\[1\]: .*got undefined/);
    expect(await one.sample(logits, { seed: 1n })).toEqual(await other.sample(logits, { seed: 1n }));
  });
});

describe("bad options", () => {
  test.each<[string, object, typeof TypeError | typeof RangeError, RegExp]>([
    ["vocabulary 0", { vocabSize: 0 }, RangeError, /vocabSize: .*got 0/],
    ["vocabulary over 2^22", { vocabSize: 2 ** 22 + 1 }, RangeError, /vocabSize: .*4194304, got 4194305/],
    ["fractional vocabulary", { vocabSize: 1.5 }, RangeError, /vocabSize: .*got 1.5/],
    ["no vocabulary", {}, TypeError, /vocabSize: .*got undefined/],
    ["maxBatch 0", { vocabSize: 5, maxBatch: 0 }, RangeError, /maxBatch: .*got 0/],
    ["maxBatch null", { vocabSize: 5, maxBatch: null }, TypeError, /^maxBatch: .*got null/],
    ["engine null", { vocabSize: 5, engine: null }, TypeError, /^engine: .*got null/],
    ["unknown engine", { vocabSize: 5, engine: "gpu" }, RangeError, /engine: .*got "gpu"/],
    ["unknown type", { vocabSize: 5, logitsType: "float64" }, RangeError, /logitsType: .*got "float64"/],
    ["not a device", { vocabSize: 5, device: {} }, TypeError, /device: .*got Object/],
    ["unknown option", { vocabSize: 5, maxbatch: 2 }, TypeError, /options\.maxbatch: unknown name/],
    ["unknown tuning", { vocabSize: 5, tuning: { quad: 2 } as object }, TypeError, /^tuning\.quad: unknown name/],
    ["three quads", { vocabSize: 5, tuning: { quads: 3 } }, RangeError, /^tuning\.quads: .*power of two, got 3/],
    ["inherited quads", { vocabSize: 5, tuning: Object.create({ quads: 3 }) }, RangeError, /^tuning\.quads: .*got 3/],
    ["a tuning as a map", { vocabSize: 5, tuning: new Map() as object }, TypeError, /^tuning: .*got Map/],
    ["a tuning by text", { vocabSize: 5, tuning: { lanes: "2" } as object }, TypeError, /^tuning\.lanes: .*number/],
  ])("%s", async (_, options, type, message) => {
    const error = await failure(() => createSampler({ engine: "cpu", ...options } as unknown as { vocabSize: number }));
    expect(error).toBeInstanceOf(type);
    expect(error.message).toMatch(message);
  });

  test("the largest vocabulary is the one that is exported", async () => {
    expect(MAX_VOCAB_SIZE).toBe(2 ** 22);
    expect((await createSampler({ vocabSize: MAX_VOCAB_SIZE, engine: "cpu" })).vocabSize).toBe(MAX_VOCAB_SIZE);
  });

  test("webgpu where there is none", async () => {
    const error = await failure(() => createSampler({ vocabSize: 5, engine: "webgpu" }));
    expect(error.message).toMatch(/there is no WebGPU adapter/);
  });

  test("auto where there is no WebGPU takes the CPU, and says so", async () => {
    expect((await createSampler({ vocabSize: 5 })).engine).toBe("cpu");
  });
});

describe("bad logits", () => {
  type Input = Parameters<Sampler["sample"]>[0];
  test.each<[string, Input, typeof TypeError | typeof RangeError, RegExp]>([
    ["not whole rows", new Float32Array(V + 1), RangeError, /logits: expected \[rows, 300\] logits, got 301/],
    ["none", new Float32Array(0), RangeError, /logits: .*got 0/],
    ["doubles", new Float64Array(V) as unknown as Float32Array, TypeError, /Float32Array .*got Float64Array/],
    ["16 bits for float32", new Uint16Array(V), TypeError, /Float32Array .*got Uint16Array/],
    ["a plain array", [1, 2] as unknown as Float32Array, TypeError, /logits: expected a Float32Array, .*got Array/],
    ["nothing", undefined as unknown as Float32Array, TypeError, /logits: .*got undefined/],
    ["more rows than maxBatch", new Float32Array(5 * V), RangeError, /logits: got 5 rows, but maxBatch is 4/],
    ["rows over maxBatch", { data: new Float32Array(9 * V), rows: 5 }, RangeError, /logits\.rows: .*to 4, got 5/],
    ["offset behind the end", { data: logits, offset: 4 * V }, RangeError, /logits: .*offset 1200/],
    ["offset null", { data: logits, offset: null } as object, TypeError, /logits\.offset: .*got null/],
    ["negative offset", { data: logits, offset: -1 }, RangeError, /logits\.offset: .*got -1/],
    ["fractional offset", { data: logits, offset: 0.5 }, RangeError, /logits\.offset: .*got 0.5/],
    ["stride under a row", { data: logits, rowStride: V - 1 }, RangeError, /logits\.rowStride: .*got 299/],
    ["stride beyond the end", { data: logits, rowStride: 4 * V, rows: 2 }, RangeError, /logits: 2 row.*stride 1200/],
    ["both data and buffer", { data: logits, buffer: {} as GPUBuffer }, TypeError, /either data .* or buffer/],
    ["neither", {}, TypeError, /either data .* or buffer/],
    ["map as number", { data: logits, rowMap: 2 } as object, TypeError, /logits\.rowMap: .*Uint32Array, got 2/],
    [
      "map of other integers",
      { data: logits, rowMap: Int32Array.of(0) } as object,
      TypeError,
      /rowMap: .*got Int32Array/,
    ],
    ["map without rows", { data: logits, rowMap: [] }, RangeError, /logits\.rowMap: .*1 to 4 .*got 0/],
    ["map of more than maxBatch", { data: logits, rowMap: new Uint32Array(5) }, RangeError, /rowMap: .*1 to 4 .*got 5/],
    ["map to a row that is not there", { data: logits, rowMap: [0, 4] }, RangeError, /rowMap\[1\]: .*0 to 3, got 4/],
    ["map to a row beyond rows", { data: logits, rows: 2, rowMap: [2] }, RangeError, /rowMap\[0\]: .*0 to 1, got 2/],
    ["map to half a row", { data: logits, rowMap: [0.5] }, RangeError, /logits\.rowMap\[0\]: .*got 0.5/],
    ["map with a hole", { data: logits, rowMap: new Array<number>(1) }, TypeError, /rowMap\[0\]: .*got undefined/],
    ["unknown name", { data: logits, stride: 1 } as object, TypeError, /logits\.stride: unknown name/],
  ])("%s", async (_, input, type, message) => {
    const sampler = await cpu();
    const error = await failure(() => sampler.sample(input));
    expect(error).toBeInstanceOf(type);
    expect(error.message).toMatch(message);
  });

  test("float32 for a 16-bit sampler", async () => {
    const sampler = await createSampler({ vocabSize: V, engine: "cpu", logitsType: "bfloat16" });
    const error = await failure(() => sampler.sample(new Float32Array(V)));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/Uint16Array .*got Float32Array/);
  });
});

test("after destroy every call says so", async () => {
  const sampler = await cpu();
  sampler.destroy();
  sampler.destroy();
  for (const call of [() => sampler.sample(logits), () => sampler.candidates(logits)]) {
    expect((await failure(call)).message).toMatch(/the sampler was destroyed/);
  }
  expect(() => sampler.encode({} as GPUCommandEncoder, {} as never)).toThrow(/the sampler was destroyed/);
});

test("encode on the cpu engine says what to do instead", async () => {
  const sampler = await cpu();
  const encoder = { beginComputePass() {} } as unknown as GPUCommandEncoder;
  const buffer = { mapAsync() {}, usage: 128, size: 4 * V, mapState: "unmapped" } as unknown as GPUBuffer;
  const array = { data: logits };
  for (const [logitsOf, message] of [
    [buffer, /^logits: a GPUBuffer needs the "webgpu" engine; this sampler runs on "cpu"$/],
    [{ buffer }, /^logits: a GPUBuffer needs the "webgpu" engine; this sampler runs on "cpu"$/],
    [array, /^logits: .*a GPUBuffer, got Float32Array; .*take/],
  ] as const) {
    const call = { logits: logitsOf };
    expect(() => sampler.encode(encoder, { ...call, tokens: buffer })).toThrow(message);
    expect(() => sampler.encodeMaskLogits(encoder, { ...call, output: buffer })).toThrow(message);
    expect(() => sampler.encodeRenormalize(encoder, { ...call, output: buffer })).toThrow(message);
  }
  // No such call comes as far as the engine, which would refuse it, too.
  const engine = new CpuEngine(V, 1, "float32", () => 0n, 0);
  const none = undefined as never;
  expect(() => engine.encode(none, none, none, none)).toThrow(/"cpu" engine, .*use sample\(\)/);
  expect(() => engine.encodeWrite()).toThrow(/"cpu" engine/);
});

test("who gives no numbers about tokens refuses to be asked for them", async () => {
  const sampler = await cpu();
  const encoder = { beginComputePass() {} } as unknown as GPUCommandEncoder;
  const target = { logits: { data: logits }, tokens: {} as GPUBuffer, output: {} as GPUBuffer };
  const calls: readonly [string, (params: BatchParams) => unknown][] = [
    ["encode", (params) => sampler.encode(encoder, { logits: target.logits, tokens: target.tokens }, params)],
    [
      "encodeMaskLogits",
      (params) => sampler.encodeMaskLogits(encoder, { logits: target.logits, output: target.output }, params),
    ],
    [
      "encodeRenormalize",
      (params) => sampler.encodeRenormalize(encoder, { logits: target.logits, output: target.output }, params),
    ],
    ["candidates", (params) => sampler.candidates(logits, params)],
    ["maskLogits", (params) => sampler.maskLogits(logits, params)],
    ["renormalize", (params) => sampler.renormalize(logits, params)],
  ];
  for (const [name, value, got] of [
    ["logprobs", "raw", '"raw"'],
    ["topLogprobs", 1, "1"],
    ["logprobTokens", [3], "Uint32Array"],
    ["rank", true, "true"],
    ["entropy", true, "true"],
  ] as const) {
    for (const [who, call] of calls) {
      const message = `${name}: ${who}() gives no numbers about tokens, got ${got}; ask sample() for them`;
      const asked = { [name]: value };
      expect((await failure(async () => call(asked))).message).toBe(`params.${message}`);
      expect((await failure(async () => call([{}, {}, asked, {}]))).message).toBe(`params[2].${message}`);
    }
  }
});

test.each<[string, unknown]>([
  ["Promise", Promise.resolve({ topK: 1 })],
  ["Map", new Map([["topK", 1]])],
  ["Set", new Set(["topK"])],
  ["Date", new Date(0)],
  ["Uint32Array", new Uint32Array(4)],
])("%s is no object of parameters", async (name, params) => {
  const sampler = await cpu();
  const message = `expected an object of sampling parameters, got ${name}`;
  expect((await failure(() => sampler.sample(logits, params as never))).message).toBe(`params: ${message}`);
  expect((await failure(() => sampler.sample(logits, [{}, params as never, {}, {}]))).message).toBe(
    `params[1]: ${message}`,
  );
});

describe("positions and seeds", () => {
  const params = { temperature: 2, seed: 5n };

  test("a number is the same seed and position as a bigint", async () => {
    const sampler = await cpu();
    const [one, other] = [
      await sampler.sample(logits, { temperature: 2, seed: 7, position: 3 }),
      await sampler.sample(logits, { temperature: 2, seed: 7n, position: 3n }),
    ];
    expect(one).toEqual(other);
    expect((await sampler.sample(logits, { temperature: 2, seed: 8, position: 3 })).tokens).not.toEqual(one.tokens);
    expect((await sampler.sample(logits, { temperature: 2, seed: 7, position: 4 })).tokens).not.toEqual(one.tokens);
  });

  test("a call without a position goes on after the last one; an explicit one seeks", async () => {
    const sampler = await cpu();
    const run = [];
    for (let i = 0; i < 4; i++) run.push(await sampler.sample(logits, params));
    const again = await cpu();
    for (const [position, expected] of run.entries()) {
      expect(await again.sample(logits, { ...params, position })).toEqual(expected);
    }
    expect(await again.sample(logits, { ...params, position: 1n })).toEqual(run[1]);
    expect(await again.sample(logits, params)).toEqual(run[2]);
    expect(new Set(run.map(({ tokens }) => tokens.join())).size).toBe(4);
  });

  test("the last position is followed by the first", async () => {
    const sampler = await cpu();
    const first = await sampler.sample(logits, { ...params, position: 0 });
    await sampler.sample(logits, { ...params, position: 2n ** 64n - 1n });
    expect(await sampler.sample(logits, params)).toEqual(first);
  });

  test("greedy and empty rows count too; candidates do not", async () => {
    const [one, other] = [await cpu(), await cpu()];
    await one.sample(logits, { temperature: 0 });
    await one.sample(new Float32Array(4 * V).fill(-Infinity), params);
    await one.candidates(logits, params);
    expect(await one.sample(logits, params)).toEqual(await other.sample(logits, { ...params, position: 2 }));
  });

  test("rows without a seed draw for themselves, and differently in another sampler", async () => {
    const same = new Float32Array(4 * V).fill(1);
    const draws = [await (await cpu()).sample(same), await (await cpu()).sample(same)];
    expect(
      new Set(
        draws
          .map(({ tokens }) => tokens.join())
          .join()
          .split(","),
      ).size,
    ).toBeGreaterThan(4);
  });

  test("rows that share seed, position and logits share their token", async () => {
    const same = new Float32Array(4 * V).fill(1);
    const { tokens } = await (await cpu()).sample(same, { seed: 3n });
    expect(new Set(tokens).size).toBe(1);
  });

  test("a row's token does not depend on its place in the batch", async () => {
    const rows = [0, 1, 2, 3].map((row) => logits.subarray(row * V, (row + 1) * V));
    const sets = rows.map((_, row) => ({ temperature: 0.5 + row / 2, topP: 0.95, seed: BigInt(row), position: 7n }));
    const sampler = await cpu();
    const { tokens } = await sampler.sample(logits, sets);
    const order = [2, 0, 3, 1];
    const shuffled = Float32Array.from(order.flatMap((row) => [...rows[row]!]));
    const turned = await sampler.sample(
      shuffled,
      order.map((row) => sets[row]!),
    );
    expect([...turned.tokens]).toEqual(order.map((row) => tokens[row]));
  });
});

test("the caller may change logits and parameters right after the call", async () => {
  const sampler = await cpu();
  const expected = await sampler.sample(logits, { topK: 5, seed: 1n, position: 0 });
  const copy = logits.slice();
  const params = { topK: 5, seed: 1n, position: 0 };
  const pending = sampler.sample(copy, params);
  copy.fill(0);
  params.topK = 1;
  expect(await pending).toEqual(expected);
});

test("rows may lie at any offset and stride", async () => {
  const sampler = await cpu();
  const params = { topP: 0.9, seed: 1n, position: 0 };
  const expected = await sampler.sample(logits, params);
  const stride = V + 17;
  const data = new Float32Array(13 + 4 * stride).fill(99);
  for (let row = 0; row < 4; row++) data.set(logits.subarray(row * V, (row + 1) * V), 13 + row * stride);
  const actual = await sampler.sample({ data, offset: 13, rowStride: stride, rows: 4 }, params);
  expect(sampleDifference(actual, expected)).toBeUndefined();
});

test("rows that read the same logits are rows of their own", async () => {
  const [mapped, copied] = [await cpu(), await cpu()];
  // More rows of logits than the sampler may draw.
  const many = batch(["peaked", "flat", "tiesAtCut"], V, 9, 2);
  const rowMap = Uint32Array.of(8, 0, 8, 3);
  const copies = new Float32Array(4 * V);
  rowMap.forEach((from, row) => copies.set(many.subarray(from * V, (from + 1) * V), row * V));
  const params = [0.5, 1, 2, 1].map((temperature, row) => ({ temperature, seed: BigInt(row) }));
  for (let call = 0; call < 3; call++) {
    const [actual, expected] = [
      await mapped.sample({ data: many, rowMap }, params),
      await copied.sample(copies, params),
    ];
    expect(sampleDifference(actual, expected)).toBeUndefined();
  }
  const [kept, expected] = [
    await mapped.candidates({ data: many, rowMap: [...rowMap] }, { topK: 5 }),
    await copied.candidates(copies, { topK: 5 }),
  ];
  expect(candidatesDifference(kept, expected)).toBeUndefined();
});

test("numbers out: log probabilities, statuses, and no token where there is none", async () => {
  const sampler = await cpu();
  const rows = new Float32Array(4 * V).fill(-Infinity);
  rows.fill(1, 0, V); // equal
  rows[2 * V + 7] = NaN; // no candidate, damaged
  rows[3 * V + 7] = -3; // one candidate
  const { tokens, logprobs, status } = await sampler.sample(rows, { seed: 1n });
  expect(status).toEqual(["ok", "masked", "nan", "ok"]);
  expect([...tokens.subarray(1)]).toEqual([0xffff_ffff, 0xffff_ffff, 7]);
  expect(logprobs[0]).toBe(Math.fround(Math.log(1 / V)));
  expect(logprobs[1]).toBeNaN();
  expect(logprobs[3]).toBe(0);
});

test("a sampler can be disposed of", async () => {
  const sampler = await cpu();
  sampler[Symbol.dispose]();
  expect((await failure(() => sampler.sample(logits))).message).toMatch(/destroyed/);
});
