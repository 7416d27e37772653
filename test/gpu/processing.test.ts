/**
 * Processed logits on the GPU: the arithmetic against float32, every kernel alone against its twin, and both engines
 * against each other through the interface.
 */
import { describe, expect, test } from "vitest";
import float32 from "../../shaders/lib/float32.wgsl?raw";
import int64 from "../../shaders/lib/int64.wgsl?raw";
import { createSampler, type Sampler, type SamplerOptions, type SamplingParams } from "../../src/index.ts";
import { planRow } from "../../src/params.ts";
import { append } from "../../src/reference/append.ts";
import { clear } from "../../src/reference/clear.ts";
import { count } from "../../src/reference/count.ts";
import { emptyHistory, type RowHistory } from "../../src/reference/history.ts";
import { newMarks, setBit } from "../../src/reference/marks.ts";
import { bitsFloat, floatBits, keyOfBits } from "../../src/reference/numeric.ts";
import { process } from "../../src/reference/process.ts";
import { packControls } from "../../src/webgpu/controls.ts";
import type { ProcessingKernelName } from "../../src/webgpu/kernels.ts";
import { packCall } from "../../src/webgpu/pack.ts";
import { pipelinesFor, furtherPipelines } from "../../src/webgpu/pipelines.ts";
import { tuningFor } from "../../src/webgpu/tuning.ts";
import { candidatesDifference, sampleDifference } from "../support/cases.ts";
import { bufferOf, COPY_DST, COPY_SRC, requestDevice, sharedDevice, STORAGE, wordsOf } from "../support/device.ts";
import { batch, inputNames, Random } from "../support/inputs.ts";
import { floatToHalf } from "../support/oracle.ts";
import { processedOracle, randomMask, randomProcessing, randomTokens } from "../support/processing.ts";

const device = await sharedDevice();

test("the shader's float32 arithmetic is that of IEEE 754, subnormals, ties and overflow included", async () => {
  const pairs = 60_000;
  const random = new Random(77);
  const special = [
    0, 1, 0x7f_ffff, 0x80_0000, 0x3f80_0000, 0x3f7f_ffff, 0x7f7f_ffff, 0x7e80_0000, 0x3400_0000, 0x4b80_0000,
  ];
  const operand = (near: number): number => {
    const sign = random.below(2) * 0x8000_0000;
    const kind = random.below(4);
    if (kind === 0) return sign + special[random.below(special.length)]!;
    if (kind === 1) return sign + random.below(0x100_0000); // subnormal and the smallest normal
    // Close to the other one's exponent, so that bits cancel and ties happen.
    if (kind === 2)
      return sign + Math.min(Math.abs((near & 0x7fff_ffff) + (random.below(60) - 30) * 0x40_0000), 0x7f7f_ffff);
    return sign + random.below(0x7f80_0000);
  };
  const inputs = new Uint32Array(2 * pairs);
  for (let i = 0; i < inputs.length; i += 2) {
    inputs[i] = operand(random.word());
    inputs[i + 1] = operand(inputs[i]!);
    if ((inputs[i + 1]! & 0x7fff_ffff) === 0) inputs[i + 1] = 0x3f80_0001; // nothing is divided by 0
  }
  const code = `${int64}\n${float32}
    @group(0) @binding(0) var<storage, read> pairs: array<vec2<u32>>;
    @group(0) @binding(1) var<storage, read_write> results: array<vec4<u32>>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
      if (id.x < ${pairs}u) {
        let p = pairs[id.x];
        results[id.x] = vec4(float_add(p.x, p.y), float_multiply(p.x, p.y), float_divide(p.x, p.y), 0u);
      }
    }`;
  const pipeline = device.createComputePipeline({
    layout: "auto",
    compute: { module: device.createShaderModule({ code }) },
  });
  const results = bufferOf(device, new Uint32Array(4 * pairs));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [bufferOf(device, inputs), results].map((buffer, binding) => ({ binding, resource: { buffer } })),
    }),
  );
  pass.dispatchWorkgroups(Math.ceil(pairs / 64));
  pass.end();
  device.queue.submit([encoder.finish()]);
  const actual = await wordsOf(device, results);
  const nearest = (value: number): number => {
    const float = Math.fround(value);
    return floatBits(Math.min(Math.max(float, -3.4028234663852886e38), 3.4028234663852886e38));
  };
  const wrong: string[] = [];
  for (let i = 0; i < pairs; i++) {
    const [a, b] = [bitsFloat(inputs[2 * i]!), bitsFloat(inputs[2 * i + 1]!)];
    for (const [at, [name, value]] of [["+", a + b] as const, ["*", a * b] as const, ["/", a / b] as const].entries()) {
      if (actual[4 * i + at] !== nearest(value)) wrong.push(`${a} ${name} ${b}: ${bitsFloat(actual[4 * i + at]!)}`);
    }
  }
  expect(wrong.slice(0, 5)).toEqual([]);
});

const SENTINEL = 0xa5a5_a5a5;
const GUARD = 64;
const FIRST_ROW = 1;

/** One dispatch of the processing kernels over rows of its own, with a guard band behind everything that is written. */
class Bench {
  readonly #pipelines;
  readonly #processing;
  readonly #buffers: Record<string, GPUBuffer>;
  readonly #rows: number;
  readonly #vocab: number;
  readonly #first: number;
  readonly #tuning;

  static async create(
    rows: { logits: Float32Array; params: SamplingParams; history: RowHistory }[],
    first: number,
  ): Promise<Bench> {
    const tuning = tuningFor(device, false);
    return new Bench(await pipelinesFor(device, "float32", tuning), tuning, rows, first);
  }

