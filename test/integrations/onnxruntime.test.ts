/** ONNX Runtime Web and the sampler on one device, with the model of the demos. */
import proto from "onnx-proto";
import * as ort from "onnxruntime-web/webgpu";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { loadModel } from "../../demo/model/load.ts";
import { createSampler, type SamplingParams } from "../../src/index.ts";
import {
  createOrtSampler,
  generate,
  type GenerateOptions,
  type OrtSampler,
  type OrtSession,
} from "../../src/integrations/onnxruntime.ts";
import { NO_TOKEN } from "../../src/reference/numeric.ts";
import { bufferOf } from "../support/device.ts";
import { batch } from "../support/inputs.ts";

// ── what is read back, and what is held ──────────────────────────────────────────────────────────────────────────────

// oxlint-disable typescript/unbound-method -- they are called with the `this` that they belong to

/** Sizes of all reads from the GPU, by anybody on this page. */
const reads: number[] = [];
const { mapAsync, destroy } = GPUBuffer.prototype;
GPUBuffer.prototype.mapAsync = function (mode, offset, size) {
  if (mode === GPUMapMode.READ) reads.push(size ?? this.size - (offset ?? 0));
  return mapAsync.call(this, mode, offset, size);
};
/** Labels of the sampler's buffers that live. */
const alive = new Set<GPUBuffer>();
const { createBuffer } = GPUDevice.prototype;
GPUDevice.prototype.createBuffer = function (descriptor) {
  const buffer = createBuffer.call(this, descriptor);
  if (buffer.label.startsWith("webgpu-token-sampler.")) alive.add(buffer);
  return buffer;
};
GPUBuffer.prototype.destroy = function () {
  alive.delete(this);
  return destroy.call(this);
};

// oxlint-enable typescript/unbound-method

const model = await loadModel(ort, "/demo/model/tales");
const device = await ort.env.webgpu.device;
const errors: string[] = [];
const note = (event: GPUUncapturedErrorEvent): void => void errors.push(event.error.message);
device.addEventListener("uncapturederror", note);
// ONNX Runtime has a handler of its own, which keeps events from others: its log is where errors show.
const { error } = console;
console.error = (...args) => {
  errors.push(args.join(" "));
  error(...args);
};

// Other files run in this page, too.
afterAll(() => {
  Object.assign(GPUBuffer.prototype, { mapAsync, destroy });
  GPUDevice.prototype.createBuffer = createBuffer;
  device.removeEventListener("uncapturederror", note);
  console.error = error;
});

afterEach(async () => {
  await device.queue.onSubmittedWorkDone();
  expect(errors.splice(0), "errors of the device").toEqual([]);
  expect(
    [...alive].map(({ label }) => label),
    "buffers of the sampler that were left",
  ).toEqual([]);
  expect(held.size, "tensors of the session that were left").toBe(0);
});

/** Tensors on the GPU that a session gave and nobody has disposed of. */
const held = new Set<object>();

/** A session that counts what it gives. */
function counted(session: ort.InferenceSession): OrtSession {
  return {
    inputNames: session.inputNames,
    outputNames: session.outputNames,
    inputMetadata: session.inputMetadata,
    async run(feeds) {
      const outputs = (await session.run(feeds)) as Record<string, ort.Tensor>;
      for (const tensor of Object.values(outputs)) {
        if (tensor.location !== "gpu-buffer") continue;
        held.add(tensor);
        const dispose = tensor.dispose.bind(tensor);
        tensor.dispose = () => {
          held.delete(tensor);
          dispose();
        };
      }
      return outputs;
    },
  };
}

const session = counted(model.session);
const PROMPT = model.encode("Once there was");

/** Tokens of every step. */
async function write(options: Partial<GenerateOptions>, from: OrtSession = session): Promise<number[][]> {
  const steps: number[][] = [];
  for await (const { tokens } of generate(ort, from, { prompt: PROMPT, maxTokens: 16, ...options }))
    steps.push([...tokens]);
  return steps;
}

