/** Processed logits: the reference against the oracle, published formulas and published examples. */
import { describe, expect, test } from "vitest";
import { planRow, type SamplingParams } from "../../src/params.ts";
import { append } from "../../src/reference/append.ts";
import { emptyHistory, type RowHistory, tokenAt } from "../../src/reference/history.ts";
import { bitsFloat } from "../../src/reference/numeric.ts";
import { processed } from "../../src/reference/process.ts";
import { Random } from "../support/inputs.ts";
import {
  nearestFloat,
  processedOracle,
  randomProcessing,
  randomTokens,
  rowDifference,
  type Said,
} from "../support/processing.ts";

/** The history of a row, with a ring that has come round. */
function historyOf({ prompt, output }: Said, capacity = prompt.length + output.length + 3): RowHistory {
  const history = emptyHistory(capacity);
  history.ring.set(prompt);
  Object.assign(history, { length: prompt.length, prompt: prompt.length, first: 0 });
  append(history, output);
  return history;
}

const process = (logits: Float32Array, params: SamplingParams, said: Said = { prompt: [], output: [] }): Float32Array =>
  processed(logits, planRow(params, logits.length).process, historyOf(said));

/** Logits of every kind, the awkward ones included. */
function anyLogits(random: Random, vocab: number): Float32Array {
  const awkward = [
    NaN,
    -Infinity,
    Infinity,
    0,
    -0,
    3.4028234663852886e38,
    -3.4028234663852886e38,
    1e-45,
    -1.1754944e-38,
  ];
  return Float32Array.from({ length: vocab }, () =>
    random.below(4) === 0
      ? awkward[random.below(awkward.length)]!
      : random.below(4) === 0
        ? bitsFloat(random.word())
        : 20 * (random.unit() - 0.5),
  );
}

test("the reference equals the oracle on any mixture, bit for bit where it counts", () => {
  const random = new Random(41);
  const differences: string[] = [];
  let changed = 0;
  for (let round = 0; round < 1500; round++) {
    const vocab = [1, 5, 31, 32, 33, 70][round % 6]!;
    const logits = anyLogits(random, vocab);
    const said = {
      prompt: randomTokens(random, vocab, random.below(20)),
      output: randomTokens(random, vocab, random.below(40)),
    };
    const params = randomProcessing(random, vocab, said);
    const expected = processedOracle(logits, params, said);
    const actual = process(logits, params, said);
    const difference = rowDifference(actual, expected);
    if (difference !== undefined) differences.push(`round ${round}: ${difference} ${JSON.stringify(params)}`);
    if (rowDifference(logits, expected) !== undefined) changed++;
  }
  expect(differences).toEqual([]);
  expect(changed).toBeGreaterThan(1000);
});

test("the oracle's own rounding is that of float32", () => {
  const random = new Random(3);
  for (let i = 0; i < 20_000; i++) {
    const [a, b] = [random.word() | 1, (random.word() | 1) >>> 0];
    const fraction = { over: BigInt(a), under: BigInt(b) };
    expect(nearestFloat(fraction)).toBe(Math.fround(a / b));
  }
  expect(nearestFloat({ over: 3n, under: 2n ** 150n })).toBe(2 ** -148);
  expect(nearestFloat({ over: 1n, under: 2n ** 150n })).toBe(0);
});