  private constructor(
    pipelines: Awaited<ReturnType<typeof pipelinesFor>>,
    tuning: ReturnType<typeof tuningFor>,
    rows: { logits: Float32Array; params: SamplingParams; history: RowHistory }[],
    first: number,
  ) {
    this.#pipelines = pipelines;
    this.#tuning = tuning;
    this.#processing = furtherPipelines(device, pipelines, "float32", tuning);
    const vocab = rows[0]!.logits.length;
    const capacity = rows[0]!.history.ring.length;
    this.#rows = rows.length;
    this.#vocab = vocab;
    this.#first = first;
    const plans = rows.map(({ params }) => planRow(params, vocab));
    const shape = { vocab, groups: 1, first, rowStride: vocab, firstRow: FIRST_ROW, tokenFirst: 0, tokenStride: 1 };
    const logits = new Float32Array(first + rows.length * vocab).fill(1e9);
    const history = new Uint32Array((rows.length + 2 * FIRST_ROW) * (4 + capacity) + GUARD).fill(SENTINEL);
    rows.forEach((row, index) => {
      logits.set(row.logits, first + index * vocab);
      const { first: oldest, length, prompt, outputs, ring } = row.history;
      history.set([oldest, length, prompt, outputs, ...ring], (FIRST_ROW + index) * (4 + capacity));
    });
    const overlay = new Uint32Array(rows.length * this.#stride + GUARD);
    overlay.fill(SENTINEL, overlay.length - GUARD);
    const controls = packControls(
      plans.map((plan) => plan.process),
      capacity,
      vocab,
    );
    this.#buffers = {
      logits: bufferOf(device, logits),
      call: bufferOf(
        device,
        packCall(shape, plans, () => 0n),
      ),
      controls: bufferOf(device, controls.words),
      overlay: bufferOf(device, overlay),
      history: bufferOf(device, history),
      job: bufferOf(device, Uint32Array.of(capacity, FIRST_ROW, rows.length, 2, 1, 3)),
      incoming: bufferOf(
        device,
        Uint32Array.from({ length: 1 + 3 * rows.length }, (_, i) => (i % 3 === 2 && i % 2 === 0 ? 0xffff_ffff : i)),
      ),
    };
  }

  get #markWords(): number {
    return Math.floor((this.#vocab + 34) / 32);
  }

  get #stride(): number {
    return 34 * this.#markWords;
  }

