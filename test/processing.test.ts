/** The interface of processed logits on the CPU engine: every bad input by name, masks, and the history. */
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { createSampler, type Sampler, type SamplingParams } from "../src/index.ts";
import { MAX_HISTORY } from "../src/processing.ts";
import { countersOf } from "../src/webgpu/processing.ts";
import { failure } from "./support/failure.ts";
import { batch } from "./support/inputs.ts";

const [V, ROWS] = [70, 3];
const W = Math.ceil(V / 32);
const logits = batch(["peaked", "flat"], V, ROWS, 9);
const sampler = (maxHistory = 20): Promise<Sampler> =>
  createSampler({ vocabSize: V, maxBatch: ROWS, engine: "cpu", maxHistory });
const any = (value: unknown): never => value as never;

describe("bad parameters name the parameter and the value", () => {
  test.each<[SamplingParams, typeof TypeError | typeof RangeError, RegExp]>([
    [
      { repetitionPenalty: 0 },
      RangeError,
      /params\.repetitionPenalty: expected a number that is finite and above 0 as float32, got 0/,
    ],
    [{ repetitionPenalty: 1e-60 }, RangeError, /params\.repetitionPenalty: .*got 1e-60/],
    [{ repetitionPenalty: any("1") }, TypeError, /params\.repetitionPenalty: expected a number, got "1"/],
    [{ frequencyPenalty: NaN }, RangeError, /params\.frequencyPenalty: .*got NaN/],
    [{ presencePenalty: 1e39 }, RangeError, /params\.presencePenalty: .*got 1e\+39/],
    [{ penaltyOrder: any("additive") }, RangeError, /params\.penaltyOrder: .*got "additive"/],
    [{ penaltyOrder: any(3) }, TypeError, /params\.penaltyOrder: .*got 3/],
    [{ penaltyOrder: any(null) }, TypeError, /params\.penaltyOrder: .*got null/],
    [{ penaltyWindow: -1 }, RangeError, /params\.penaltyWindow: .*got -1/],
    [{ penaltyWindow: 2 ** 32 }, RangeError, /params\.penaltyWindow: .*from 0 to 4294967294, got 4294967296/],
    [{ logitBias: { 70: 1 } }, RangeError, /params\.logitBias: expected token ids from 0 to 69, got 70/],
    [{ logitBias: any({ one: 1 }) }, TypeError, /params\.logitBias: expected token ids, got "one"/],
    [
      { logitBias: { 3: -Infinity } },
      RangeError,
      /params\.logitBias\[3\]: expected a number that is finite as float32, got -Infinity/,
    ],
    [{ logitBias: { 3: any(undefined) } }, TypeError, /params\.logitBias\[3\]: expected a number, got undefined/],
    [{ logitBias: any([1, 2]) }, TypeError, /params\.logitBias: expected a Map or a plain object.*got Array/],
    [{ logitBias: any(new Set([5])) }, TypeError, /params\.logitBias: .*got Set/],
    [{ logitBias: new Float32Array(V) }, TypeError, /params\.logitBias: .*got Float32Array/],
    [{ logitBias: any(Object.create({ 5: 1 })) }, TypeError, /params\.logitBias: .*got Object/],
    [{ logitBias: any({ "1": 1, "01": 200 }) }, TypeError, /params\.logitBias: expected token ids, got "01"/],
    [{ logitBias: any(new Map([["1", 1]])) }, TypeError, /params\.logitBias: expected token ids, got "1"/],
    [{ suppressTokens: [1, 70] }, RangeError, /params\.suppressTokens: .*got 70/],
    [{ suppressTokens: any(new Set([1])) }, TypeError, /params\.suppressTokens: expected an array of token ids/],
    [{ forcedToken: -1 }, RangeError, /params\.forcedToken: .*got -1/],
    [{ stopTokens: [0.5] }, RangeError, /params\.stopTokens: .*got 0.5/],
    [{ minTokens: 1.5 }, RangeError, /params\.minTokens: .*got 1.5/],
    [{ minTokens: 10 }, RangeError, /params\.minTokens: expected 0 without stopTokens, .*got 10/],
    [{ badWords: [[1], []] }, RangeError, /params\.badWords\[1\]: expected at least one token/],
    // oxlint-disable-next-line no-sparse-arrays
    [{ badWords: any([, [3]]) }, RangeError, /params\.badWords\[0\]: expected at least one token, got none/],
    [{ badWords: any([1]) }, TypeError, /params\.badWords\[0\]: .*got 1/],
    [{ badWords: any("word") }, TypeError, /params\.badWords: expected an array of token sequences/],
    [{ noRepeatNgramSize: -2 }, RangeError, /params\.noRepeatNgramSize: .*got -2/],
    [{ dry: any(1) }, TypeError, /params\.dry: expected an object, got 1/],
    [{ dry: any({}) }, TypeError, /params\.dry\.multiplier: expected a number, got undefined/],
    [{ dry: { multiplier: -1 } }, RangeError, /params\.dry\.multiplier: .*got -1/],
    [{ dry: { multiplier: 1, base: 0.5 } }, RangeError, /params\.dry\.base: .*got 0.5/],
    [{ dry: { multiplier: 1, allowedLength: 0 } }, RangeError, /params\.dry\.allowedLength: .*to 1024, got 0/],
    [{ dry: any({ multiplier: 1, length: 2 }) }, TypeError, /params\.dry\.length: unknown name/],
    [{ allowedTokens: any([1, 2, 3]) }, TypeError, /params\.allowedTokens: expected .*a bit for each token.*got Array/],
    [{ allowedTokens: any(new Float32Array(3)) }, TypeError, /params\.allowedTokens: .*got Float32Array/],
    [
      { allowedTokens: new Uint32Array(2) },
      RangeError,
      /params\.allowedTokens: expected 3 words for 70 tokens, or 9 for 3 rows, got 2/,
    ],
    [{ bannedTokens: new Int32Array(8) }, RangeError, /params\.bannedTokens: .*got 8/],
    [{ bannedTokens: { data: new Uint32Array(9), offset: 8 } }, RangeError, /params\.bannedTokens: .*got 1/],
    [{ bannedTokens: {} }, TypeError, /params\.bannedTokens: expected either data .* or buffer .*got neither/],
    [{ bannedTokens: any(new Map()) }, TypeError, /params\.bannedTokens: .*got Map/],
    [
      { allowedTokens: any({ mapAsync() {}, usage: 4, size: 400, mapState: "unmapped" }) },
      TypeError,
      /params\.allowedTokens: a GPUBuffer needs the "webgpu" engine/,
    ],
    [
      { allowedTokens: any({ mapAsync() {}, usage: 4, size: 400, mapState: "mapped" }) },
      TypeError,
      /params\.allowedTokens: expected an unmapped buffer, got one that is mapped/,
    ],
  ])("%o", async (params, type, message) => {
    const error = await failure(async () => (await sampler()).sample(logits, params));
    expect(error).toBeInstanceOf(type);
    expect(error.message).toMatch(message);
  });

  test("a parameter that looks back needs a history", async () => {
    const looks: SamplingParams[] = [
      { repetitionPenalty: 1.1 },
      { frequencyPenalty: 1 },
      { presencePenalty: 1 },
      { noRepeatNgramSize: 2 },
      { badWords: [[1, 2]] },
      { dry: { multiplier: 1 } },
      { minTokens: 1, stopTokens: [1] },
    ];
    for (const params of looks) {
      const error = await failure(async () => (await sampler(0)).sample(logits, [{}, params, {}]));
      expect(error.message).toBe(
        `params[1].${Object.keys(params)[0]}: needs the token history; make the sampler with maxHistory, the tokens that a row's history holds`,
      );
    }
    await (await sampler(0)).sample(logits, { badWords: [[1]], stopTokens: [1], logitBias: { 1: 1 } });
  });

  test.each<[string, (history: Sampler["history"]) => unknown, RegExp]>([
    ["a row", (h) => h.set(3, [1]), /row: expected a row from 0 to 2, got 3/],
    ["a token", (h) => h.set(0, [70]), /prompt: expected token ids from 0 to 69, got 70/],
    [
      "too long a prompt",
      (h) => h.set(0, new Uint32Array(21)),
      /prompt and output: .*20 tokens \(maxHistory\), got 21/,
    ],
    ["too long an output", (h) => h.append(0, new Uint32Array(21)), /tokens: expected at most 20 tokens/],
    ["no tokens", (h) => h.append(0, any(undefined)), /tokens: expected an array of token ids, got undefined/],
    ["a source", (h) => h.reorder([0, 5]), /sources\[1\]: expected a row from 0 to 2, got 5/],
    ["too many sources", (h) => h.reorder([0, 1, 2, 0]), /sources: expected at most 3 rows.*, got 4/],
    ["no list of sources", (h) => h.reorder(any("01")), /sources: expected a list of rows, got "01"/],
    ["an encoder that is none", (h) => h.reset(0, any({})), /encoder: expected a GPUCommandEncoder/],
    ["an encoder on the CPU", (h) => h.reset(0, any({ clearBuffer() {} })), /encoder: this sampler runs on the "cpu"/],
  ])("history: %s", async (_, call, message) => {
    const { history } = await sampler();
    expect((await failure(() => call(history))).message).toMatch(message);
  });

  test("a sampler without a history says how to get one", async () => {
    const { history } = await sampler(0);
    for (const call of [() => history.set(0, [1]), () => history.reset(), () => history.read(0)]) {
      expect((await failure(call)).message).toMatch(/history: this sampler keeps none; make it with maxHistory/);
    }
    expect((await failure(() => sampler(2 ** 20))).message).toMatch(/maxHistory: .*to 1048575, got 1048576/);
  });
});

