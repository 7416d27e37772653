import { describe, expect, test } from "vitest";
import {
  createSampler,
  type EncodeTarget,
  type Sampler,
  type SamplerOptions,
  type SamplingParams,
} from "../../src/index.ts";
import { testArticle } from "../support/article.ts";
import {
  aliveBuffers,
  COPY_DST,
  bufferOf,
  COPY_SRC,
  requestDevice,
  sharedDevice,
  STORAGE,
  wordsOf,
} from "../support/device.ts";
import { testDraws } from "../support/draws.ts";
import { failure } from "../support/failure.ts";
import { batch } from "../support/inputs.ts";

const device = await sharedDevice();
const [V, ROWS] = [1003, 3];
const logits = batch(["peaked", "flat", "tiesAtCut"], V, ROWS, 1);

const sampler = (): Promise<Sampler> => createSampler({ vocabSize: V, maxBatch: ROWS, device, engine: "webgpu" });
const tokenBuffer = (words = ROWS): GPUBuffer => bufferOf(device, new Uint32Array(words).fill(0xaaaa_aaaa));

describe("encode", () => {
  test("several calls in one command buffer draw like as many sample calls", async () => {
    const [one, other] = [await sampler(), await sampler()];
    const buffer = bufferOf(device, logits);
    const params: SamplingParams = { temperature: 1.5, topP: 0.95, seed: 9n };
    const steps = 64;
    const targets = Array.from({ length: steps }, () => tokenBuffer());
    const encoder = device.createCommandEncoder();
    one.encode(encoder, { logits: buffer, tokens: targets[0]! }, { ...params, position: 0 });
    for (const tokens of targets.slice(1)) one.encode(encoder, { logits: buffer, tokens }, params);
    device.queue.submit([encoder.finish()]);
    for (const [step, tokens] of targets.entries()) {
      const expected = await other.sample(logits, step === 0 ? { ...params, position: 0 } : params);
      expect(await wordsOf(device, tokens), `step ${step}`).toEqual(expected.tokens);
    }
    // … and a sample call after them goes on where they stopped.
    expect(await one.sample(logits, params)).toEqual(await other.sample(logits, params));
    expect(await wordsOf(device, buffer), "the caller's logits").toEqual(new Uint32Array(logits.buffer));
    one.destroy();
    other.destroy();
  });

  test("never submits, maps or reads, and makes no buffer after the first call", async () => {
    const one = await sampler();
    const [buffer, tokens] = [bufferOf(device, logits), tokenBuffer()];
    const record = (): GPUCommandBuffer => {
      const encoder = device.createCommandEncoder();
      one.encode(encoder, { logits: buffer, tokens }, { topP: 0.9, seed: 1n });
      return encoder.finish();
    };
    record();
    const calls: string[] = [];
    const spy = <T extends object>(object: T, name: keyof T & string): (() => void) => {
      const own = Object.getOwnPropertyDescriptor(object, name);
      const original = object[name] as (...args: unknown[]) => unknown;
      Object.defineProperty(object, name, {
        configurable: true,
        value(this: unknown, ...args: unknown[]) {
          calls.push(name);
          return original.apply(this, args);
        },
      });
      return () => {
        if (own === undefined) Reflect.deleteProperty(object, name);
        else Object.defineProperty(object, name, own);
      };
    };
    const restore = [
      spy(device.queue, "submit"),
      spy(device.queue, "writeBuffer"),
      spy(device, "createBuffer"),
      spy(device, "createBindGroup"),
      spy(device, "createComputePipelineAsync"),
      spy(GPUBuffer.prototype, "mapAsync"),
      spy(GPUCommandEncoder.prototype, "copyBufferToBuffer"),
    ];
    for (let call = 0; call < 100; call++) record();
    restore.forEach((undo) => undo());
    expect(calls).toEqual([]);
    one.destroy();
  });

  test("int64 tokens at an offset; the words around them stay", async () => {
    const one = await sampler();
    const tokens = tokenBuffer(2 * ROWS + 4);
    const encoder = device.createCommandEncoder();
    const target: EncodeTarget = { logits: bufferOf(device, logits), tokens, tokensType: "int64", tokensOffset: 1 };
    one.encode(encoder, target, { seed: 4n, position: 0 });
    device.queue.submit([encoder.finish()]);
    const { tokens: expected } = await one.sample(logits, { seed: 4n, position: 0 });
    const rest = 0xaaaa_aaaa;
    expect([...(await wordsOf(device, tokens))]).toEqual([
      rest,
      rest,
      ...[...expected].flatMap((id) => [id, 0]),
      rest,
      rest,
    ]);
    one.destroy();
  });

  test("several draws of every row, chunked or not; the history learns of the first", async () => {
    const cpu = await createSampler({ vocabSize: V, maxBatch: ROWS, engine: "cpu", maxHistory: 8 });
    for (const [words, chunk] of [
      [1, {}],
      [2, { rows: 2 }],
    ] as const) {
      const one = await createSampler({
        vocabSize: V,
        maxBatch: ROWS,
        device,
        maxHistory: 8,
        __chunk: chunk,
      } as object as SamplerOptions);
      for (let row = 0; row < ROWS; row++) for (const { history } of [one, cpu]) history.reset(row);
      const params: SamplingParams = { seed: 4n, draws: 5, replacement: words === 1, topP: 0.9, frequencyPenalty: 1.5 };
      const encoder = device.createCommandEncoder();
      const [steps, count] = [3, ROWS * 5];
      const tokens = tokenBuffer((steps * count + 1) * words);
      const buffer = bufferOf(device, logits);
      for (let step = 0; step < steps; step++) {
        const tokensType = words === 1 ? "uint32" : "int64";
        const target: EncodeTarget = { logits: buffer, tokens, tokensType, tokensOffset: step * count };
        one.encode(encoder, target, step === 0 ? { ...params, position: 0 } : params);
      }
      device.queue.submit([encoder.finish()]);
      const expected: number[] = [];
      for (let step = 0; step < steps; step++) {
        expected.push(...(await cpu.sample(logits, step === 0 ? { ...params, position: 0 } : params)).tokens);
      }
      const actual = await wordsOf(device, tokens);
      expect([...actual]).toEqual([
        ...expected.flatMap((id) => (words === 1 ? [id] : [id, 0])),
        ...new Array<number>(words).fill(0xaaaa_aaaa),
      ]);
      for (let row = 0; row < ROWS; row++) expect(await one.history.read(row)).toEqual(await cpu.history.read(row));
      one.destroy();
    }
  });

  test("many parameter sets, submitted in between, are each used once", async () => {
    const one = await sampler();
    const cpu = await createSampler({ vocabSize: V, maxBatch: ROWS, engine: "cpu" });
    const buffer = bufferOf(device, logits);
    const runs = [];
    for (let batchOf = 0; batchOf < 14; batchOf++) {
      const encoder = device.createCommandEncoder();
      for (let i = 0; i < 5; i++) {
        const params = { temperature: 0.5 + i / 4, seed: BigInt(batchOf), position: i };
        const tokens = tokenBuffer();
        one.encode(encoder, { logits: buffer, tokens }, params);
        runs.push({ tokens, params });
      }
      device.queue.submit([encoder.finish()]);
    }
    for (const { tokens, params } of runs) {
      expect(await wordsOf(device, tokens)).toEqual((await cpu.sample(logits, params)).tokens);
    }
    one.destroy();
  });
});

