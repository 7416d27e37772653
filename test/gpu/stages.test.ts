/** The stages in both engines: tokens, lists, and what is kept from token to token. */
import { describe, expect, test } from "vitest";
import { createSampler, type LogitsType, type Sampler, type SamplingParams, type Tuning } from "../../src/index.ts";
import { candidatesDifference, paramSets, sampleDifference, show, stagedSets } from "../support/cases.ts";
import { bufferOf, sharedDevice, wordsOf } from "../support/device.ts";
import { batch, type InputName, inputNames } from "../support/inputs.ts";
import { floatToHalf } from "../support/oracle.ts";

const device = await sharedDevice();

interface Options {
  readonly vocabSize: number;
  readonly maxBatch: number;
  readonly maxHistory?: number;
  readonly logitsType?: LogitsType;
  readonly tuning?: Partial<Tuning>;
  readonly __chunk?: { rows?: number; bytes?: number };
}

async function pair({ __chunk, ...shape }: Options): Promise<{ gpu: Sampler; cpu: Sampler }> {
  return {
    gpu: await createSampler({ ...shape, ...(__chunk && { __chunk }), device, engine: "webgpu" }),
    cpu: await createSampler({ ...shape, engine: "cpu" }),
  };
}

/** Draws and lists under each of the parameter sets; lines that say where the engines differ. */
async function differences(
  { gpu, cpu }: { gpu: Sampler; cpu: Sampler },
  sets: readonly SamplingParams[],
  names: readonly InputName[] = inputNames,
  convert: (rows: Float32Array) => Float32Array | Uint16Array = (rows) => rows,
): Promise<string[]> {
  const lines: string[] = [];
  for (const [index, params] of sets.entries()) {
    const logits = convert(batch(names, gpu.vocabSize, names.length, index));
    const seeded = { seed: BigInt(index) * 77n, ...params };
    for (let token = 0; token < 2; token++) {
      const lists = [await gpu.candidates(logits, seeded), await cpu.candidates(logits, seeded)] as const;
      const samples = [await gpu.sample(logits, seeded), await cpu.sample(logits, seeded)] as const;
      const found = candidatesDifference(...lists) ?? sampleDifference(...samples);
      if (found !== undefined) lines.push(`${gpu.vocabSize} tokens, set ${index}, ${show(seeded)}: ${found}`);
    }
  }
  for (let row = 0; row < names.length; row++) {
    expect(await gpu.state.read(row), `state of row ${row}`).toEqual(await cpu.state.read(row));
  }
  return lines;
}

const some = stagedSets.filter((_, index) => index % 3 === 1);

/** Runs something, and says which pipelines were made meanwhile. */
async function pipelinesOf(run: (made: readonly string[]) => Promise<void>): Promise<void> {
  const made: string[] = [];
  const create = device.createComputePipeline.bind(device);
  device.createComputePipeline = (descriptor) => {
    made.push(String(descriptor.label));
    return create(descriptor);
  };
  await run(made).finally(() => (device.createComputePipeline = create));
}

test("is not compiled, dispatched or allocated where no stage asks for it", async () => {
  // A tuning of its own, so that no other test has compiled its pipelines.
  const sampler = await createSampler({ vocabSize: 600, maxBatch: 1, device, tuning: { streamWorkgroup: 8 } });
  await pipelinesOf(async (made) => {
    const logits = batch(["peaked"], 600, 1, 1);
    for (const params of paramSets) await sampler.sample(logits, params);
    const short = "webgpu-token-sampler.draw.FILTERS=0.ROOM=1";
    expect(made).toEqual([short]);
    await sampler.sample(logits, { typicalP: 0.5 });
    expect(made).toEqual([short, "webgpu-token-sampler.stages.staged"]);
  });
  sampler.destroy();
});