test("arrays and maps of another realm are arrays and maps", async () => {
  const cpu = await sampler(0);
  const there = (code: string): never => runInNewContext(code) as never;
  const five = `new Uint32Array(${W}).fill(0).map((_, word) => (word === 0 ? 32 : 0))`;
  const { tokens } = await cpu.sample(logits, [
    { allowedTokens: there(five) },
    { logitBias: there("new Map([[6, 1000]])") },
    { logitBias: there("({ 7: 1000 })"), suppressTokens: there("Uint32Array.of(8)") },
  ]);
  expect([...tokens]).toEqual([5, 6, 7]);
  const other = there(`Float32Array.from([${Array.from(logits).join()}])`) as Float32Array;
  expect(other).not.toBeInstanceOf(Float32Array);
  const params = { seed: 1n, position: 0 };
  for (const layout of [other, { data: other, rowMap: there("Uint32Array.of(0, 1, 2)") }]) {
    expect(await cpu.sample(layout, params)).toEqual(await cpu.sample(logits, params));
  }
  const halves = await createSampler({ vocabSize: 2, engine: "cpu", logitsType: "float16" });
  const greedy = await halves.sample(there("Uint16Array.of(0, 0x3c00)"), { temperature: 0 });
  expect([...greedy.tokens]).toEqual([1]);
});