describe("an encoder with several calls keeps all their parameters until 16 further calls", () => {
  const SPREAD = { position: 0, temperature: 2 };
  /** Allows two tokens. */
  const mask = (even: number): Uint32Array => {
    const words = new Uint32Array(Math.ceil(V / 32));
    words[even >> 5] = 3 << (even & 31);
    return words;
  };
  /** Parameters that differ from call to call, and what they make the sampler put down. */
  const kinds: [string, (call: number) => SamplingParams, (call: number) => SamplingParams][] = [
    ["seeds", (call) => ({ ...SPREAD, seed: call }), (call) => ({ ...SPREAD, seed: call })],
    ["forced tokens", (call) => ({ ...SPREAD, seed: 1, forcedToken: call }), (call) => ({ forcedToken: call })],
    [
      "masks in buffers",
      (call) => ({ ...SPREAD, seed: 1, suppressTokens: [2 * call], allowedTokens: bufferOf(device, mask(2 * call)) }),
      (call) => ({ forcedToken: 2 * call + 1 }),
    ],
  ];
  // Calls of the encoder that waits, and then of another one.
  const counts = [
    [2, 15],
    [16, 1],
    [40, 15],
  ] as const;

  test.each(kinds)("%s", async (_, params, expected) => {
    const cpu = await createSampler({ vocabSize: V, maxBatch: ROWS, engine: "cpu" });
    const buffer = bufferOf(device, logits);
    for (const [first, further] of counts) {
      const one = await sampler();
      const targets = Array.from({ length: first + further }, () => tokenBuffer());
      const encoders = [device.createCommandEncoder(), device.createCommandEncoder()];
      for (const [call, tokens] of targets.entries()) {
        one.encode(encoders[call < first ? 0 : 1]!, { logits: buffer, tokens }, params(call));
      }
      device.queue.submit(encoders.map((encoder) => encoder.finish()));
      for (const [call, tokens] of targets.entries()) {
        const { tokens: wanted } = await cpu.sample(logits, expected(call));
        expect(await wordsOf(device, tokens), `${first} and ${further}: call ${call}`).toEqual(wanted);
      }
      one.destroy();
    }
  });

  test("kept logits", async () => {
    const one = await sampler();
    const [buffer, first] = [bufferOf(device, logits), 3];
    const outputs = Array.from({ length: first + 15 }, () => bufferOf(device, new Float32Array(V * ROWS)));
    const encoders = [device.createCommandEncoder(), device.createCommandEncoder()];
    for (const [call, output] of outputs.entries()) {
      one.encodeMaskLogits(encoders[call < first ? 0 : 1]!, { logits: buffer, output }, { topK: 1 + call });
    }
    device.queue.submit(encoders.map((encoder) => encoder.finish()));
    for (const [call, output] of outputs.entries()) {
      const masked = new Float32Array((await wordsOf(device, output)).buffer);
      expect(masked, `call ${call}`).toEqual(await one.maskLogits(logits, { topK: 1 + call }));
    }
    one.destroy();
  });

  test("by turns, with stages and without, each submitted when the others have had 15", async () => {
    const one = await sampler();
    const cpu = await createSampler({ vocabSize: V, maxBatch: ROWS, engine: "cpu" });
    const buffer = bufferOf(device, logits);
    const runs: { tokens: GPUBuffer; params: SamplingParams }[] = [];
    const record = (encoder: GPUCommandEncoder): void => {
      const call = runs.length;
      const params = { ...SPREAD, seed: call, ...(call % 3 === 0 && { typicalP: 0.9 }) };
      const tokens = tokenBuffer();
      one.encode(encoder, { logits: buffer, tokens }, params);
      runs.push({ tokens, params });
    };
    const [slow, quick] = [device.createCommandEncoder(), device.createCommandEncoder()];
    for (let turn = 0; turn < 5; turn++) {
      record(slow);
      for (let call = 0; call < 15; call++) record(quick);
    }
    device.queue.submit([slow.finish(), quick.finish()]);
    for (const [call, { tokens, params }] of runs.entries()) {
      expect(await wordsOf(device, tokens), `call ${call}`).toEqual((await cpu.sample(logits, params)).tokens);
    }
    one.destroy();
  });
});