test("a draw with all the room is compiled for a large top-k of many groups", async () => {
  const { gpu, cpu } = await pair({ vocabSize: 33_000, maxBatch: 1, tuning: { streamWorkgroup: 8 } });
  const logits = batch(["flat"], 33_000, 1, 1);
  await pipelinesOf(async (made) => {
    for (const [topK, compiled] of [
      [352, 0],
      [353, 1],
      [512, 1],
      [513, 1],
    ] as const) {
      const params = { topK, seed: 3n, position: 0n };
      expect((await gpu.sample(logits, params)).tokens).toEqual((await cpu.sample(logits, params)).tokens);
      expect(made).toEqual(["webgpu-token-sampler.draw.ROOM=1024"].slice(0, compiled));
    }
  });
  gpu.destroy();
});

test.each([1, 2, 127, 2000])("%d tokens: all inputs, all parameter sets", async (vocabSize) => {
  const engines = await pair({ vocabSize, maxBatch: inputNames.length });
  expect(await differences(engines, stagedSets)).toEqual([]);
  engines.gpu.destroy();
});

test("30,000 tokens: wide rows", async () => {
  const engines = await pair({ vocabSize: 30_000, maxBatch: 3 });
  // Half of them; the corpus has another third in rows of 20,003.
  const half = stagedSets.filter((_, index) => index % 2 === 0);
  expect(await differences(engines, half, ["flat", "equal", "tiesAtCut"])).toEqual([]);
  engines.gpu.destroy();
});

test("Mirostat 1 with a limit beyond every token, where XTC has dropped the top, keeps the rest", async () => {
  const engines = await pair({ vocabSize: 2000, maxBatch: inputNames.length });
  const all = { xtcProbability: 1, xtcThreshold: 1e-3, mirostat: 1, mirostatTau: 64 } as const;
  expect(await differences(engines, [all, { ...all, temperature: 2 }])).toEqual([]);
  engines.gpu.destroy();
});

test("adaptive-p that remembers nothing, and a share of top-H below that of any token beside a large minKeep", async () => {
  const engines = await pair({ vocabSize: 1300, maxBatch: inputNames.length });
  const forgets = { adaptiveP: 0.05, adaptiveDecay: 0 };
  const sets = [forgets, { ...forgets, topK: 40 }, { topH: 0.005, minKeep: 1025 }];
  expect(await differences(engines, sets)).toEqual([]);
  engines.gpu.destroy();
});

test("maskLogits and renormalize give what stages keep and how they weigh it, and leave their states as they stand", async () => {
  const { gpu, cpu } = await pair({ vocabSize: 203, maxBatch: inputNames.length });
  const logits = batch(inputNames, 203, inputNames.length, 4);
  const all = { temperature: 1.3, seed: 5n };
  const sets: SamplingParams[] = [
    { ...all, adaptiveP: 0.3, adaptiveDecay: 0.5, minP: 0.01 },
    { ...all, mirostat: 2, mirostatTau: 2 },
    { ...all, xtcProbability: 1, xtcThreshold: 0.02, topK: 60 },
    { ...all, dynatempRange: 0.7, typicalP: 0.8 },
    { ...all, topNSigma: 1 },
    { ...all, topP: 0.9 },
  ];
  const mixed = inputNames.map((_, row) => sets[row % sets.length]!);
  for (let step = 0; step < 2; step++) {
    for (const params of [mixed, sets[0]!]) {
      expect(await gpu.maskLogits(logits, params)).toEqual(await cpu.maskLogits(logits, params));
      expect(await gpu.renormalize(logits, params)).toEqual(await cpu.renormalize(logits, params));
    }
    // An engine whose rows had moved on would draw other tokens.
    expect((await gpu.sample(logits, mixed)).tokens).toEqual((await cpu.sample(logits, mixed)).tokens);
    for (let row = 0; row < mixed.length; row++) expect(await gpu.state.read(row)).toEqual(await cpu.state.read(row));
  }
  gpu.destroy();
});

