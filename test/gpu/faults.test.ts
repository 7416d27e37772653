/**
 * What can go wrong around a sampler. Every time: a clear error or the right tokens, nothing that hangs, nothing left
 * behind, and a next call that works or says why it cannot.
 */
import { afterEach, describe, expect, test } from "vitest";
import { createSampler, type OutputParams, type Sampler, type SamplingParams } from "../../src/index.ts";
import { aliveBuffers, bufferOf, ownDevice, requestDevice, STORAGE, wordsOf } from "../support/device.ts";
import { failure } from "../support/failure.ts";
import { batch } from "../support/inputs.ts";

const device = await ownDevice();
const alive = aliveBuffers(device);
/** Buffers of samplers on the shared device. */
const held = (): number => [...alive].filter(({ label }) => label.startsWith("webgpu-token-sampler")).length;
const [V, ROWS] = [1003, 3];
const logits = batch(["peaked", "flat", "tiesAtCut"], V, ROWS, 1);
const params: SamplingParams = { temperature: 1.5, topP: 0.95, seed: 9n };
const made: Sampler[] = [];
const sampler = async (on = device, maxBatch = ROWS): Promise<Sampler> => {
  const one = await createSampler({ vocabSize: V, maxBatch, device: on });
  expect(one.engine).toBe("webgpu");
  made.push(one);
  return one;
};
const cpu = (): Promise<Sampler> => createSampler({ vocabSize: V, maxBatch: ROWS, engine: "cpu" });
afterEach(() => made.splice(0).forEach((one) => one.destroy()));

/** What the CPU draws at positions 0, 1, 2, … */
async function expectedTokens(calls: number): Promise<Uint32Array[]> {
  const reference = await cpu();
  const tokens: Uint32Array[] = [];
  for (let call = 0; call < calls; call++) tokens.push((await reference.sample(logits, params)).tokens);
  return tokens;
}

/** Every promise must come to an end, and each with this error. */
async function allReject(calls: readonly Promise<unknown>[], message: RegExp): Promise<void> {
  for (const outcome of await Promise.allSettled(calls)) {
    expect(outcome.status).toBe("rejected");
    expect(String((outcome as PromiseRejectedResult).reason)).toMatch(message);
  }
}

/** What the shared device has to say against some work. */
async function complaint(work: () => void): Promise<string | undefined> {
  device.pushErrorScope("validation");
  work();
  return (await device.popErrorScope())?.message;
}

/** Lets the next creation or call find the memory used up, at a step: the second of the two scopes that each asks. */
async function withoutMemory<T>(run: () => Promise<T>, step: number = 1): Promise<T> {
  const popErrorScope = device.popErrorScope.bind(device);
  let scopes = 0;
  device.popErrorScope = async () => {
    const second = ++scopes === 2 * step;
    const error = await popErrorScope();
    return second ? new GPUOutOfMemoryError("none left") : error;
  };
  try {
    return await run();
  } finally {
    device.popErrorScope = popErrorScope;
  }
}

/** No buffer that is made meanwhile is one, as where there is no memory, but for those that results come back in. */
function withoutBuffers<T>(run: () => T, only: (label: string) => boolean = () => true): T {
  const createBuffer = device.createBuffer.bind(device);
  const { MAP_READ, STORAGE: stored } = GPUBufferUsage;
  device.createBuffer = ({ usage, label = "", ...rest }) =>
    createBuffer({ ...rest, label, usage: (usage & MAP_READ) === 0 && only(label) ? MAP_READ | stored : usage });
  try {
    return run();
  } finally {
    device.createBuffer = createBuffer;
  }
}

/** A device, or its limits, like another one but for some of its members. */
function like<T extends object>(of: T, members: Partial<Record<keyof T, unknown>>): T {
  return new Proxy(of, {
    get(target, name) {
      if (Object.hasOwn(members, name)) return members[name as keyof T];
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? (value as () => unknown).bind(target) : value;
    },
  });
}