/** The same model, with its logits in CPU memory. */
async function withLogitsOnCpu(): Promise<ort.InferenceSession> {
  const bytes = await (await fetch("/demo/model/tales/onnx/model.onnx")).arrayBuffer();
  return ort.InferenceSession.create(bytes, {
    executionProviders: ["webgpu"],
    preferredOutputLocation: Object.fromEntries(
      model.session.outputNames.map((name) => [name, name === "logits" ? "cpu" : "gpu-buffer"] as const),
    ),
  });
}

describe("generate", () => {
  const params: SamplingParams[] = [
    { temperature: 0.8, topP: 0.9, seed: 7n },
    { temperature: 1.5, topK: 40, minP: 0.01, seed: 8n },
    // Looks back at prompt and text; without it, this row would say the same words again.
    { temperature: 0, repetitionPenalty: 1.3, noRepeatNgramSize: 3 },
  ];
  const prompt = [model.encode("Once there was"), model.encode("Long ago a baker named"), model.encode("Dear")];

  test("tokens are the same from logits on the GPU and in CPU memory, and however many are fetched at a time", async () => {
    const onCpu = await withLogitsOnCpu();
    const expected = await write({ prompt, params }, counted(onCpu));
    expect(expected).toHaveLength(16);
    expect(new Set(expected.flat()).size, "a text, and not one token over and over").toBeGreaterThan(10);
    expect(await write({ prompt, params, fetchEvery: 5 })).toEqual(expected);
    await onCpu.release();
  });

  test("4 bytes a row and step are read back, in one read for every n steps, and nothing else", async () => {
    const sizes = async (options: Partial<GenerateOptions>): Promise<number[]> => {
      let first = true;
      // The first step makes the sampler, which checks itself on the device.
      await write({ ...options, onStep: () => first && ((first = false), (reads.length = 0)) });
      return reads.splice(0);
    };
    expect(await sizes({ maxTokens: 16 })).toEqual(new Array(15).fill(4));
    expect(await sizes({ maxTokens: 16, prompt, params })).toEqual(new Array(15).fill(12));
    expect(await sizes({ maxTokens: 16, fetchEvery: 4, prompt })).toEqual(new Array(3).fill(48));
  });

  test("a position starts the text's random stream there", async () => {
    const seed = 5n;
    const whole = await write({ params: { seed } });
    const ids = PROMPT.concat(whole.slice(0, 6).flat());
    expect(await write({ prompt: ids, params: { seed, position: 6 }, maxTokens: 10 })).toEqual(whole.slice(6));
  });

  test("stop tokens, break, abort and errors leave nothing behind", async () => {
    const text = (await write({ params: { seed: 3n } })).flat();
    const stop = text.indexOf(text[7]!);
    expect((await write({ params: { seed: 3n }, stopTokens: [text[7]!], fetchEvery: 3 })).flat()).toEqual(
      text.slice(0, stop),
    );
    expect(alive.size).toBe(0);

    for await (const { step } of generate(ort, session, { prompt: PROMPT, maxTokens: 50, fetchEvery: 4 })) {
      expect(alive.size).toBeGreaterThan(0);
      if (step === 2) break;
    }
    expect(alive.size + held.size).toBe(0);

    const controller = new AbortController();
    const aborting = write({
      maxTokens: 50,
      signal: controller.signal,
      onStep: ({ step }) => step === 3 && controller.abort(),
    });
    await expect(aborting).rejects.toThrow(/abort/);
    expect(alive.size + held.size).toBe(0);

    await expect(write({ params: { topP: 7 } })).rejects.toThrow(/topP: /);
    await expect(write({ prompt, params: [{}, {}] })).rejects.toThrow(/an array of 2/);
    await expect(write({ params: { topLogprobs: 3 } })).rejects.toThrow(
      /^params\.topLogprobs: generate\(\) gives no numbers about tokens, got 3/,
    );
    // Said only once there is a sampler.
    const outside = write({ vocabSize: 2, params: { repetitionPenalty: 1.1 } });
    await expect(outside).rejects.toThrow(/expected a token id|from 0 to 1/);
    expect(alive.size + held.size).toBe(0);
  });

  test("bad options are errors at once", () => {
    expect(() => generate(ort, session, { prompt: [], maxTokens: 1 })).toThrow(/^prompt: /);
    expect(() => generate(ort, session, { prompt: [[1], []], maxTokens: 1 })).toThrow(/^prompt: .* row 1/);
    expect(() => generate(ort, session, { prompt: [1], maxTokens: 0 })).toThrow(/^maxTokens: /);
    expect(() => generate(ort, session, { prompt: [1], maxTokens: 1, padToken: 1.5 })).toThrow(/^padToken: .*1\.5/);
    const misplaced = { prompt: [1], maxTokens: 1, temperature: 0 };
    expect(() => generate(ort, session, misplaced)).toThrow(/^options\.temperature: unknown name/);
  });

  test("a row without a candidate ends alone, wherever the model looks its tokens up", async () => {
    const onWasm = await loadModel(ort, "/demo/model/tales", { device: "wasm" });
    const two = [prompt[0]!, PROMPT];
    const logits = model.session.outputMetadata.find(({ name }) => name === "logits") as { shape: readonly number[] };
    const nothing = new Uint32Array(Math.ceil(logits.shape.at(-1)! / 32));
    const greedy = { temperature: 0 };
    for (const [from, fetchEvery] of [
      [counted(onWasm.session), 1],
      [counted(onWasm.session), 3],
      [session, 1],
      [session, 3],
    ] as const) {
      const given: (number | bigint)[] = [];
      const watched: OrtSession = {
        ...from,
        run: (feeds: { readonly input_ids: ort.Tensor }) => {
          if (from !== session) given.push(...(feeds.input_ids.data as BigInt64Array));
          return from.run(feeds as never);
        },
      };
      const all = await write({ prompt: two, params: [greedy, greedy], maxTokens: 6 }, from);
      const steps = await write(
        { prompt: two, params: [greedy, { allowedTokens: nothing }], maxTokens: 6, fetchEvery, padToken: 5 },
        watched,
      );
      expect(steps).toEqual(all.map(([token]) => [token, NO_TOKEN]));
      if (from !== session) expect(given.slice(-2)[1], "what the ended row is fed").toBe(5n);
    }
    await onWasm.release();
  });

  test("what is kept until it is fetched is never more than the text", async () => {
    const options = { maxTokens: 3, params: { seed: 1n } };
    expect(await write({ ...options, fetchEvery: 2 ** 40 })).toEqual(await write(options));
  });

  test("shorter rows are filled up on the left, and that changes nothing", async () => {
    // Greedy, and the best token far ahead: sums in another order must not decide.
    const together = await write({ prompt, params: { temperature: 0 }, maxTokens: 6 });
    for (const [row, ids] of prompt.entries()) {
      const alone = await write({ prompt: ids, params: { temperature: 0 }, maxTokens: 6 });
      expect(alone.flat()).toEqual(together.map((tokens) => tokens[row]));
    }
  });
});