test("calls in several parts see the states as they stood when they were made", async () => {
  const { gpu, cpu } = await pair({ vocabSize: 203, maxBatch: 3, __chunk: { bytes: 1700 } });
  const logits = batch(["flat"], 203, 3, 4);
  const params = { adaptiveP: 0.3, adaptiveDecay: 0.5, temperature: 0.5, seed: 5n };
  for (const call of ["candidates", "renormalize"] as const) {
    const [actual, expected] = [gpu, cpu].map((each) => {
      void each.sample(logits, params);
      const pending = each[call](logits, params);
      each.state.reset();
      return pending;
    });
    expect(await actual, call).toEqual(await expected);
  }
  gpu.destroy();
});

test("float16", async () => {
  const engines = await pair({ vocabSize: 603, maxBatch: inputNames.length, logitsType: "float16" });
  expect(await differences(engines, some, inputNames, floatToHalf)).toEqual([]);
  engines.gpu.destroy();
});

test("in chunks", async () => {
  const engines = await pair({ vocabSize: 601, maxBatch: inputNames.length, __chunk: { rows: 3, bytes: 9000 } });
  expect(await differences(engines, some)).toEqual([]);
  engines.gpu.destroy();
});

describe("together with everything else", () => {
  const vocabSize = 1003;
  const rows = 32;
  const names = Array.from({ length: rows }, (_, row) => inputNames[row % inputNames.length]!);
  const logits = batch(names, vocabSize, rows, 5);
  const mask = new Uint32Array(Math.ceil(vocabSize / 32)).fill(0xf0f0_ffff);
  const processing: SamplingParams = {
    allowedTokens: mask,
    repetitionPenalty: 1.2,
    presencePenalty: 0.3,
    logitBias: { 3: 2, 900: -100 },
  };

  test("grammar mask, penalties, min-p, top-k and seed in one call, of 32 rows with 32 different sets", async () => {
    const engines = await pair({ vocabSize, maxBatch: rows, maxHistory: 20 });
    for (let row = 0; row < rows; row++) {
      engines.gpu.history.set(row, [row, 1, 2]);
      engines.cpu.history.set(row, [row, 1, 2]);
    }
    // Rows with stages, rows with plain filters, greedy ones, processed and not.
    const params = names.map((_, row): SamplingParams => ({
      ...(row % 4 === 3 ? paramSets[row % paramSets.length] : stagedSets[row % stagedSets.length]),
      ...(row % 3 !== 0 && processing),
      ...(row % 8 === 0 && { temperature: 0 }),
      ...(row % 5 === 1 && { minP: 0.01, topK: 40, order: "vllm" as const }),
      seed: BigInt(row),
    }));
    for (let token = 0; token < 6; token++) {
      const [lists, expectedLists] = [
        await engines.gpu.candidates(logits, params),
        await engines.cpu.candidates(logits, params),
      ];
      expect(candidatesDifference(lists, expectedLists), `lists before token ${token}`).toBeUndefined();
      const [actual, expected] = [await engines.gpu.sample(logits, params), await engines.cpu.sample(logits, params)];
      expect(sampleDifference(actual, expected), `token ${token}`).toBeUndefined();
    }
    engines.gpu.destroy();
  });

  test("one encoder holds any number of parameter sets, and a place of its own for each step's tokens", async () => {
    const { gpu, cpu } = await pair({ vocabSize, maxBatch: 3 });
    const few = logits.subarray(0, 3 * vocabSize);
    const steps = 150;
    const tokens = bufferOf(device, new Uint32Array(3 * steps));
    const target = { logits: bufferOf(device, few), tokens };
    const paramsOf = (step: number): SamplingParams => ({
      temperature: 0.5 + step / 100,
      seed: 3n,
      ...(step % 7 === 0 && { logitBias: { [step]: 5 } }),
      ...(step % 5 === 0 && { typicalP: 0.9 }),
    });
    for (const round of [0, 1]) {
      const encoder = device.createCommandEncoder();
      for (let step = 0; step < steps; step++) {
        gpu.encode(encoder, { ...target, tokensOffset: step * 3 }, paramsOf(step));
      }
      device.queue.submit([encoder.finish()]);
      const expected: number[] = [];
      for (let step = 0; step < steps; step++) expected.push(...(await cpu.sample(few, paramsOf(step))).tokens);
      expect([...(await wordsOf(device, tokens))], `round ${round}`).toEqual(expected);
    }
    gpu.destroy();
  });

  test("a mask that leaves one token, one that leaves none, a forced token", async () => {
    const engines = await pair({ vocabSize, maxBatch: rows });
    const one = new Uint32Array(mask.length);
    one[5] = 1 << 7;
    const sets: SamplingParams[] = [
      { allowedTokens: one },
      { allowedTokens: new Uint32Array(mask.length) },
      { forcedToken: 77 },
    ];
    for (const [index, set] of sets.entries()) {
      for (const stage of some) {
        const params = { ...set, ...stage, seed: 3n };
        const [actual, expected] = [await engines.gpu.sample(logits, params), await engines.cpu.sample(logits, params)];
        expect(sampleDifference(actual, expected), show(params)).toBeUndefined();
        const token = [5 * 32 + 7, 0xffff_ffff, 77][index]!;
        const usable = names.flatMap((name, row) => (name === "allMasked" || name === "allNaN" ? [] : [row]));
        if (index > 0)
          for (const row of usable) expect(actual.tokens[row], `${names[row]}, ${show(params)}`).toBe(token);
        else expect([token, 0xffff_ffff]).toEqual(expect.arrayContaining([...new Set(actual.tokens)]));
      }
    }
    engines.gpu.destroy();
  });
});