describe("a device that is lost", () => {
  const LOST = /the GPU device was lost \(destroyed\).*Make a new sampler, on a new device/;

  test("before the sampler is made: its creation says so", async () => {
    const own = await requestDevice();
    own.destroy();
    await own.lost;
    expect((await failure(() => sampler(own))).message).toMatch(LOST);
  });

  test("while the sampler is made", async () => {
    const own = await requestDevice();
    const creation = createSampler({ vocabSize: V, maxBatch: ROWS, device: own });
    own.destroy();
    await allReject([creation], LOST);
  });

  test("during calls and after them: each says so, and encode does, too", async () => {
    const own = await requestDevice();
    const [one, buffer, tokens] = [
      await sampler(own),
      bufferOf(own, logits),
      own.createBuffer({ size: 64, usage: STORAGE }),
    ];
    const during = [one.sample(logits), one.sample(buffer), one.candidates(logits), one.candidates(buffer)];
    own.destroy();
    during.push(one.sample(logits), one.candidates(buffer));
    await allReject(during, LOST);
    await own.lost;
    await allReject([one.sample(logits), one.candidates(logits)], LOST);
    const encoder = own.createCommandEncoder();
    expect((await failure(() => one.encode(encoder, { logits: buffer, tokens }))).message).toMatch(LOST);
    expect((await failure(() => one.state.reset())).message).toMatch(LOST);
  });

  test("a new sampler on a new device goes on where the old one stopped", async () => {
    const first = await requestDevice();
    const expected = await expectedTokens(6);
    const old = await sampler(first);
    for (let call = 0; call < 3; call++) expect((await old.sample(logits, params)).tokens).toEqual(expected[call]);
    first.destroy();
    await allReject([old.sample(logits, params)], LOST);
    const recovered = await sampler();
    const { tokens } = await recovered.sample(logits, { ...params, position: 3 });
    expect(tokens).toEqual(expected[3]);
    for (let call = 4; call < 6; call++) {
      expect((await recovered.sample(logits, params)).tokens).toEqual(expected[call]);
    }
  });

  test("does not disturb a sampler on another device", async () => {
    const own = await requestDevice();
    const [doomed, other] = [await sampler(own), await sampler()];
    const expected = await expectedTokens(10);
    const calls = expected.map(() => other.sample(logits, params));
    const lost = doomed.sample(logits);
    own.destroy();
    await allReject([lost], LOST);
    expect((await Promise.all(calls)).map(({ tokens }) => tokens)).toEqual(expected);
  });
});

describe("destroy", () => {
  test("with a thousand calls in flight: all come to an end, and a new sampler works", async () => {
    const before = held();
    const one = await sampler();
    const calls = Array.from({ length: 1000 }, (_, call) =>
      call % 10 === 0 ? one.candidates(logits) : one.sample(logits),
    );
    one.destroy();
    one.destroy();
    await allReject(calls, /the sampler was destroyed/);
    expect(held()).toBe(before);
    expect((await (await sampler()).sample(logits, params)).tokens).toEqual((await expectedTokens(1))[0]);
  });

  test("between encode and submit: the queue refuses those commands, and nothing else", async () => {
    const [one, other] = [await sampler(), await sampler()];
    const tokens = bufferOf(device, new Uint32Array(ROWS).fill(7));
    const encoder = device.createCommandEncoder();
    one.encode(encoder, { logits: bufferOf(device, logits), tokens }, params);
    one.destroy();
    const refused = await complaint(() => device.queue.submit([encoder.finish()]));
    expect(refused).toMatch(/webgpu-token-sampler\.\w+.*destroyed/s);
    expect(await wordsOf(device, tokens)).toEqual(new Uint32Array(ROWS).fill(7));
    expect((await other.sample(logits, params)).tokens).toEqual((await expectedTokens(1))[0]);
  });
});

describe("many calls", () => {
  test("a thousand that overlap draw in order, and give back what they took", async () => {
    const small = logits.subarray(0, 101);
    const before = held();
    const [one, reference] = await Promise.all([
      createSampler({ vocabSize: 101, device, engine: "webgpu" }),
      createSampler({ vocabSize: 101, engine: "cpu" }),
    ]);
    const buffer = bufferOf(device, small);
    await one.sample(small, { ...params, position: 0 });
    await reference.sample(small, { ...params, position: 0 });
    const resting = held();
    const calls = Array.from({ length: 1000 }, (_, call) => one.sample(call % 2 === 0 ? small : buffer, params));
    for (const [call, { tokens }] of (await Promise.all(calls)).entries()) {
      expect(tokens, `call ${call}`).toEqual((await reference.sample(small, params)).tokens);
    }
    expect(held()).toBeLessThanOrEqual(resting + 4); // a few stay, for reading back
    one.destroy();
    expect(held()).toBe(before);
  });
});

test("large results that come back at once leave next to nothing behind", async () => {
  const shape = { vocabSize: 100_003, maxBatch: 4 };
  const [one, bytes] = [
    await createSampler({ ...shape, device, engine: "webgpu" }),
    (): number => [...alive].reduce((sum, { size }) => sum + size, 0),
  ];
  const wide = batch(["peaked"], shape.vocabSize, shape.maxBatch, 1);
  await one.sample(wide);
  const before = bytes();
  await Promise.all(Array.from({ length: 4 }, () => one.maskLogits(wide, { topK: 5 })));
  // Each is 1.6 MB. What else is kept is made for the first of them.
  expect(bytes() - before).toBeLessThan(2 ** 20 + 4096);
  one.destroy();
});