describe("a model without a cache, with position_ids", () => {
  // logits[p] = table[input_ids[p]] + shift[position_ids[p]]: pairs, and a second thought about where one is.
  const V = 37;
  const table = batch(["flat"], V, V, 1);
  const shift = batch(["peaked"], V, 32, 2);

  function file(): Uint8Array {
    const { onnx } = proto;
    const { FLOAT, INT64 } = onnx.TensorProto.DataType;
    const weights = (name: string, data: Float32Array): proto.onnx.ITensorProto => ({
      name,
      dims: [data.length / V, V],
      dataType: FLOAT,
      rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    });
    const value = (name: string, elemType: number, dims: (string | number)[]): proto.onnx.IValueInfoProto => ({
      name,
      type: {
        tensorType: {
          elemType,
          shape: { dim: dims.map((dim) => (typeof dim === "string" ? { dimParam: dim } : { dimValue: dim })) },
        },
      },
    });
    return onnx.ModelProto.encode({
      irVersion: 8,
      opsetImport: [{ domain: "", version: 17 }],
      graph: {
        name: "pairs",
        initializer: [weights("table", table), weights("shift", shift)],
        node: [
          { opType: "Gather", input: ["table", "input_ids"], output: ["next"] },
          { opType: "Gather", input: ["shift", "position_ids"], output: ["here"] },
          { opType: "Add", input: ["next", "here"], output: ["logits"] },
        ],
        input: [value("input_ids", INT64, ["batch", "length"]), value("position_ids", INT64, ["batch", "length"])],
        output: [value("logits", FLOAT, ["batch", "length", V])],
      },
    }).finish();
  }

  test("runs on the whole text in every step, and says what the sampler says", async () => {
    const pairs = await ort.InferenceSession.create(file(), {
      executionProviders: ["webgpu"],
      preferredOutputLocation: "gpu-buffer",
    });
    const prompt = [[3, 4, 5], [6]];
    const params = [{ seed: 1n }, { seed: 2n, temperature: 2 }];
    const steps = await write({ prompt, params, maxTokens: 8, fetchEvery: 4 }, counted(pairs));
    const sampler = await createSampler({ vocabSize: V, maxBatch: 2, engine: "cpu" });
    const texts = prompt.map((ids) => ids.slice());
    for (const tokens of steps) {
      const rows = texts.map((ids) =>
        Float32Array.from({ length: V }, (_, id) =>
          Math.fround(table[ids.at(-1)! * V + id]! + shift[(ids.length - 1) * V + id]!),
        ),
      );
      const drawn = await sampler.sample(Float32Array.from(rows.flatMap((row) => Array.from(row))), params);
      expect(tokens).toEqual([...drawn.tokens]);
      tokens.forEach((token, row) => texts[row]!.push(token));
    }
    sampler.destroy();
    await pairs.release();
  });

  test("an input that nobody knows, or no logits, is an error by name", async () => {
    const odd = { ...session, inputMetadata: [{ name: "pixels", isTensor: true, type: "float32", shape: [1] }] };
    await expect(write({}, odd)).rejects.toThrow(/input "pixels" is not known/);
    const mute: OrtSession = { ...session, run: async () => ({}) };
    await expect(write({}, mute)).rejects.toThrow(/expected an output "logits"/);
  });
});