describe("what is kept from token to token", () => {
  const vocabSize = 512;
  const rows = 3;
  const base = batch(["peaked", "flat", "tiesAtCut"], vocabSize, rows, 9);
  const params: SamplingParams[] = [
    { mirostat: 2, mirostatTau: 3, repetitionPenalty: 1.3, frequencyPenalty: 0.2, seed: 1n },
    { mirostat: 1, mirostatTau: 4, presencePenalty: 0.5, seed: 2n },
    { adaptiveP: 0.3, minP: 0.01, repetitionPenalty: 1.1, xtcProbability: 0.5, seed: 3n },
  ];
  /** A stand-in for a model: the next logits are the first ones, turned round by what was drawn. */
  const turned = (tokens: Uint32Array): Float32Array =>
    base.map((_, at) => base[at - (at % vocabSize) + ((at + 7 * tokens[Math.floor(at / vocabSize)]!) % vocabSize)]!);
  const model = `
    @group(0) @binding(0) var<storage, read> base: array<f32>;
    @group(0) @binding(1) var<storage, read> drawn: array<u32>;
    @group(0) @binding(2) var<storage, read_write> next: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
      let row = id.x / ${vocabSize}u;
      if (row < ${rows}u) {
        next[id.x] = base[row * ${vocabSize}u + (id.x + 7u * drawn[row]) % ${vocabSize}u];
      }
    }`;

  test("64 steps of sampler and model in one submit give the tokens of 64 sample calls", async () => {
    const engines = await pair({ vocabSize, maxBatch: rows, maxHistory: 100 });
    const steps = 64;
    const [first, logits] = [bufferOf(device, base), bufferOf(device, base)];
    const targets = Array.from({ length: steps }, () => bufferOf(device, new Uint32Array(rows)));
    const pipeline = device.createComputePipeline({
      layout: "auto",
      compute: { module: device.createShaderModule({ code: model }) },
    });
    const encoder = device.createCommandEncoder();
    for (const tokens of targets) {
      engines.gpu.encode(encoder, { logits, tokens }, params);
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      const entries = [first, tokens, logits].map((buffer, binding) => ({ binding, resource: { buffer } }));
      pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
      pass.dispatchWorkgroups(Math.ceil((rows * vocabSize) / 64));
      pass.end();
    }
    device.queue.submit([encoder.finish()]);
    let now: Float32Array = base;
    for (const [step, tokens] of targets.entries()) {
      const sampled = await engines.cpu.sample(now, params);
      expect([...(await wordsOf(device, tokens))], `step ${step}`).toEqual([...sampled.tokens]);
      now = turned(sampled.tokens);
    }
    for (let row = 0; row < rows; row++) {
      expect(await engines.gpu.state.read(row)).toEqual(await engines.cpu.state.read(row));
    }
    engines.gpu.destroy();
  });

  test("is copied, rearranged and reset, on the queue or in an encoder, and not moved by candidates", async () => {
    const engines = await pair({ vocabSize, maxBatch: rows, maxHistory: 100 });
    const states = async (what: string): Promise<number[]> => {
      const mirostat: number[] = [];
      for (let row = 0; row < rows; row++) {
        const [actual, expected] = [await engines.gpu.state.read(row), await engines.cpu.state.read(row)];
        expect(actual, `${what}, row ${row}`).toEqual(expected);
        mirostat.push(actual.mirostat);
      }
      return mirostat;
    };
    const all = { mirostat: 2, mirostatTau: 3, mirostatEta: 0.5, seed: 4n } as const;
    const step = async (what: string): Promise<void> => {
      const lists = [await engines.gpu.candidates(base, all), await engines.cpu.candidates(base, all)] as const;
      expect(candidatesDifference(...lists), what).toBeUndefined();
      const samples = [await engines.gpu.sample(base, all), await engines.cpu.sample(base, all)] as const;
      expect(sampleDifference(...samples), what).toBeUndefined();
    };
    for (let token = 0; token < 4; token++) await step(`token ${token}`);
    const before = await states("four tokens");
    expect(new Set(before).size).toBe(rows);
    const both = (change: (sampler: Sampler, encoder?: GPUCommandEncoder) => void): void => {
      const encoder = device.createCommandEncoder();
      change(engines.gpu, encoder);
      device.queue.submit([encoder.finish()]);
      change(engines.cpu);
    };
    both(({ state }, encoder) => state.reorder([1, 0, 1], encoder));
    expect(await states("reorder")).toEqual([before[1], before[0], before[1]]);
    both(({ state }) => state.copy(1, 2));
    expect(await states("copy")).toEqual([before[1], before[0], before[0]]);
    both(({ state }, encoder) => state.reset(0, encoder));
    expect(await states("reset")).toEqual([0, before[0], before[0]]);
    await step("after all that");
    both(({ state }) => state.reset());
    expect(await states("reset all")).toEqual([0, 0, 0]);
    engines.gpu.destroy();
  });
});

test.each([undefined, { rows: 2 }])("rows that read the same logits have states of their own, %j", async (__chunk) => {
  const [vocabSize, rowMap] = [1001, [2, 0, 0, 2, 1]];
  const { gpu, cpu } = await pair({ vocabSize, maxBatch: rowMap.length, ...(__chunk && { __chunk }) });
  const data = batch(["peaked", "flat", "tiesAtCut"], vocabSize, 3, 4);
  const copies = new Float32Array(rowMap.length * vocabSize);
  rowMap.forEach((from, row) => copies.set(data.subarray(from * vocabSize, (from + 1) * vocabSize), row * vocabSize));
  const params = rowMap.map((_, row) => ({ mirostat: 2 as const, mirostatTau: 2 + row, seed: 5n }));
  for (let token = 0; token < 3; token++) {
    const expected = await cpu.sample(copies, params);
    expect(sampleDifference(await gpu.sample({ data, rowMap }, params), expected)).toBeUndefined();
  }
  for (let row = 0; row < rowMap.length; row++) {
    expect(await gpu.state.read(row)).toEqual(await cpu.state.read(row));
  }
  gpu.destroy();
});