describe("a GPU that refuses", () => {
  test("to map: the call says so, and the next ones work", async () => {
    const one = await sampler();
    await one.sample(logits, { ...params, position: 0 });
    const resting = held();
    const { mapAsync } = GPUBuffer.prototype; // eslint-disable-line typescript/unbound-method -- bound where it is called
    let refusals = 2;
    GPUBuffer.prototype.mapAsync = function (...args) {
      if (refusals-- > 0) return Promise.reject(new DOMException("no mapping today", "OperationError"));
      return mapAsync.apply(this, args);
    };
    try {
      const calls = [one.sample(logits, params), one.candidates(logits, { topK: 5 })];
      await allReject(calls, /webgpu-token-sampler: .*could not be read back.*no mapping today/);
    } finally {
      GPUBuffer.prototype.mapAsync = mapAsync;
    }
    // The refused call had drawn, so the position has moved.
    expect((await one.sample(logits, params)).tokens).toEqual((await expectedTokens(3))[2]);
    expect(held()).toBeLessThanOrEqual(resting + 2);
  });

  test("a buffer, for want of memory, when the sampler is made: nothing is left behind", async () => {
    await sampler(); // the kernels are compiled and checked
    const before = held();
    const error = await withoutMemory(() => failure(() => sampler()));
    expect(error.message).toMatch(/the device has no room for this sampler's buffers\. none left/);
    expect(held()).toBe(before);
    expect((await (await sampler()).sample(logits, params)).tokens).toEqual((await expectedTokens(1))[0]);
  });

  test.each([
    ["more rows", { maxBatch: 2 ** 22 }, /^maxBatch: 4194304 rows take \d{9} bytes/],
    ["longer histories", { maxBatch: 32, maxHistory: 2 ** 20 - 1 }, /^maxHistory: 32 .* 1048575 .* 134218112 bytes/],
    [
      "more workgroups",
      { vocabSize: 300_000, tuning: { quads: 1, lanes: 1, streamWorkgroup: 1 } },
      /^tuning: .*75001 /,
    ],
    ["more workgroups", { vocabSize: 2 ** 22, tuning: { quads: 256, streamWorkgroup: 1 } }, /^tuning: .*131073 /],
  ])("%s than there may be, when the sampler is made, %j", async (_, options, message) => {
    const before = held();
    const error = await failure(() => createSampler({ vocabSize: V, device, ...options }));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toMatch(message);
    expect(held()).toBe(before);
  });

  test("a mask that was destroyed, and says nothing against the logits", async () => {
    const one = await sampler();
    const mask = bufferOf(device, new Uint32Array(Math.ceil(V / 32)).fill(0xffff_ffff));
    mask.destroy();
    const error = await failure(() => one.sample(logits, { allowedTokens: mask }));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/^webgpu-token-sampler: the GPU refused the call\. .*masks.*not destroyed/);
    expect((await one.sample(logits, { ...params, position: 0 })).tokens).toEqual((await expectedTokens(1))[0]);
  });

  test("memory for one call: that call says so, and the next one works", async () => {
    const one = await sampler();
    const call = withoutMemory(() => one.sample(logits, { ...params, position: 0 }));
    await allReject([call], /out of GPU memory\. none left/);
    expect((await one.sample(logits, { ...params, position: 0 })).tokens).toEqual((await expectedTokens(1))[0]);
  });

  describe("memory for buffers that are kept: that call and one that overlaps it say so, and the next one works", () => {
    const options = { vocabSize: V, maxBatch: ROWS, maxHistory: 8 };
    test.each<[string, SamplingParams & OutputParams]>([
      ["logits", { temperature: 0 }],
      ["masses", { topP: 0.9 }],
      ["calls", { typicalP: 0.9 }],
      ["reports", { topK: 3, topLogprobs: 3 }],
      ["controls and overlay", { presencePenalty: 1, suppressTokens: [5] }],
    ])("%s", async (what, some) => {
      const all = { ...some, seed: 5n, position: 0 };
      const compiled = await createSampler({ ...options, device });
      await compiled.sample(logits, all);
      const one = await createSampler({ ...options, device });
      made.push(compiled, one);
      const twin = await createSampler({ ...options, engine: "cpu" });
      if (what !== "logits") for (const each of [one, twin]) await each.sample(logits, { temperature: 0 });
      const before = held();
      const calls = (): Promise<void> =>
        allReject([one.sample(logits, all), one.sample(logits, all)], /out of GPU memory/);
      await withoutMemory(() => withoutBuffers(calls));
      expect(held()).toBeLessThanOrEqual(before);
      expect((await one.sample(logits, all)).tokens).toEqual((await twin.sample(logits, all)).tokens);
    });

    test("by encode(): the encoder is refused, and later calls work", async () => {
      const all: SamplingParams = { topP: 0.9, suppressTokens: [5], seed: 5n, position: 0 };
      const one = await createSampler({ ...options, device });
      const twin = await createSampler({ ...options, engine: "cpu" });
      made.push(one);
      const buffer = bufferOf(device, logits);
      const tokens = bufferOf(device, new Uint32Array(ROWS));
      const encode = (): GPUCommandBuffer => {
        const encoder = device.createCommandEncoder();
        one.encode(encoder, { logits: buffer, tokens }, all);
        return encoder.finish();
      };
      expect(await complaint(() => device.queue.submit([withoutBuffers(encode)]))).toMatch(/invalid/i);
      const expected = (await twin.sample(logits, all)).tokens;
      device.queue.submit([encode()]);
      expect(await wordsOf(device, tokens)).toEqual(expected);
      expect((await one.sample(logits, all)).tokens).toEqual(expected);
    });

    test("by history.copy() and move(): the next call says so, and nothing is lost", async () => {
      const one = await createSampler({ ...options, device });
      made.push(one);
      one.history.set(0, [1, 2, 3]);
      one.history.set(1, [9]);
      for (const act of ["copy", "move"] as const) {
        withoutBuffers(() => one.history[act](0, 1));
        await device.queue.onSubmittedWorkDone();
        await new Promise((resolve) => setTimeout(resolve, 20));
        expect((await failure(() => one.sample(logits))).message).toMatch(/histories were not copied or moved.*memory/);
        expect([...(await one.history.read(0)).prompt]).toEqual([1, 2, 3]);
        expect([...(await one.history.read(1)).prompt]).toEqual([9]);
      }
      one.history.move(0, 1);
      expect((await one.history.read(0)).prompt).toHaveLength(0);
      expect([...(await one.history.read(1)).prompt]).toEqual([1, 2, 3]);
    });
  });

  test("memory for buffers that are kept, in a call that throws: the next one works", async () => {
    const most = 2 ** 17;
    const limits = like(device.limits, { maxStorageBufferBindingSize: most, maxBufferSize: most });
    const one = await createSampler({ vocabSize: V, maxBatch: 64, device: like(device, { limits }) });
    made.push(one);
    const many = batch(["peaked"], V, 64, 2);
    // The logits go up first; then there are more biases than a buffer holds.
    const biased = Array.from({ length: 64 }, (_, row) => ({
      logitBias: Object.fromEntries(Array.from({ length: V }, (__, id) => [id, row + 1])),
    }));
    const call = (): Promise<Error> =>
      withoutMemory(() => withoutBuffers(() => failure(() => one.sample(many, biased))));
    expect((await call()).message).toMatch(/^params: .*\(controls\)/);
    // It ends before the GPU has said anything.
    await device.queue.onSubmittedWorkDone();
    await new Promise((resolve) => setTimeout(resolve, 20));
    const twin = await createSampler({ vocabSize: V, maxBatch: 64, engine: "cpu" });
    const greedy = { temperature: 0 };
    expect((await one.sample(many, greedy)).tokens).toEqual((await twin.sample(many, greedy)).tokens);
  });

  test("to make a buffer at all, when the sampler is made: nothing is left behind, no error scope either", async () => {
    await sampler();
    const before = held();
    const createBuffer = device.createBuffer.bind(device);
    for (const noun of ["nothing", "records", "state-copy"]) {
      device.createBuffer = (descriptor) => {
        if (descriptor.label === `webgpu-token-sampler.${noun}`) throw new RangeError("no buffer today");
        return createBuffer(descriptor);
      };
      try {
        expect((await failure(() => sampler())).message).toBe("no buffer today");
      } finally {
        device.createBuffer = createBuffer;
      }
      expect(held()).toBe(before);
    }
    expect(await failure(() => device.popErrorScope())).toBeInstanceOf(DOMException);
  });

  describe("memory for changes of histories, which do not wait", () => {
    const options = { vocabSize: V, maxBatch: ROWS, maxHistory: 8 };
    const without = (noun: string, run: () => void): void =>
      withoutBuffers(run, (label) => label === `webgpu-token-sampler.${noun}`);
    const looking: SamplingParams = { presencePenalty: 2, seed: 1n, position: 0 };

    test("calls that were made before are right, those after it say so, and it is said once", async () => {
      const one = await createSampler({ ...options, device });
      const twin = await createSampler({ ...options, engine: "cpu" });
      made.push(one);
      for (const { history } of [one, twin]) {
        history.set(0, [1, 2, 3]);
        history.set(1, [9]);
      }
      const before = [one.sample(logits, looking), one.candidates(logits, looking)] as const;
      without("history-copy", () => one.history.copy(0, 1));
      const after = allReject(
        [one.sample(logits, looking), one.renormalize(logits, looking), one.history.read(1)],
        /histories were not copied or moved before this call.*memory/,
      );
      expect((await before[0]).tokens).toEqual((await twin.sample(logits, looking)).tokens);
      await before[1];
      await after;
      await one.sample(logits, looking);
    });

    test("a call that was made before and ends later leaves the error to the next", async () => {
      const one = await createSampler({ ...options, device });
      made.push(one);
      await one.sample(logits, looking);
      const before = one.candidates(logits, looking);
      without("history-copy", () => one.history.move(0, 1));
      await before;
      expect((await failure(() => one.sample(logits))).message).toMatch(/histories were not copied or moved/);
      await one.sample(logits);
    });

    test("append: the next call says so, and nothing is lost", async () => {
      const one = await createSampler({ ...options, device });
      made.push(one);
      one.history.set(0, [1, 2, 3]);
      for (const noun of ["incoming", "append-job"]) {
        without(noun, () => one.history.append(0, [4]));
        expect((await failure(() => one.sample(logits))).message).toMatch(/histories were not appended to.*memory/);
      }
      one.history.reset(1);
      one.history.append(1, [5]);
      expect([...(await one.history.read(1)).output]).toEqual([5]);
    });
  });

  describe("more than it binds at once", () => {
    const most = 2 ** 17;
    const limits = like(device.limits, { maxStorageBufferBindingSize: most, maxBufferSize: most });
    const small = like(device, { limits });

    test("reports: says how much, and the next call works", async () => {
      const one = await createSampler({ vocabSize: V, maxBatch: 64, device: small, engine: "webgpu" });
      made.push(one);
      const many = batch(["peaked"], V, 64, 2);
      // What a small call needs stays as it was.
      const ranked = async (): Promise<number> => (await one.sample(many.subarray(0, V), { rank: true })).ranks!.length;
      expect(await ranked()).toBe(1);
      const error = await failure(() =>
        one.sample(many, { logprobTokens: Array.from({ length: 1000 }, (_, id) => id) }),
      );
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toMatch(/^params: .* takes \d+ bytes \(reports\).*131072/);
      expect(await ranked()).toBe(1);
      const told = await one.sample(many, { rank: true, seed: 3n, position: 0 });
      const cpuTold = await (
        await createSampler({ vocabSize: V, maxBatch: 64, engine: "cpu" })
      ).sample(many, {
        rank: true,
        seed: 3n,
        position: 0,
      });
      expect(told.tokens).toEqual(cpuTold.tokens);
      expect(told.ranks).toEqual(cpuTold.ranks);
    });

    test("processed logits of many rows: in smaller chunks", async () => {
      const before = new Set(alive);
      const one = await createSampler({ vocabSize: V, maxBatch: 64, device: small, engine: "webgpu" });
      made.push(one);
      const many = batch(["peaked"], V, 64, 2);
      const some: SamplingParams = { suppressTokens: [4], seed: 3n, position: 0 };
      const twin = await createSampler({ vocabSize: V, maxBatch: 64, engine: "cpu" });
      expect((await one.sample(many, some)).tokens).toEqual((await twin.sample(many, some)).tokens);
      for (const buffer of alive) {
        if (!before.has(buffer)) expect(buffer.size, buffer.label).toBeLessThanOrEqual(most);
      }
    });

    test.each(["uint32", "int64"] as const)("a large buffer for tokens, %s: that part of it", async (tokensType) => {
      const one = await createSampler({ vocabSize: V, maxBatch: ROWS, device: small, engine: "webgpu" });
      made.push(one);
      const words = tokensType === "int64" ? 2 : 1;
      const tokens = bufferOf(device, new Uint32Array(most / 2).fill(7));
      const tokensOffset = Math.floor(most / 2 / words) - ROWS - 5;
      const encoder = device.createCommandEncoder();
      const call = { ...params, position: 0 };
      one.encode(encoder, { logits: bufferOf(device, logits), tokens, tokensType, tokensOffset }, call);
      device.queue.submit([encoder.finish()]);
      const written = await wordsOf(device, tokens);
      const first = words * tokensOffset;
      const [drawn] = await expectedTokens(1);
      expect(written.filter((_, at) => at >= first && at < first + words * ROWS && (at - first) % words === 0)).toEqual(
        drawn,
      );
      expect(written.subarray(0, first).every((word) => word === 7)).toBe(true);
      expect(written.subarray(first + words * ROWS).every((word) => word === 7)).toBe(true);
    });
  });

  test.each([1, 2, 3])(
    "memory for the buffers of a call in parts, at its step %d: the same, and none is left behind",
    async (step) => {
      const one = await sampler();
      const kept = await one.candidates(logits, params);
      const renormalized = await one.renormalize(logits, params);
      const before = held();
      await allReject([withoutMemory(() => one.candidates(logits, params), step)], /out of GPU memory\. none left/);
      await allReject(
        [withoutMemory(() => one.renormalize(logits, params), Math.min(step, 2))],
        /out of GPU memory\. none left/,
      );
      expect(held()).toBeLessThanOrEqual(before);
      expect(await one.candidates(logits, params)).toEqual(kept);
      expect(await one.renormalize(logits, params)).toEqual(renormalized);
    },
  );

  describe("its adapter", () => {
    const gpu = navigator.gpu;
    const withAdapter = <T>(adapter: unknown, run: () => Promise<T>): Promise<T> =>
      withGpu({ requestAdapter: async () => adapter }, run);
    const withGpu = async <T>(value: unknown, run: () => Promise<T>): Promise<T> => {
      Object.defineProperty(navigator, "gpu", { configurable: true, value });
      try {
        return await run();
      } finally {
        Object.defineProperty(navigator, "gpu", { configurable: true, value: gpu });
      }
    };
    const asked: GPUDeviceDescriptor[] = [];
    const refusing = {
      features: new Set<string>(),
      limits: { maxBufferSize: 2 ** 34, maxStorageBufferBindingSize: 2 ** 33, maxBindGroups: 32 },
      requestDevice: (descriptor: GPUDeviceDescriptor) => {
        asked.push(descriptor);
        return Promise.reject(new DOMException("maxStorageBuffersPerShaderStage is 4", "OperationError"));
      },
    };

    test('"webgpu" says that the adapter gave no device, and why', async () => {
      const error = await withAdapter(refusing, () => failure(() => createSampler({ vocabSize: V, engine: "webgpu" })));
      expect(error.message).toMatch(/the adapter gave no device.*maxStorageBuffersPerShaderStage is 4/);
      // Large buffers, and nothing else that a device does not have anyway.
      expect(asked.at(-1)!.requiredLimits).toEqual({ maxBufferSize: 2 ** 34, maxStorageBufferBindingSize: 2 ** 33 });
    });

    test('that is refused, as where WebGPU is blocked: "auto" takes the CPU, "webgpu" says why', async () => {
      const blocked = new DOMException("WebGPU is disabled by blocklist.", "NotSupportedError");
      const without = { requestAdapter: () => Promise.reject(blocked) };
      expect((await withGpu(without, () => createSampler({ vocabSize: V }))).engine).toBe("cpu");
      const error = await withGpu(without, () => failure(() => createSampler({ vocabSize: V, engine: "webgpu" })));
      expect(error.message).toMatch(/^webgpu-token-sampler: WebGPU gave no adapter\. NotSupportedError: .*blocklist/);
      expect(error.cause).toBe(blocked);
    });

    test('"auto" takes the CPU', async () => {
      for (const adapter of [refusing, null]) {
        const one = await withAdapter(adapter, () => createSampler({ vocabSize: V, maxBatch: ROWS }));
        expect(one.engine).toBe("cpu");
        expect((await one.sample(logits, params)).tokens).toEqual((await expectedTokens(1))[0]);
      }
    });
  });
});