describe("bad input on the GPU", () => {
  const bad: [string, () => Partial<EncodeTarget> & object, typeof TypeError | typeof RangeError, RegExp][] = [
    [
      "logits without STORAGE",
      () => ({ logits: bufferOf(device, logits, COPY_DST) }),
      TypeError,
      /logits: .*STORAGE, got usage 8/,
    ],
    [
      "tokens without STORAGE",
      () => ({ tokens: bufferOf(device, new Uint32Array(8), COPY_SRC) }),
      TypeError,
      /tokens: .*STORAGE, got usage 4/,
    ],
    [
      "logits of one row less",
      () => ({ logits: { buffer: bufferOf(device, logits), offset: V, rows: 3 } }),
      RangeError,
      /logits: 3 row/,
    ],
    ["too few logits", () => ({ logits: bufferOf(device, new Float32Array(10)) }), RangeError, /logits: 1 row/],
    ["tokens too small", () => ({ tokens: tokenBuffer(ROWS - 1) }), RangeError, /tokens: 3 token.*8 bytes/],
    [
      "int64 tokens too small",
      () => ({ tokens: tokenBuffer(ROWS), tokensType: "int64" }),
      RangeError,
      /tokens: 3 token.*12 bytes/,
    ],
    ["tokens offset too large", () => ({ tokensOffset: 1 }), RangeError, /tokens: 3 token.*offset 1/],
    ["negative tokens offset", () => ({ tokensOffset: -1 }), RangeError, /tokensOffset: .*got -1/],
    ["unknown tokens type", () => ({ tokensType: "int32" as "int64" }), RangeError, /tokensType: .*got "int32"/],
    ["no tokens", () => ({ tokens: undefined as unknown as GPUBuffer }), TypeError, /tokens: .*got undefined/],
    [
      "an array for a buffer",
      () => ({ logits: logits as unknown as GPUBuffer }),
      TypeError,
      /logits: encode reads a GPUBuffer, got Float32Array/,
    ],
    ["an unknown name", () => ({ token: 1 }) as object, TypeError, /target\.token: unknown name/],
  ];
  test.each(bad)("%s", async (_, override, type, message) => {
    const one = await sampler();
    const encoder = device.createCommandEncoder();
    const target = { logits: bufferOf(device, logits), tokens: tokenBuffer(), ...override() };
    const error = await failure(() => one.encode(encoder, target));
    expect(error).toBeInstanceOf(type);
    expect(error.message).toMatch(message);
    encoder.finish(); // nothing was recorded, so this is no error
    one.destroy();
  });

  test("tokens into the logits", async () => {
    const one = await sampler();
    const buffer = bufferOf(device, logits);
    const error = await failure(() => one.encode(device.createCommandEncoder(), { logits: buffer, tokens: buffer }));
    expect(error.message).toMatch(/tokens: expected another buffer/);
    one.destroy();
  });

  test("a mapped buffer", async () => {
    const one = await sampler();
    const buffer = device.createBuffer({ size: 4 * V, usage: STORAGE, mappedAtCreation: true });
    expect((await failure(() => one.sample(buffer))).message).toMatch(
      /logits: expected an unmapped buffer, got one that is mapped/,
    );
    one.destroy();
  });

  test("no encoder", async () => {
    const one = await sampler();
    const target = { logits: bufferOf(device, logits), tokens: tokenBuffer() };
    expect((await failure(() => one.encode({} as GPUCommandEncoder, target))).message).toMatch(/encoder: .*got Object/);
    one.destroy();
  });

  test("a buffer of another device, and one that was destroyed: the next call works", async () => {
    const one = await sampler();
    const other = await requestDevice();
    const expected = await one.sample(logits, { seed: 1n, position: 3 });
    const foreign = other.createBuffer({ size: logits.byteLength, usage: STORAGE });
    const destroyed = bufferOf(device, logits);
    await one.sample(destroyed, { seed: 1n, position: 3 });
    destroyed.destroy();
    for (const buffer of [foreign, destroyed]) {
      const error = await failure(() => one.sample(buffer, { seed: 1n }));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(
        /the GPU refused the call\. Logits .* of this sampler's device that are not destroyed/,
      );
      expect(await failure(() => one.candidates(buffer, { seed: 1n }))).toBeInstanceOf(TypeError);
      expect(await one.sample(logits, { seed: 1n, position: 3 })).toEqual(expected);
    }
    one.destroy();
    other.destroy();
  });

  test("a refused call does not move the counters", async () => {
    const [one, two] = [await sampler(), await sampler()];
    const other = await requestDevice();
    const foreign = other.createBuffer({ size: logits.byteLength, usage: STORAGE });
    await one.sample(logits, { seed: 1n, position: 0 });
    await two.sample(logits, { seed: 1n, position: 0 });
    await failure(() => one.sample(foreign, { seed: 1n }));
    expect(await one.sample(logits, { seed: 1n })).toEqual(await two.sample(logits, { seed: 1n }));
    one.destroy();
    two.destroy();
    other.destroy();
  });
});