  run(...kernels: ProcessingKernelName[]): void {
    const group = (name: "inputs" | "processing" | "appending", ...names: string[]): GPUBindGroup =>
      device.createBindGroup({
        layout: this.#pipelines.layouts[name],
        entries: names.map((buffer, binding) => ({ binding, resource: { buffer: this.#buffers[buffer]! } })),
      });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const kernel of kernels) {
      pass.setPipeline(this.#processing.kernel(kernel));
      if (kernel === "append") {
        pass.setBindGroup(0, group("appending", "job", "incoming", "history"));
        pass.dispatchWorkgroups(Math.ceil(this.#rows / this.#tuning.streamWorkgroup));
        continue;
      }
      pass.setBindGroup(0, group("inputs", "logits", "logits"));
      pass.setBindGroup(1, group("processing", "call", "controls", "overlay", "history"), [0]);
      const workgroups = kernel === "count" ? 2 : Math.ceil(this.#markWords / this.#tuning.streamWorkgroup);
      pass.dispatchWorkgroups(workgroups, this.#rows);
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
  }

  /** What lies over a row, by token: the two marks and the word. */
  async overlay(): Promise<{ touched: boolean[]; banned: boolean[]; words: number[] }[]> {
    const words = await wordsOf(device, this.#buffers["overlay"]!);
    expect(new Set(words.subarray(-GUARD))).toEqual(new Set([SENTINEL]));
    return Array.from({ length: this.#rows }, (_, row) => {
      const at = row * this.#stride;
      const lead = (this.#first + row * this.#vocab) % 4;
      const ids = Array.from({ length: this.#vocab }, (__, id) => id + lead);
      const marked = (kind: number): boolean[] =>
        ids.map((place) => ((words[at + 2 * (place >> 5) + kind]! >>> (place & 31)) & 1) === 1);
      return {
        touched: marked(0),
        banned: marked(1),
        words: ids.map((place) => words[at + 2 * this.#markWords + place]!),
      };
    });
  }

  async read(name: string): Promise<Uint32Array> {
    return wordsOf(device, this.#buffers[name]!);
  }
}

describe("kernels alone against their twins", () => {
  const random = new Random(5);
  const VOCAB = 301;
  const CAPACITY = 200;
  const rows = Array.from({ length: 24 }, () => {
    const said = {
      prompt: randomTokens(random, VOCAB, random.below(60)),
      output: randomTokens(random, VOCAB, random.below(190)),
    };
    const history = emptyHistory(CAPACITY);
    history.ring.set(said.prompt);
    Object.assign(history, { length: said.prompt.length, prompt: said.prompt.length });
    append(history, said.output);
    const logits = Float32Array.from({ length: VOCAB }, () => bitsFloat(random.word()));
    return { logits, history, params: randomProcessing(random, VOCAB, said) };
  });
  const planOf = (params: SamplingParams) => planRow(params, VOCAB).process;

  test.each([0, 1, 2, 3])("count, process, clear; rows from element %d", async (first) => {
    const bench = await Bench.create(rows, first);
    bench.run("count");
    for (const [index, { touched, banned, words }] of (await bench.overlay()).entries()) {
      const { history, params } = rows[index]!;
      const marks = newMarks(VOCAB);
      const plan = planOf(params);
      if (plan !== undefined) count(marks, plan, history);
      expect(words, `row ${index}`).toEqual([...marks.words]);
      for (const [bits, twin] of [
        [touched, marks.touched],
        [banned, marks.banned],
      ] as const) {
        const packed = new Uint32Array(twin.length);
        bits.forEach((set, id) => set && setBit(packed, id));
        expect(packed, `row ${index}`).toEqual(twin);
      }
    }

    bench.run("process");
    const overlay = await bench.overlay();
    let changed = 0;
    for (const [index, { logits, history, params }] of rows.entries()) {
      const plan = planOf(params);
      let expected: Float32Array = logits;
      if (plan !== undefined) {
        const marks = newMarks(VOCAB);
        count(marks, plan, history);
        expected = process(logits, marks, plan, new Float32Array(VOCAB));
        clear(marks);
        expect(marks).toEqual(newMarks(VOCAB));
      }
      const { touched, banned, words } = overlay[index]!;
      const keys = words.map((word, id) => (banned[id] ? 0 : keyOfBits(touched[id] ? word : floatBits(logits[id]!))));
      expect(keys, `row ${index}`).toEqual(Array.from(expected, (logit) => keyOfBits(floatBits(logit))));
      changed += touched.filter(Boolean).length;
      // Nothing is written where nothing is touched.
      expect(words.every((word, id) => touched[id] || word === 0)).toBe(true);
    }
    expect(changed).toBeGreaterThan(100);

    bench.run("clear");
    expect(new Set((await bench.read("overlay")).subarray(0, -GUARD))).toEqual(new Set([0]));
  });

  test("append", async () => {
    const bench = await Bench.create(rows, 0);
    bench.run("append");
    const incoming = await bench.read("incoming");
    const words = await bench.read("history");
    const stride = 4 + CAPACITY;
    for (const [index, { history }] of rows.entries()) {
      const twin = { ...history, ring: history.ring.slice() };
      append(twin, incoming.subarray(1 + 3 * index, 3 + 3 * index));
      const [first, length, prompt, outputs] = words.subarray((FIRST_ROW + index) * stride);
      expect({ first, length, prompt, outputs }, `row ${index}`).toEqual({
        first: twin.first,
        length: twin.length,
        prompt: twin.prompt,
        outputs: twin.outputs,
      });
      expect(words.subarray((FIRST_ROW + index) * stride + 4, (FIRST_ROW + index + 1) * stride)).toEqual(twin.ring);
    }
    expect(new Set(words.subarray(0, FIRST_ROW * stride))).toEqual(new Set([SENTINEL]));
    expect(new Set(words.subarray((FIRST_ROW + rows.length) * stride))).toEqual(new Set([SENTINEL]));
  });
});

interface Pair {
  readonly gpu: Sampler;
  readonly cpu: Sampler;
}

/** @param chunk caps on what one dispatch binds, see `createSampler` */
async function pair(shape: SamplerOptions, chunk?: { rows?: number; bytes?: number }): Promise<Pair> {
  return {
    gpu: await createSampler({ ...shape, ...(chunk && { __chunk: chunk }), device, engine: "webgpu" }),
    cpu: await createSampler({ ...shape, engine: "cpu" }),
  };
}

/** Both engines' histories do the same. */
const both = ({ gpu, cpu }: Pair, change: (sampler: Sampler) => void): void => [gpu, cpu].forEach(change);

describe("engines agree", () => {
  const SAMPLING: readonly SamplingParams[] = [
    { temperature: 0 },
    {},
    { topK: 20 },
    { temperature: 0.8, topP: 0.9 },
    { temperature: 0.7, topK: 40, topP: 0.95, minP: 0.02 },
    { minP: 0.1, order: "vllm" },
  ];

  test.each([
    ["float32", 1003, undefined],
    ["float16", 1001, undefined],
    ["float32", 1003, { rows: 3 }],
    ["float16", 501, { bytes: 9000 }],
    ["float32", 3, undefined],
    ["float16", 4, undefined],
    ["float16", 5, undefined],
  ] as const)("%s, %d tokens, chunks %j: any mixture, each row its own", async (logitsType, vocabSize, chunk) => {
    const random = new Random(vocabSize);
    const maxBatch = 12;
    const engines = await pair({ vocabSize, maxBatch, logitsType, maxHistory: 90 }, chunk);
    for (let round = 0; round < 6; round++) {
      const floats = batch(inputNames, vocabSize, maxBatch, round);
      const logits = logitsType === "float16" ? floatToHalf(floats) : floats;
      const params = Array.from({ length: maxBatch }, (_, row): SamplingParams => {
        const said = {
          prompt: randomTokens(random, vocabSize, random.below(30)),
          output: randomTokens(random, vocabSize, random.below(60)),
        };
        both(engines, ({ history }) => history.set(row, said.prompt, said.output));
        const sampling = SAMPLING[(row + round) % SAMPLING.length]!;
        return { ...randomProcessing(random, vocabSize, said), ...sampling, seed: BigInt(row), position: round };
      });
      const buffer = bufferOf(device, logits);
      for (const [name, source] of [["array", logits] as const, ["buffer", { buffer, rows: maxBatch }] as const]) {
        const expected = await engines.cpu.candidates(logits, params);
        expect(candidatesDifference(await engines.gpu.candidates(source, params), expected), name).toBeUndefined();
        expect(await engines.gpu.maskLogits(source, params)).toEqual(await engines.cpu.maskLogits(logits, params));
        expect(await engines.gpu.renormalize(source, params)).toEqual(await engines.cpu.renormalize(logits, params));
        const [actual, twin] = [await engines.gpu.sample(source, params), await engines.cpu.sample(logits, params)];
        expect(sampleDifference(actual, twin), `${name}, round ${round}`).toBeUndefined();
      }
      expect(await wordsOf(device, buffer)).toEqual(await wordsOf(device, bufferOf(device, logits)));
      buffer.destroy();
      for (let row = 0; row < maxBatch; row++) {
        expect(await engines.gpu.history.read(row)).toEqual(await engines.cpu.history.read(row));
      }
    }
    engines.gpu.destroy();
  });

  test("32 rows with 32 different sets, 32,001 tokens; both engines draw from the oracle's candidates", async () => {
    const [vocabSize, maxBatch] = [32_001, 32];
    const engines = await pair({ vocabSize, maxBatch, maxHistory: 500 });
    const random = new Random(8);
    const logits = batch(["peaked", "flat", "tiesAtCut", "masked90"], vocabSize, maxBatch, 2);
    const texts: { prompt: number[]; output: number[] }[] = [];
    const params = Array.from({ length: maxBatch }, (_, row): SamplingParams => {
      const said = {
        prompt: randomTokens(random, vocabSize, random.below(200), 40),
        output: randomTokens(random, vocabSize, random.below(300), 40),
      };
      texts.push(said);
      both(engines, ({ history }) => history.set(row, said.prompt, said.output));
      return { ...randomProcessing(random, vocabSize, said), topK: 1 + row, seed: BigInt(row), position: 0 };
    });
    const lists = await engines.gpu.candidates(logits, params);
    for (const [row, { tokens }] of lists.entries()) {
      const processed = processedOracle(
        logits.subarray(row * vocabSize, (row + 1) * vocabSize),
        params[row]!,
        texts[row]!,
      );
      const best = [...processed.keys()]
        .filter((id) => processed[id]! > -Infinity)
        .sort((a, b) => Math.min(processed[b]!, 3.5e38) - Math.min(processed[a]!, 3.5e38) || a - b)
        .slice(0, 1 + row);
      expect([...tokens], `row ${row}`).toEqual(best);
    }
    expect(
      sampleDifference(await engines.gpu.sample(logits, params), await engines.cpu.sample(logits, params)),
    ).toBeUndefined();
    engines.gpu.destroy();
  });

  test("a history of 100,000 tokens", async () => {
    const vocabSize = 50_257;
    const engines = await pair({ vocabSize, maxHistory: 100_000 });
    const random = new Random(1);
    const prompt = Uint32Array.from({ length: 70_000 }, () => random.below(vocabSize));
    const output = Uint32Array.from({ length: 30_000 }, (_, i) => (i % 3 === 0 ? 11 : random.below(500)));
    both(engines, ({ history }) => history.set(0, prompt, output));
    const logits = batch(["flat"], vocabSize, 1, 3);
    for (const params of [
      { repetitionPenalty: 1.2, frequencyPenalty: 0.01, presencePenalty: 0.3 },
      { repetitionPenalty: 1.5, penaltyWindow: 64, topK: 50 },
      { noRepeatNgramSize: 2, dry: { multiplier: 0.8 }, topP: 0.9 },
    ]) {
      const call = { ...params, seed: 3n };
      expect(
        sampleDifference(await engines.gpu.sample(logits, call), await engines.cpu.sample(logits, call)),
      ).toBeUndefined();
    }
    const [actual, expected] = [await engines.gpu.history.read(0), await engines.cpu.history.read(0)];
    expect(actual).toEqual(expected);
    expect([actual.prompt.length, actual.output.length]).toEqual([69_997, 30_003]);
    engines.gpu.destroy();
  });
});

test("more chunks of processed rows than there is room for calls that wait", async () => {
  const shape = { vocabSize: 1214, maxBatch: 21 };
  const engines = await pair(shape, { bytes: 9000 });
  const logits = batch(inputNames, shape.vocabSize, shape.maxBatch, 2);
  const params = Array.from({ length: shape.maxBatch }, (_, row) => ({
    logitBias: { [row]: 2 },
    seed: row,
    position: 0,
  }));
  for (let call = 0; call < 2; call++) {
    const [actual, expected] = [await engines.gpu.sample(logits, params), await engines.cpu.sample(logits, params)];
    expect(sampleDifference(actual, expected)).toBeUndefined();
  }
  const lists = [await engines.gpu.candidates(logits, params), await engines.cpu.candidates(logits, params)] as const;
  expect(candidatesDifference(...lists)).toBeUndefined();
  engines.gpu.destroy();
});

describe("masks", () => {
  const [V, ROWS] = [1003, 3];
  const logits = batch(["peaked", "flat", "tiesAtCut"], V, ROWS, 1);
  const W = Math.ceil(V / 32);

  test("grammar mask, penalties, min-p, top-k and seed in one call", async () => {
    const engines = await pair({ vocabSize: V, maxBatch: ROWS, maxHistory: 50 });
    const random = new Random(2);
    for (let row = 0; row < ROWS; row++) {
      both(engines, ({ history }) => history.set(row, randomTokens(new Random(row), V, 20), [1, 2, 3]));
    }
    for (let step = 0; step < 10; step++) {
      const params = {
        allowedTokens: randomMask(random, V * ROWS + 3 * 32, 0.2).slice(0, W * ROWS),
        repetitionPenalty: 1.2,
        frequencyPenalty: 0.2,
        presencePenalty: 0.1,
        minP: 0.01,
        topK: 30,
        seed: 5n,
      };
      const [actual, expected] = [await engines.gpu.sample(logits, params), await engines.cpu.sample(logits, params)];
      expect(sampleDifference(actual, expected)).toBeUndefined();
      for (const [row, token] of actual.tokens.entries()) {
        expect((params.allowedTokens[row * W + (token >> 5)]! >>> (token & 31)) & 1).toBe(1);
      }
    }
    engines.gpu.destroy();
  });

  test("a mask that leaves one token, one that leaves none, and a forced token", async () => {
    const engines = await pair({ vocabSize: V, maxBatch: ROWS });
    const one = new Uint32Array(W * ROWS);
    setBit(one.subarray(0, W), 1002);
    setBit(one.subarray(2 * W), 0);
    const masked = { allowedTokens: new Int32Array(one.buffer), seed: 1n };
    const forced = [
      { forcedToken: 7 },
      { forcedToken: 8, bannedTokens: one.subarray(0, W) },
      { forcedToken: 9, suppressTokens: [9] },
    ];
    for (const params of [masked, forced]) {
      const [actual, expected] = [await engines.gpu.sample(logits, params), await engines.cpu.sample(logits, params)];
      expect(sampleDifference(actual, expected)).toBeUndefined();
      const none = params === masked ? 1 : 2;
      expect(actual.status).toEqual([0, 1, 2].map((row) => (row === none ? "masked" : "ok")));
      expect([...actual.tokens]).toEqual(params === masked ? [1002, 0xffff_ffff, 0] : [7, 8, 0xffff_ffff]);
      expect(actual.logprobs[0]).toBe(0);
    }
    engines.gpu.destroy();
  });

  test.each([undefined, { rows: 1 }])("masks in GPU buffers are read when the commands run, %j", async (chunk) => {
    const engines = await pair({ vocabSize: V, maxBatch: ROWS }, chunk);
    const masks = randomMask(new Random(6), 32 * W * ROWS, 0.3);
    const buffer = bufferOf(device, masks, COPY_SRC | COPY_DST);
    const expected = await engines.cpu.sample(logits, { allowedTokens: masks, seed: 2n, position: 0 });
    expect(
      sampleDifference(
        await engines.gpu.sample(logits, { allowedTokens: { buffer, rowStride: W }, seed: 2n, position: 0 }),
        expected,
      ),
    ).toBeUndefined();
    // Nothing is made of the words behind a mask for all rows.
    const first = { allowedTokens: masks.slice(0, W), seed: 2n, position: 0 };
    expect(
      sampleDifference(
        await engines.gpu.sample(logits, { ...first, allowedTokens: buffer }),
        await engines.cpu.sample(logits, first),
      ),
    ).toBeUndefined();
    const perRow = Array.from({ length: ROWS }, (_, row) => ({
      allowedTokens: { buffer, offset: row * W },
      seed: 2n,
      position: 0,
    }));
    expect(sampleDifference(await engines.gpu.sample(logits, perRow), expected)).toBeUndefined();
    // Written after the call was recorded, and before it runs.
    const [tokens, other] = [bufferOf(device, new Uint32Array(ROWS)), randomMask(new Random(7), 32 * W * ROWS, 0.3)];
    const encoder = device.createCommandEncoder();
    const target = { logits: bufferOf(device, logits), tokens };
    engines.gpu.encode(encoder, target, { allowedTokens: { buffer, rowStride: W }, seed: 2n, position: 0 });
    device.queue.writeBuffer(buffer, 0, other);
    device.queue.submit([encoder.finish()]);
    const later = await engines.cpu.sample(logits, { allowedTokens: other, seed: 2n, position: 0 });
    expect(await wordsOf(device, tokens)).toEqual(later.tokens);
    engines.gpu.destroy();
  });

  test.each(["allowedTokens", "bannedTokens"] as const)(
    "%s in a GPU buffer, then all zeros on the CPU",
    async (name) => {
      const engines = await pair({ vocabSize: V, maxBatch: ROWS });
      const [mask, zeros] = [randomMask(new Random(8), V, 0.5), new Uint32Array(W)];
      const buffer = bufferOf(device, mask, COPY_SRC | COPY_DST);
      const rest = { seed: 2n, position: 0 };
      for (const [given, same] of [
        [buffer, mask],
        [zeros, zeros],
        [buffer, mask],
      ] as const) {
        const actual = await engines.gpu.sample(logits, { ...rest, [name]: given });
        expect(sampleDifference(actual, await engines.cpu.sample(logits, { ...rest, [name]: same }))).toBeUndefined();
      }
      engines.gpu.destroy();
    },
  );

  test("any number of calls with masks of their own wait in one encoder", async () => {
    const engines = await pair({ vocabSize: V, maxBatch: ROWS });
    const source = bufferOf(device, logits);
    const encoder = device.createCommandEncoder();
    const calls = Array.from({ length: 40 }, (_, i) => ({
      allowedTokens: randomMask(new Random(i), V, 0.5),
      seed: 1n,
      position: 0,
    }));
    const targets = calls.map((params) => {
      const tokens = bufferOf(device, new Uint32Array(ROWS));
      engines.gpu.encode(encoder, { logits: source, tokens }, params);
      return tokens;
    });
    device.queue.submit([encoder.finish()]);
    for (const [index, params] of calls.entries()) {
      expect(await wordsOf(device, targets[index]!)).toEqual((await engines.cpu.sample(logits, params)).tokens);
    }
    engines.gpu.destroy();
  });
});

describe("calls that wait in encoders", () => {
  // Here, where the kernels that process logits are compiled already.
  const [V, ROWS, WAITING] = [1003, 3, 16];
  const logits = batch(["peaked", "flat", "tiesAtCut"], V, ROWS, 1);
  const sampler = (): Promise<Sampler> => createSampler({ vocabSize: V, maxBatch: ROWS, device });
  const rest = { position: 0, topK: 50, temperature: 2 };
  /** Parameters that differ from call to call, and what they make the sampler put down. */
  const kinds: [string, (call: number) => SamplingParams | SamplingParams[]][] = [
    ["plain", (call) => ({ ...rest, seed: call })],
    // Lists of very different lengths: a slot that has become too small is freed.
    [
      "processed",
      (call) => ({ ...rest, seed: 1, suppressTokens: Array.from({ length: 1 + 9 * call }, (_, id) => id) }),
    ],
    ["processed rows", (call) => [0, 1, 2].map((row) => ({ position: 0, forcedToken: 10 * call + row }))],
  ];
  const chunks = [undefined, { rows: 1 }];
  test.each(kinds.flatMap(([name, params]) => chunks.map((chunk) => ({ name, params, chunk }))))(
    "$name, $chunk: sixteen keep their parameters, whatever was used before and is sampled in between",
    async ({ params, chunk }) => {
      const one = await createSampler({ vocabSize: V, maxBatch: ROWS, device, ...(chunk && { __chunk: chunk }) });
      const cpu = await createSampler({ vocabSize: V, maxBatch: ROWS, engine: "cpu" });
      const buffer = bufferOf(device, logits);
      const all = bufferOf(device, new Uint32Array(WAITING * ROWS));
      const record = (call: number, place: number): GPUCommandBuffer => {
        const encoder = device.createCommandEncoder();
        one.encode(encoder, { logits: buffer, tokens: all, tokensOffset: place * ROWS }, params(call));
        return encoder.finish();
      };
      for (let call = 0; call < WAITING; call++) device.queue.submit([record(call, 0)]);
      // The first takes up again what was used longest ago.
      const calls = Array.from({ length: WAITING }, (_, index) => (index === 0 ? 0 : 50 + index));
      const waiting = calls.map(record);
      for (let call = 30; call < 48; call++) {
        await one.sample(logits, params(call));
        if (call % 6 === 0)
          await Promise.all([one.candidates(logits, params(call)), one.maskLogits(logits, params(call))]);
      }
      device.queue.submit(waiting);
      const tokens = await wordsOf(device, all);
      for (const [place, call] of calls.entries()) {
        const expected = (await cpu.sample(logits, params(call))).tokens;
        expect(tokens.subarray(place * ROWS, (place + 1) * ROWS), `call ${call}`).toEqual(expected);
      }
      one.destroy();
    },
  );

  test("the same of calls that write what is kept", async () => {
    const one = await sampler();
    const buffer = bufferOf(device, logits);
    const outputs = Array.from({ length: WAITING }, () => bufferOf(device, new Uint32Array(V * ROWS)));
    const params = (call: number): SamplingParams => ({ topK: 1 + call });
    const waiting = outputs.map((output, call) => {
      const encoder = device.createCommandEncoder();
      one.encodeMaskLogits(encoder, { logits: buffer, output }, params(call));
      return encoder.finish();
    });
    for (let call = 0; call < WAITING; call++) await one.renormalize(logits, params(100 + call));
    device.queue.submit(waiting);
    for (const [call, output] of outputs.entries()) {
      const masked = new Float32Array((await wordsOf(device, output)).buffer);
      expect(masked, `call ${call}`).toEqual(await one.maskLogits(logits, params(call)));
    }
    one.destroy();
  });

  test("calls of the sampler's own put down what is new, in memory that is there", async () => {
    const one = await sampler();
    const params = (call: number): SamplingParams => ({ temperature: 1 + call, suppressTokens: [call] });
    for (let call = 0; call < 8; call++) await one.sample(logits, params(call));
    const create = device.createBuffer.bind(device);
    const write = device.queue.writeBuffer.bind(device.queue);
    const made: (string | undefined)[] = [];
    let writes = 0;
    device.createBuffer = (descriptor) => {
      made.push(descriptor.label);
      return create(descriptor);
    };
    device.queue.writeBuffer = (...args: Parameters<typeof write>) => {
      writes++;
      write(...args);
    };
    try {
      for (let call = 20; call < 60; call++) await one.sample(logits, params(call));
      expect(made).toEqual([]);
      expect(writes).toBe(3 * 40); // logits, parameters and controls
      writes = 0;
      for (let call = 0; call < 40; call++) await one.sample(logits, params(58 + (call % 2)));
      expect(writes).toBe(40); // logits
    } finally {
      device.createBuffer = create;
      device.queue.writeBuffer = write;
    }
    one.destroy();
  });
});

describe("history", () => {
  const [V, ROWS] = [803, 4];
  const logits = batch(["peaked", "flat"], V, ROWS, 4);
  const params: SamplingParams[] = Array.from({ length: ROWS }, (_, row) => ({
    temperature: 1.2,
    repetitionPenalty: 1.3,
    frequencyPenalty: 0.3,
    presencePenalty: 0.2,
    ...(row === 1 && { penaltyWindow: 8, penaltyOrder: "additive-first" as const }),
    ...(row === 2 && { noRepeatNgramSize: 2, badWords: [[3, 4], [5]], minTokens: 20, stopTokens: [0, 1, 2] }),
    ...(row === 3 && { dry: { multiplier: 0.8, allowedLength: 1 }, topP: 0.9 }),
    bannedTokens: randomMask(new Random(row), V, 0.3),
    seed: BigInt(row),
  }));

  test("64 encodes in one submit draw the tokens of 64 sample calls", async () => {
    const engines = await pair({ vocabSize: V, maxBatch: ROWS, maxHistory: 50 });
    for (let row = 0; row < ROWS; row++) both(engines, ({ history }) => history.set(row, [row, 5, 6, 7]));
    const buffer = bufferOf(device, logits);
    const targets = Array.from({ length: 64 }, () => bufferOf(device, new Uint32Array(ROWS)));
    const encoder = device.createCommandEncoder();
    // The masks are larger than a plan, and the same in every step.
    for (const tokens of targets) engines.gpu.encode(encoder, { logits: buffer, tokens }, params);
    device.queue.submit([encoder.finish()]);
    const expected: number[] = [];
    for (let step = 0; step < 64; step++) expected.push(...(await engines.cpu.sample(logits, params)).tokens);
    const drawn: number[] = [];
    for (const tokens of targets) drawn.push(...(await wordsOf(device, tokens)));
    expect(drawn).toEqual(expected);
    for (let row = 0; row < ROWS; row++) {
      const read = await engines.gpu.history.read(row);
      expect(read).toEqual(await engines.cpu.history.read(row));
      // 64 tokens and a prompt of four do not fit into 50: the oldest are gone.
      expect([...read.output]).toEqual(expected.filter((_, index) => index % ROWS === row).slice(-50));
    }
    engines.gpu.destroy();
  });

  test("rows are copied, moved, rearranged, reset and appended to, on the queue or in an encoder", async () => {
    const engines = await pair({ vocabSize: V, maxBatch: ROWS, maxHistory: 30 });
    const check = async (what: string): Promise<void> => {
      for (let row = 0; row < ROWS; row++) {
        expect(await engines.gpu.history.read(row), `${what}, row ${row}`).toEqual(await engines.cpu.history.read(row));
      }
      const [actual, expected] = [await engines.gpu.sample(logits, params), await engines.cpu.sample(logits, params)];
      expect(sampleDifference(actual, expected), what).toBeUndefined();
    };
    const recorded = (change: (sampler: Sampler, encoder?: GPUCommandEncoder) => void): void => {
      const encoder = device.createCommandEncoder();
      change(engines.gpu, encoder);
      device.queue.submit([encoder.finish()]);
      change(engines.cpu);
    };
    for (let row = 0; row < ROWS; row++) both(engines, ({ history }) => history.set(row, [row, 8], [9, row]));
    await check("set");
    both(engines, ({ history }) => history.append(1, [1, 2, 3, 2, 3]));
    await check("append");
    both(engines, ({ history }) =>
      history.append(
        2,
        Array.from({ length: 30 }, (_, i) => i),
      ),
    );
    await check("append until the ring comes round");
    both(engines, ({ history }) => history.copy(2, 0));
    await check("copy");
    both(engines, ({ history }) => history.reorder([1, 0, 3, 2]));
    await check("reorder");
    recorded(({ history }, encoder) => history.reorder([3, 3, 0], encoder));
    await check("reorder in an encoder");
    recorded(({ history }, encoder) => history.move(0, 1, encoder));
    await check("move in an encoder");
    both(engines, ({ history }) => history.reset(2));
    await check("reset one");
    recorded(({ history }, encoder) => history.reset(undefined, encoder));
    await check("reset all");
    engines.gpu.destroy();
  });

  test("what candidates lists does not change while another call draws", async () => {
    const engines = await pair({ vocabSize: V, maxBatch: ROWS, maxHistory: 30 });
    const all = { frequencyPenalty: 1.5, seed: 4n };
    const listing = engines.gpu.candidates(logits, all);
    const samples = [engines.gpu.sample(logits, all), engines.gpu.sample(logits, all)];
    expect(candidatesDifference(await listing, await engines.cpu.candidates(logits, all))).toBeUndefined();
    for (const sample of samples) {
      expect(sampleDifference(await sample, await engines.cpu.sample(logits, all))).toBeUndefined();
    }
    engines.gpu.destroy();
  });

  test("a call in several parts sees the histories as they stood when it was made", async () => {
    const engines = await pair({ vocabSize: V, maxBatch: ROWS, maxHistory: 8 }, { bytes: 8 * V });
    const params = { noRepeatNgramSize: 1, topK: 9 };
    for (const call of ["candidates", "maskLogits", "renormalize"] as const) {
      const [actual, expected] = [engines.gpu, engines.cpu].map((each) => {
        for (let row = 0; row < ROWS; row++) each.history.set(row, [row]);
        const pending = each[call](logits, params);
        for (let row = 0; row < ROWS; row++)
          each.history.set(
            row,
            Array.from({ length: 8 }, (_, id) => 8 * row + id),
          );
        return pending;
      });
      expect(await actual, call).toEqual(await expected);
    }
    engines.gpu.destroy();
  });
});

describe("nothing is spent on what is off", () => {
  const [V, ROWS] = [1003, 3];
  const logits = batch(["peaked", "flat", "tiesAtCut"], V, ROWS, 1);

  /** Counts what a call does to the device. */
  async function counted(sampler: Sampler, params: SamplingParams): Promise<Record<string, number>> {
    const calls: Record<string, number> = {
      dispatchWorkgroups: 0,
      createComputePipeline: 0,
      createShaderModule: 0,
      createBuffer: 0,
    };
    const restore: (() => void)[] = [];
    const spy = (object: object, name: string): void => {
      const original = (object as Record<string, (...args: unknown[]) => unknown>)[name]!;
      Object.defineProperty(object, name, {
        configurable: true,
        value(this: unknown, ...args: unknown[]) {
          calls[name] = calls[name]! + 1;
          return original.apply(this, args);
        },
      });
      restore.push(() =>
        Object.hasOwn(GPUComputePassEncoder.prototype, name) && object === GPUComputePassEncoder.prototype
          ? Object.defineProperty(object, name, { configurable: true, writable: true, value: original })
          : Reflect.deleteProperty(object, name),
      );
    };
    spy(GPUComputePassEncoder.prototype, "dispatchWorkgroups");
    for (const name of ["createComputePipeline", "createShaderModule", "createBuffer"]) spy(device, name);
    try {
      await sampler.sample(logits, params);
    } finally {
      restore.forEach((undo) => undo());
    }
    return calls;
  }

  test("as many dispatches as without, and nothing is compiled, until something is asked for", async () => {
    // A tuning of its own, so that no other test has compiled its pipelines.
    const tuning = { streamWorkgroup: 16 };
    const plain = await createSampler({ vocabSize: V, maxBatch: ROWS, device, tuning });
    const off: SamplingParams = { topK: 20, repetitionPenalty: 1, logitBias: {}, dry: { multiplier: 0 } };
    await plain.sample(logits, { topK: 20 });
    const before = await counted(plain, { topK: 20 });
    expect(before).toEqual({ dispatchWorkgroups: 2, createComputePipeline: 0, createShaderModule: 0, createBuffer: 0 });
    expect(await counted(plain, off)).toEqual(before);
    const bias = await counted(plain, { topK: 20, logitBias: { 1: 2 } });
    expect(bias["dispatchWorkgroups"]).toBe(2 + 3);
    expect(bias["createComputePipeline"]).toBe(3 + 2);
    expect(
      (await counted(plain, { topK: 20, allowedTokens: new Uint32Array(32).fill(-1) }))["dispatchWorkgroups"],
    ).toBe(2 + 2);
    // With a history, the drawn tokens are appended, and what may be needed was checked from the start.
    const other = await createSampler({ vocabSize: V, maxBatch: ROWS, device, tuning, maxHistory: 64 });
    await other.sample(logits, off);
    expect(await counted(other, off)).toEqual({ ...before, dispatchWorkgroups: 2 + 1 });
    expect((await counted(other, { topK: 20, presencePenalty: 1 }))["createComputePipeline"]).toBe(0);
    plain.destroy();
    other.destroy();
  });
});

test("a device that gets the processing wrong is refused before it draws for anybody", async () => {
  const right = "z = float_add(z, bias);";
  const broken = await requestDevice();
  const original = broken.createShaderModule.bind(broken);
  let found = 0;
  broken.createShaderModule = (descriptor) => {
    found += descriptor.code.split(right).length - 1;
    return original({ ...descriptor, code: descriptor.code.replaceAll(right, "z = float_add(z, bias ^ SIGN);") });
  };
  const shape = { vocabSize: 10, device: broken, engine: "webgpu" } as const;
  await (await createSampler(shape)).sample(new Float32Array(10));
  await expect(createSampler({ ...shape, maxHistory: 9 })).rejects.toThrow(
    /computes the kernels wrongly .* with processed logits drew/,
  );
  expect(found).toBe(1);
  broken.destroy();
});

test("buffers that nobody can read are refused by name", async () => {
  const sampler = await createSampler({ vocabSize: 100, device });
  const mask = bufferOf(device, new Uint32Array(4), STORAGE | COPY_DST);
  await expect(sampler.sample(new Float32Array(100), { bannedTokens: mask })).rejects.toThrow(
    /params\.bannedTokens: expected a buffer with usage COPY_SRC, got usage 136/,
  );
  sampler.destroy();
});

test("long texts are appended in jobs, also round the ring, and repeats end at any of many breakers", async () => {
  const [vocabSize, maxHistory] = [300, 40_000];
  const gpu = await createSampler({ vocabSize, maxHistory, device, engine: "webgpu" });
  const cpu = await createSampler({ vocabSize, maxHistory, engine: "cpu" });
  const logits = new Float32Array(vocabSize).fill(5);
  const sequenceBreakers = Array.from({ length: 200 }, (_, index) => 299 - index);
  // A breaker so many tokens from the end: next to it, in front of a group of invocations, behind it, and out of reach.
  for (const distance of [0, 1, 31, 32, 33, 70, 500, 39_000]) {
    const tokens = Uint32Array.from({ length: maxHistory }, (_, index) => index % 3);
    tokens[maxHistory - 1 - distance] = 150 + (distance % 7);
    const texts = [];
    for (const sampler of [gpu, cpu]) {
      sampler.history.set(0, [7, 8]);
      sampler.history.append(0, tokens.subarray(0, 100));
      sampler.history.append(0, tokens);
      const dry = { multiplier: 1e-3, base: 1.003, sequenceBreakers, window: 3000 };
      texts.push([await sampler.history.read(0), await sampler.maskLogits(logits, { dry })]);
    }
    expect(texts[0], `a breaker ${distance} tokens from the end`).toEqual(texts[1]);
  }
  gpu.destroy();
});