describe("a device of the least", () => {
  const sets: SamplingParams[] = [
    { temperature: 0 },
    {},
    { topK: 50 },
    { topP: 0.9 },
    { topK: 200, topP: 0.8 },
    { minP: 0.1 },
  ];
  const check = async (least: GPUDevice): Promise<void> => {
    const [one, reference] = [await sampler(least), await cpu()];
    for (const [seed, set] of sets.entries()) {
      const all = { ...set, seed, position: 0 };
      expect((await one.sample(logits, all)).tokens, JSON.stringify(set)).toEqual(
        (await reference.sample(logits, all)).tokens,
      );
    }
  };

  test("with WebGPU's default limits and no feature", async () => {
    const adapter = await navigator.gpu.requestAdapter();
    const least = await adapter!.requestDevice();
    expect(least.features.has("subgroups")).toBe(false);
    expect(least.limits).toMatchObject({ maxStorageBuffersPerShaderStage: 8, maxComputeWorkgroupStorageSize: 16_384 });
    await check(least);
    least.destroy();
  });

  test("with the smaller workgroups of a compatibility device", async () => {
    const limits = new Proxy(device.limits, {
      get: (of, name) =>
        name === "maxComputeInvocationsPerWorkgroup" || name === "maxComputeWorkgroupSizeX"
          ? 128
          : Reflect.get(of, name),
    });
    // Called a GPU, so that the wider tuning is the one that has to give way.
    const adapterInfo = { vendor: "a", architecture: "b", device: "c", description: "d" };
    await check(like(device, { limits, adapterInfo }));
  });
});