describe("createOrtSampler", () => {
  const [V, ROWS, LENGTH] = [1003, 3, 4];
  const tensor = (buffer: GPUBuffer, dataType: "float32" | "float16", dims: number[]): ort.Tensor =>
    ort.Tensor.fromGpuBuffer(buffer, { dataType, dims });

  test("reads the last position of float32 and float16 tensors, and writes int64 ids", async () => {
    const logits = batch(["peaked", "flat", "tiesAtCut"], V, ROWS * LENGTH, 3);
    // Some bits or other: the values of half of the floats' upper halves, without exponents of infinities.
    const halves = Uint16Array.from(new Uint32Array(logits.buffer), (bits) => (bits >>> 16) & 0xbfff);
    for (const [logitsType, data] of [
      ["float32", logits],
      ["float16", halves],
    ] as const) {
      const buffer = bufferOf(device, data);
      const sampler = await createOrtSampler(ort, { vocabSize: V, maxBatch: ROWS, logitsType, keep: 3 });
      const reference = await createSampler({ vocabSize: V, maxBatch: ROWS, logitsType, engine: "cpu" });
      const params = [{ seed: 1n, topP: 0.9 }, { seed: 2n }, { temperature: 0 }];
      const all: number[] = [];
      for (let step = 0; step < 5; step++) {
        const ids = sampler.sample(tensor(buffer, logitsType, [ROWS, LENGTH, V]), params);
        expect([ids.type, ...ids.dims]).toEqual(["int64", ROWS, 1]);
        const layout = { data, offset: (LENGTH - 1) * V, rowStride: LENGTH * V, rows: ROWS };
        const { tokens } = await reference.sample(layout, params);
        all.push(...tokens);
        expect(await sampler.fetch()).toEqual(tokens);
      }
      expect([...(await sampler.fetch(3))], "the last three steps").toEqual(all.slice(-3 * ROWS));
      sampler.destroy();
      reference.destroy();
      buffer.destroy();
    }
  });

  test("reads padded logits, begins to keep anew when the number of rows changes, and can be disposed of", async () => {
    const width = V + 5;
    const logits = batch(["flat"], width, ROWS, 3).map((logit, at) => (at % width < V ? logit : 1000));
    const buffer = bufferOf(device, logits);
    const reference = await createSampler({ vocabSize: V, maxBatch: ROWS, engine: "cpu" });
    const steps: Uint32Array[] = [];
    let disposed: OrtSampler;
    {
      using sampler = await createOrtSampler(ort, { vocabSize: V, maxBatch: ROWS, keep: 3 });
      disposed = sampler;
      for (const [rows, most] of [
        [3, 1],
        [3, 2],
        [2, 1],
        [2, 2],
        [3, 1],
      ] as const) {
        const ids = sampler.sample(tensor(buffer, "float32", [rows, width]), { seed: 4n });
        expect([...ids.dims]).toEqual([rows, 1]);
        steps.push((await reference.sample({ data: logits, rowStride: width, rows }, { seed: 4n })).tokens);
        const kept = steps.slice(-most).flatMap((tokens) => Array.from(tokens));
        expect([...(await sampler.fetch(most))], `${rows} rows`).toEqual(kept);
        await expect(sampler.fetch(most + 1)).rejects.toThrow(`count: expected an integer from 1 to ${most}`);
      }
      expect(alive.size).toBeGreaterThan(0);
    }
    expect(alive.size).toBe(0);
    expect(() => disposed.sample(tensor(buffer, "float32", [1, width]))).toThrow(/destroyed/);
    buffer.destroy();
  });

  test("tensors, parameters and counts that do not fit are errors by name; so is everything after destroy", async () => {
    const buffer = bufferOf(device, new Float32Array(2 * V));
    const sampler = await createOrtSampler(ort, { vocabSize: V, maxBatch: 2 });
    expect(() => sampler.sample(new ort.Tensor("float32", new Float32Array(V), [1, V]))).toThrow(
      /preferredOutputLocation/,
    );
    expect(() => sampler.sample(tensor(buffer, "float16", [1, V]))).toThrow(/expected float32/);
    expect(() => sampler.sample(tensor(buffer, "float32", [1, 1, 1, V]))).toThrow(/\[1, 1, 1, 1003\]/);
    expect(() => sampler.sample(tensor(buffer, "float32", [1, V - 1]))).toThrow(/1003 or more/);
    expect(() => sampler.sample(tensor(buffer, "float32", [2, V]), { topK: -1 })).toThrow(/topK/);
    await expect(sampler.fetch()).rejects.toThrow(/^count: .*nothing has been sampled yet/);
    sampler.sample(tensor(buffer, "float32", [2, V]));
    await expect(sampler.fetch(2)).rejects.toThrow(/^count: expected an integer from 1 to 1/);
    // A call that is refused leaves what was kept.
    expect(() => sampler.sample(tensor(buffer, "float32", [1, V]), { topP: 7 })).toThrow(/topP/);
    const first = sampler.fetch();
    await expect(sampler.fetch()).rejects.toThrow(/has not settled/);
    expect(await first).toHaveLength(2);
    sampler.destroy();
    expect(() => sampler.sample(tensor(buffer, "float32", [2, V]))).toThrow(/destroyed/);
    await expect(sampler.fetch()).rejects.toThrow(/destroyed/);
    await expect(createOrtSampler(ort, { vocabSize: V, keep: 0 })).rejects.toThrow(/^keep: /);
    const none = { ...ort, env: { webgpu: { device: undefined } } };
    await expect(createOrtSampler(none as never, { vocabSize: V })).rejects.toThrow(/there is no GPU device yet/);
    buffer.destroy();
  });
});