describe("published rules", () => {
  const logits = Float32Array.of(2, -2, 1, 0.5, -1);

  test("CTRL: positive logits are divided, negative ones multiplied; prompt and output", () => {
    const said = { prompt: [0, 1], output: [1, 4] };
    expect([...process(logits, { repetitionPenalty: 2 }, said)]).toEqual([1, -4, 1, 0.5, -2]);
  });

  test("OpenAI: count times frequency, and presence once; output only", () => {
    const said = { prompt: [0, 0], output: [1, 1, 1, 3] };
    const actual = process(logits, { frequencyPenalty: 0.5, presencePenalty: 0.25 }, said);
    expect([...actual]).toEqual([2, -2 - 1.5 - 0.25, 1, 0.5 - 0.5 - 0.25, -1]);
  });

  test("repetition comes first, or last where that is asked for", () => {
    const said = { prompt: [], output: [0] };
    const params = { repetitionPenalty: 2, presencePenalty: 1 };
    expect(process(logits, params, said)[0]).toBe(2 / 2 - 1);
    expect(process(logits, { ...params, penaltyOrder: "additive-first" }, said)[0]).toBe((2 - 1) / 2);
    // The sign that matters is that of what is scaled.
    const large = { ...params, presencePenalty: 3, penaltyOrder: "additive-first" } as const;
    expect(process(logits, large, said)[0]).toBe((2 - 3) * 2);
  });

  test("llama.cpp's window: only the last tokens count", () => {
    const said = { prompt: [0], output: [1, 2, 2] };
    const actual = process(logits, { repetitionPenalty: 2, frequencyPenalty: 1, penaltyWindow: 2 }, said);
    expect([...actual]).toEqual([2, -2, 1 / 2 - 2, 0.5, -1]);
  });

  test("float64 says the same to within its rounding", () => {
    const random = new Random(9);
    const row = Float32Array.from({ length: 50 }, () => 10 * (random.unit() - 0.5));
    const said = { prompt: randomTokens(random, 50, 10), output: randomTokens(random, 50, 30) };
    const params = { repetitionPenalty: 1.3, frequencyPenalty: 0.4, presencePenalty: 0.6, logitBias: { 3: 1.5 } };
    const actual = process(row, params, said);
    for (const [id, logit] of row.entries()) {
      let z = logit + (id === 3 ? 1.5 : 0);
      if ([...said.prompt, ...said.output].includes(id)) z = z > 0 ? z / 1.3 : z * 1.3;
      const count = said.output.filter((token) => token === id).length;
      z -= 0.4 * count + (count > 0 ? 0.6 : 0);
      expect(Math.abs(actual[id]! - z)).toBeLessThan(2e-6);
    }
  });

  test.each([
    // Rows of llama.cpp's own tests of DRY: equal logits, and the probability that the penalised token is left with.
    { vocab: 4, said: [0, 1, 2, 0, 1], dry: { multiplier: 1, base: 1.1, allowedLength: 2 }, token: 2, left: 0.109232 },
    { vocab: 5, said: [0, 1, 3, 4, 0, 1], dry: { multiplier: 2, base: 1.1 }, token: 3, left: 0.032727 },
    { vocab: 4, said: [0, 1], dry: { multiplier: 1, base: 1.1 }, token: undefined, left: 0.25 },
    { vocab: 4, said: [0, 1, 2, 0, 1], dry: { multiplier: 1, base: 1.1, window: 2 }, token: undefined, left: 0.25 },
    { vocab: 4, said: [0, 1, 2, 0, 1], dry: { multiplier: 1, sequenceBreakers: [1] }, token: undefined, left: 0.25 },
  ])("DRY: $said $dry", ({ vocab, said, dry, token, left }) => {
    const row = process(new Float32Array(vocab), { dry }, { prompt: said, output: [] });
    const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0);
    for (const [id, logit] of row.entries()) {
      if (id === token) expect(Math.exp(logit) / total).toBeCloseTo(left, 6);
      else expect(logit).toBe(0);
    }
  });

  test("n-grams, bad words, stop tokens", () => {
    const row = new Float32Array(6);
    const banned = (params: SamplingParams, said: Said): number[] =>
      [...process(row, params, said).entries()].filter(([, logit]) => logit === -Infinity).map(([id]) => id);
    expect(banned({ noRepeatNgramSize: 3 }, { prompt: [1, 2, 3, 1, 2], output: [4, 1, 2] })).toEqual([3, 4]);
    expect(banned({ noRepeatNgramSize: 1 }, { prompt: [1, 2], output: [4] })).toEqual([1, 2, 4]);
    expect(banned({ badWords: [[1, 2], [3], [2, 1, 5]] }, { prompt: [2], output: [1] })).toEqual([2, 3, 5]);
    const stops = { minTokens: 2, stopTokens: [0, 5] };
    expect(banned(stops, { prompt: [1, 2, 3], output: [1] })).toEqual([0, 5]);
    expect(banned(stops, { prompt: [], output: [1, 1] })).toEqual([]);
    expect(banned({ forcedToken: 3 }, { prompt: [], output: [] })).toEqual([0, 1, 2, 4, 5]);
    expect(process(Float32Array.of(NaN, -Infinity), { forcedToken: 1 })[1]).toBe(0);
  });

  test("a bias is a number, not a ban, however large; a ban wins over everything", () => {
    const row = Float32Array.of(-3e38, 1, Infinity, -Infinity, NaN);
    const actual = process(row, { logitBias: { 0: -3e38, 1: -100, 2: 1, 3: 5, 4: 5 } });
    expect([...actual]).toEqual([-3.4028234663852886e38, -99, 3.4028234663852886e38, -Infinity, NaN]);
    expect(process(row, { logitBias: { 1: 1e30 }, forcedToken: 1, suppressTokens: [1] })[1]).toBe(-Infinity);
  });
});

test("nothing asked, nothing done: the same array comes back", () => {
  const logits = Float32Array.of(1, 2);
  const off: SamplingParams[] = [
    {},
    { repetitionPenalty: 1, frequencyPenalty: 0, presencePenalty: 0, penaltyWindow: 64 },
    { logitBias: {}, suppressTokens: [], badWords: [], noRepeatNgramSize: 0, dry: { multiplier: 0 } },
    { logitBias: { 1: 0 }, minTokens: 5, stopTokens: [] },
    { stopTokens: [1] },
  ];
  for (const params of off) {
    const { process: plan } = planRow(params, 2);
    expect(plan).toBeUndefined();
    expect(processed(logits, plan)).toBe(logits);
  }
});

test("a full history forgets the oldest token, the prompt first", () => {
  const history = historyOf({ prompt: [1, 2, 3], output: [] }, 4);
  const tokens = (): number[] => Array.from({ length: history.length }, (_, index) => tokenAt(history, index));
  append(history, [4]);
  expect([tokens(), history.prompt, history.outputs]).toEqual([[1, 2, 3, 4], 3, 1]);
  append(history, [5, 0xffff_ffff, 6]);
  expect([tokens(), history.prompt, history.outputs]).toEqual([[3, 4, 5, 6], 1, 3]);
  append(history, [7, 8, 9]);
  expect([tokens(), history.prompt, history.outputs]).toEqual([[6, 7, 8, 9], 0, 6]);
});