test.each([
  ["only where no min-p counts", "    return away;", ["mass"]],
  ["only where min-p counts", "return select(MAX_DISTANCE, away,", ["mass", "mass.LIMITED=1"]],
])("a device that weighs wrongly %s is refused", async (_, place, compiled) => {
  const wrong = await requestDevice();
  const create = wrong.createShaderModule.bind(wrong);
  const planted: string[] = [];
  wrong.createShaderModule = ({ label, code, ...rest }) => {
    const changed = code.replace(place, place.replace("away", "away + 1048576u"));
    if (changed !== code) planted.push(label!);
    return create({ ...rest, label: label!, code: changed });
  };
  await allReject([createSampler({ vocabSize: V, device: wrong, engine: "webgpu" })], /computes the kernels wrongly/);
  expect(planted).toEqual(compiled.map((name) => `webgpu-token-sampler.${name}`));
  wrong.destroy();
});

describe("a compiler that refuses a shader", () => {
  /** A device that cannot compile one of the kernels. */
  const without = async (name: string): Promise<GPUDevice> => {
    const other = await requestDevice();
    const create = other.createShaderModule.bind(other);
    other.createShaderModule = ({ label, code, ...rest }) =>
      create({
        ...rest,
        label: label!,
        code: label === `webgpu-token-sampler.${name}` ? `${code}\nfn broken( {` : code,
      });
    return other;
  };

  test('of the first kernels: creation says so, "auto" takes the CPU, and the device stays whose it is', async () => {
    const broken = await without("mass");
    await allReject(
      [createSampler({ vocabSize: V, device: broken, engine: "webgpu" })],
      /shader mass does not compile/,
    );
    const one = await createSampler({ vocabSize: V, maxBatch: ROWS, device: broken });
    expect(one.engine).toBe("cpu");
    expect((await one.sample(logits, params)).tokens).toEqual((await expectedTokens(1))[0]);
    one.destroy();
    expect(await wordsOf(broken, bufferOf(broken, Uint32Array.of(7)))).toEqual(Uint32Array.of(7));
    broken.destroy();
  });

  test("a device that makes no pipeline: the same", async () => {
    const broken = await requestDevice();
    broken.createComputePipelineAsync = () => Promise.reject(new GPUPipelineError("not today", { reason: "internal" }));
    expect((await createSampler({ vocabSize: V, device: broken })).engine).toBe("cpu");
    await allReject(
      [createSampler({ vocabSize: V, device: broken, engine: "webgpu" })],
      /the shader \w+ does not compile on this device:\n.*not today/,
    );
    broken.destroy();
  });

  test("of one that a call needs first: that call says so, and others work", async () => {
    const broken = await without("stages.staged");
    const one = await sampler(broken);
    await allReject(
      [one.sample(logits, { typicalP: 0.5 })],
      /shader stages\.staged does not compile on this device:\n  .*:\d+:\d+ expected/,
    );
    const [expected] = await expectedTokens(1);
    expect((await one.sample(logits, { ...params, position: 0 })).tokens).toEqual(expected);
    broken.destroy();
  });
});