test("one mask for all rows, one for each, and masks inside something larger", async () => {
  const cpu = await sampler(0);
  const only = (id: number): Uint32Array => {
    const mask = new Uint32Array(W);
    mask[id >> 5] = 1 << (id & 31);
    return mask;
  };
  const tokens = async (params: SamplingParams | SamplingParams[]): Promise<number[]> => [
    ...(await cpu.sample(logits, params)).tokens,
  ];
  const all = Uint32Array.of(...only(5), ...only(40), ...only(69));
  expect(await tokens({ allowedTokens: only(40) })).toEqual([40, 40, 40]);
  expect(await tokens({ allowedTokens: all })).toEqual([5, 40, 69]);
  expect(await tokens({ allowedTokens: new Int32Array(all.buffer) })).toEqual([5, 40, 69]);
  expect(await tokens({ allowedTokens: { data: all, offset: 2 * W } })).toEqual([69, 69, 69]);
  const perRow = [0, 1, 2].map((row) => ({ allowedTokens: { data: all, offset: row * W } }));
  expect(await tokens(perRow)).toEqual([5, 40, 69]);
  const banned = all.map((word) => ~word);
  expect(await tokens({ bannedTokens: banned })).toEqual([5, 40, 69]);
  // Every row has its own only if that is said: what lies behind the mask may be anything.
  expect(await tokens({ allowedTokens: { data: all } })).toEqual([5, 5, 5]);
  expect(await tokens({ allowedTokens: { data: all, rowStride: W } })).toEqual([5, 40, 69]);
  const five = Uint32Array.of(...only(1), ...all, ...only(2));
  expect(await tokens({ allowedTokens: { data: five, offset: W } })).toEqual([5, 5, 5]);
  expect(await tokens({ allowedTokens: { data: five, offset: W, rowStride: W } })).toEqual([5, 40, 69]);
  expect(await tokens({ allowedTokens: { data: five, rowStride: 2 * W } })).toEqual([1, 40, 2]);
});