describe("life and death", () => {
  test("hundreds of overlapping calls count in the order they were made in", async () => {
    const one = await sampler();
    const cpu = await createSampler({ vocabSize: V, maxBatch: ROWS, engine: "cpu" });
    const params = { temperature: 2, topK: 100, seed: 3n };
    const copy = logits.slice();
    const calls = Array.from({ length: 300 }, (_, call) => one.sample(call === 0 ? copy : logits, params));
    copy.fill(0); // what was uploaded is uploaded
    for (const result of await Promise.all(calls)) expect(result).toEqual(await cpu.sample(logits, params));
    one.destroy();
  });

  test("destroy frees every buffer, also after a wave of calls, and ends the calls under way", async () => {
    const own = await requestDevice();
    const alive = aliveBuffers(own);
    const one = await createSampler({ vocabSize: V, maxBatch: ROWS, device: own, engine: "webgpu" });
    await one.sample(logits);
    await one.candidates(logits, { topP: 0.5 });
    const resting = alive.size;
    for (let call = 0; call < 20; call++) await one.candidates(logits, { topP: 0.5 });
    await Promise.all(Array.from({ length: 20 }, () => one.sample(logits)));
    expect(alive.size).toBeLessThanOrEqual(resting + 4); // a few for reading back stay
    const pending = [one.sample(logits), one.candidates(logits)];
    one.destroy();
    for (const outcome of await Promise.allSettled(pending)) {
      expect(outcome.status).toBe("rejected");
      expect(String((outcome as PromiseRejectedResult).reason)).toMatch(/the sampler was destroyed/);
    }
    expect([...alive].map(({ label }) => label)).toEqual([]);
    expect((await failure(() => one.sample(logits))).message).toMatch(/the sampler was destroyed/);
    // The pipeline's device is not the sampler's to destroy.
    expect((await createSampler({ vocabSize: V, device: own })).engine).toBe("webgpu");
    own.destroy();
  });

  describe("a device of its own", () => {
    /** The one device that is requested meanwhile. */
    const requested = async (run: () => Promise<unknown>): Promise<GPUDevice> => {
      const devices: GPUDevice[] = [];
      const { requestDevice: request } = GPUAdapter.prototype; // eslint-disable-line typescript/unbound-method -- called on its adapter
      GPUAdapter.prototype.requestDevice = async function (...args) {
        const own = await request.apply(this, args);
        devices.push(own);
        return own;
      };
      try {
        await run();
      } finally {
        GPUAdapter.prototype.requestDevice = request;
      }
      expect(devices).toHaveLength(1);
      return devices[0]!;
    };
    /** How a device was lost, if it was. */
    const loss = ({ lost }: GPUDevice): Promise<string> =>
      Promise.race([
        lost.then(({ reason }) => reason as string),
        new Promise<string>((resolve) => setTimeout(() => resolve("not lost"), 500)),
      ]);

    test("goes with the sampler, and not before", async () => {
      let one: Sampler;
      const own = await requested(async () => {
        one = await createSampler({ vocabSize: V, maxBatch: ROWS, engine: "webgpu" });
      });
      await one!.sample(logits);
      expect(await loss(own)).toBe("not lost");
      one!.destroy();
      expect(await loss(own)).toBe("destroyed");
      expect((await failure(() => one.sample(logits))).message).toMatch(/the sampler was destroyed/);
    });

    test("goes with a creation that fails", async () => {
      const refused = { vocabSize: V, tuning: { drawWorkgroup: 512 } };
      const own = await requested(() => failure(() => createSampler(refused)));
      expect(await loss(own)).toBe("destroyed");
    });
  });

  test("a lost device: calls before, during and after say so, and nothing hangs", async () => {
    const own = await requestDevice();
    const one = await createSampler({ vocabSize: V, maxBatch: ROWS, device: own, engine: "webgpu" });
    await one.sample(logits);
    const pending = [one.sample(logits), one.candidates(logits)];
    own.destroy();
    pending.push(one.sample(logits));
    await own.lost;
    pending.push(one.sample(logits), one.candidates(logits));
    for (const outcome of await Promise.allSettled(pending)) {
      expect(outcome.status).toBe("rejected");
      expect(String((outcome as PromiseRejectedResult).reason)).toMatch(/the GPU device was lost \(destroyed\)/);
    }
    one.destroy();
  });

  test("a device that lacks a limit is refused, with the limit's name", async () => {
    const poor = Object.create(device, {
      limits: {
        value: new Proxy(device.limits, {
          get: (limits, name) => (name === "maxStorageBuffersPerShaderStage" ? 4 : Reflect.get(limits, name)),
        }),
      },
    }) as GPUDevice;
    const error = await failure(() => createSampler({ vocabSize: V, device: poor }));
    expect(error.message).toMatch(/maxStorageBuffersPerShaderStage is 4; the kernels need 7/);
  });

  test("a tuning that the device cannot run is refused", async () => {
    const error = await failure(() => createSampler({ vocabSize: V, device, tuning: { drawWorkgroup: 12 } }));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toMatch(/tuning\.drawWorkgroup: .*got 12/);
  });

  test("scratch memory stays under a tenth of the logits", async () => {
    let bytes = 0;
    const counting = new Proxy(device, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (name === "createBuffer") {
          return (descriptor: GPUBufferDescriptor) => {
            bytes += descriptor.size;
            return target.createBuffer(descriptor);
          };
        }
        return typeof value === "function" ? (value as () => unknown).bind(target) : value;
      },
    });
    const rows = 32;
    const one = await createSampler({ vocabSize: 128_256, maxBatch: rows, device: counting });
    const lean = bytes;
    const encoder = device.createCommandEncoder();
    const buffer = device.createBuffer({ size: rows * 128_256 * 4, usage: STORAGE });
    one.encode(encoder, { logits: buffer, tokens: tokenBuffer(rows) }, { topP: 0.9 });
    expect(lean / buffer.size).toBeLessThan(0.03);
    expect(bytes / buffer.size).toBeLessThan(0.1);
    one.destroy();
    buffer.destroy();
  });
});

const five = await createSampler({ vocabSize: 5, device, engine: "webgpu" });
const many = await createSampler({ vocabSize: 200, maxBatch: 500, device, engine: "webgpu" });

describe("the article, on the GPU", () => testArticle(() => five));
describe("draws, on the GPU", () =>
  testDraws(
    () => many,
    [
      // By the kernel that draws one token, among groups and among entries.
      { mode: 0, calls: 60, rows: 500, draws: 1 },
      { mode: 1, calls: 60, rows: 500, draws: 1 },
      // By the one that draws several.
      { mode: 2, calls: 30, rows: 250, draws: 4 },
      { mode: 0, calls: 40, rows: 80, draws: 64 },
    ],
  ));