describe("a caller who changes things", () => {
  test("parameters, layout and logits, after the call: it had them as they were", async () => {
    const [one, reference] = [await sampler(), await cpu()];
    for (const call of ["sample", "candidates"] as const) {
      const mine = logits.slice();
      const rest = { position: 0, seed: 2n };
      const changing: SamplingParams[] = [
        { ...rest, temperature: 1.5, topK: 30 },
        { ...rest, topP: 0.5 },
        { ...rest, minP: 0.1 },
      ];
      const layout = { data: mine, offset: 0, rows: ROWS };
      const pending = one[call](layout, changing);
      const expected = await reference[call](logits, structuredClone(changing));
      mine.fill(0);
      layout.offset = 1;
      layout.rows = 1;
      for (const row of changing) Object.assign(row, { temperature: 0, topK: 1, seed: 77n, position: 5 });
      changing.length = 0;
      const got = await pending;
      if (call === "sample") expect(got).toMatchObject({ tokens: (expected as { tokens: Uint32Array }).tokens });
      else expect(got).toEqual(expected);
    }
  });

  test("logits that go up in several parts", async () => {
    const chunked = { vocabSize: V, maxBatch: ROWS, device, engine: "webgpu" as const, __chunk: { bytes: 8 * V } };
    const one = await createSampler(chunked);
    made.push(one);
    const mine = logits.slice();
    const pending = one.candidates(mine, { topK: 9 });
    mine.fill(0);
    expect(await pending).toEqual(await (await cpu()).candidates(logits, { topK: 9 }));
  });

  test("the logits' buffer, destroyed after the call: the call had it", async () => {
    const one = await sampler();
    const buffer = bufferOf(device, logits);
    const pending = one.sample(buffer, { ...params, position: 0 });
    buffer.destroy();
    const expected = await expectedTokens(2);
    expect((await pending).tokens).toEqual(expected[0]);
    expect((await failure(() => one.sample(buffer, params))).message).toMatch(
      /the GPU refused the call\. Logits .* not destroyed/,
    );
    expect((await one.sample(logits, { ...params, position: 1 })).tokens).toEqual(expected[1]);
  });

  test("the tokens' buffer, destroyed between encode and submit: the sampler still works", async () => {
    const one = await sampler();
    const tokens = device.createBuffer({ label: "the caller's", size: 64, usage: STORAGE });
    const encoder = device.createCommandEncoder();
    one.encode(encoder, { logits: bufferOf(device, logits), tokens }, params);
    tokens.destroy();
    const refused = await complaint(() => device.queue.submit([encoder.finish()]));
    expect(refused).toMatch(/the caller's.*destroyed/s);
    // Nothing of it ran, the counter included.
    expect((await one.sample(logits, params)).tokens).toEqual((await expectedTokens(1))[0]);
  });
});

test("logits in shared memory are copied before they go up: Dawn for Node ends the process", async () => {
  const one = await sampler();
  // There without the headers that SharedArrayBuffer needs.
  const { buffer } = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  expect(buffer).not.toBeInstanceOf(ArrayBuffer);
  const shared = new Float32Array(buffer, 4, logits.length);
  shared.set(logits);
  const written: unknown[] = [];
  const { queue } = device;
  const write = queue.writeBuffer.bind(queue) as (...args: unknown[]) => void;
  queue.writeBuffer = (...args: unknown[]) => {
    written.push((args[2] as Uint32Array).buffer);
    write(...args);
  };
  try {
    const { tokens } = await one.sample(shared, { ...params, position: 0 });
    expect(tokens).toEqual((await expectedTokens(1))[0]);
    expect(await one.candidates(shared, { topK: 9 })).toEqual(await (await cpu()).candidates(logits, { topK: 9 }));
  } finally {
    Reflect.deleteProperty(queue, "writeBuffer");
  }
  expect(written.length).toBeGreaterThan(1);
  expect(written.filter((each) => !(each instanceof ArrayBuffer))).toEqual([]);
});

describe("a worker", () => {
  test("draws what the page draws; ended in the middle of its calls, it leaves the page's samplers alone", async () => {
    const worker = new Worker(new URL("../support/sampling-worker.ts", import.meta.url), { type: "module" });
    const ask = (calls: number): Promise<Uint32Array[]> =>
      new Promise((resolve, reject) => {
        worker.addEventListener("message", ({ data }) => resolve(data as Uint32Array[]), { once: true });
        worker.addEventListener("error", ({ message }) => reject(new Error(message)), { once: true });
        worker.postMessage({ vocabSize: V, rows: ROWS, logits, params, calls }, []);
      });
    const expected = await expectedTokens(10);
    expect(await ask(10)).toEqual(expected);
    void ask(300);
    const one = await sampler();
    const calls = expected.map(() => one.sample(logits, params));
    worker.terminate();
    expect((await Promise.all(calls)).map(({ tokens }) => tokens)).toEqual(expected);
  });
});

test("a vocabulary that llvmpipe gets wrong is refused there, and only there", async () => {
  const own = await requestDevice();
  const adapterInfo = { vendor: "mesa", architecture: "", device: "", description: "llvmpipe (LLVM 15.0.6, 256 bits)" };
  Object.defineProperty(own, "adapterInfo", { value: adapterInfo });
  const options = { vocabSize: 262_145, device: own } as const;
  await expect(createSampler({ ...options, engine: "webgpu" })).rejects.toThrow(
    /^vocabSize: expected at most 262144 on llvmpipe.*got 262145/,
  );
  const instead = await createSampler(options);
  expect(instead.engine).toBe("cpu");
  own.destroy();
  const elsewhere = await createSampler({ ...options, device });
  expect(elsewhere.engine).toBe("webgpu");
  elsewhere.destroy();
});