test("masks whose rows do not fit, and strides that are none", async () => {
  const cpu = await sampler(0);
  const data = new Uint32Array(3 * W - 1);
  const bad: [SamplingParams | SamplingParams[], RegExp][] = [
    [{ allowedTokens: { data, rowStride: W } }, /params\.allowedTokens: expected 9 words for 70 tokens, got 8/],
    [{ allowedTokens: { data, rowStride: 2 * W } }, /expected 15 words/],
    [{ allowedTokens: { data, offset: W + 1, rowStride: W } }, /expected 9 words .*got 4/],
    [{ bannedTokens: { data, rowStride: W - 1 } }, /params\.bannedTokens\.rowStride: .*3 or more/],
    [{ bannedTokens: { data, rowStride: 3.5 } }, /params\.bannedTokens\.rowStride: .*integer/],
    [{ allowedTokens: data }, /expected 3 words .*, or 9 for 3 rows, got 8/],
    [[{}, { allowedTokens: { data, rowStride: W } }, {}], /params\[1\]\.allowedTokens\.rowStride: .*a single row/],
  ];
  for (const [params, message] of bad) await expect(cpu.sample(logits, params)).rejects.toThrow(message);
});

test("drawn tokens are remembered, candidates are not; what was copied is changed on its own", async () => {
  const cpu = await sampler();
  cpu.history.set(0, [1, 2], [3]);
  const first = (await cpu.sample(logits, { seed: 1n })).tokens;
  await cpu.candidates(logits, { frequencyPenalty: 1 });
  const second = (await cpu.sample(logits, { seed: 1n, forcedToken: 7 })).tokens;
  expect([...second]).toEqual([7, 7, 7]);
  expect(await cpu.history.read(0)).toEqual({ prompt: Uint32Array.of(1, 2), output: Uint32Array.of(3, first[0]!, 7) });
  cpu.history.copy(0, 1);
  cpu.history.append(1, [9]);
  expect((await cpu.history.read(0)).output.length).toBe(3);
  expect([...(await cpu.history.read(1)).output]).toEqual([3, first[0]!, 7, 9]);
  cpu.history.move(1, 2);
  cpu.history.move(2, 2);
  expect(() => cpu.history.move(99, 99)).toThrow(/^from: expected a row from 0 to 2, got 99/);
  expect((await cpu.history.read(1)).output.length).toBe(0);
  // A row without a candidate has said nothing.
  await cpu.sample(logits, { allowedTokens: new Uint32Array(W) });
  expect([...(await cpu.history.read(2)).output]).toEqual([3, first[0]!, 7, 9]);
});

test("the caller may change parameters right after the call", async () => {
  const cpu = await sampler();
  const params = { allowedTokens: new Uint32Array(W).fill(1), logitBias: new Map([[0, 50]]), suppressTokens: [32] };
  const pending = cpu.sample(logits, params);
  params.allowedTokens.fill(0);
  params.suppressTokens[0] = 0;
  params.logitBias.set(0, -50);
  expect([...(await pending).tokens]).toEqual([0, 0, 0]);
});

test("no invocation of count compares more tokens than llvmpipe gives it iterations", () => {
  const MOST_ITERATIONS = 65_535;
  for (const workgroup of [1, 32, 128]) {
    for (const seen of [0, 1, 4096, 131_072, MAX_HISTORY]) {
      for (const run of [0, 2, 160, 930, 8000]) {
        const counters = countersOf(0, seen, run, workgroup);
        const positions = Math.ceil(seen / (workgroup * Math.max(1, counters)));
        expect(counters).toBeLessThanOrEqual(65_535);
        if (workgroup > 1) expect(positions * Math.max(1, run)).toBeLessThanOrEqual(MOST_ITERATIONS);
      }
    }
  }
  // What is usual stays with few.
  expect(countersOf(0, 131_072, 160, 128)).toBe(64);
  expect(countersOf(300, 0, 0, 128)).toBe(3);
  expect(countersOf(0, 0, 0, 128)).toBe(0);
});
