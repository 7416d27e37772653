/** What a call tells besides tokens, against the published formulas in float64. */
import { describe, expect, test } from "vitest";
import { createSampler, type SampleResult, type SamplingParams } from "../../src/index.ts";

const sampler = await createSampler({ vocabSize: 8, engine: "cpu", maxBatch: 2, maxHistory: 8 });
const logits = Float32Array.of(1.5, -2, 0.25, 3, -Infinity, 1.5, -0.5, 2);

const tell = (params: SamplingParams): Promise<SampleResult> => sampler.sample(logits, { seed: 1n, ...params });

/** Log probabilities of logits over the tokens that are kept. */
function logSoftmax(row: ArrayLike<number>, temperature = 1, kept = Array.from(row, () => true)): number[] {
  const scaled = Array.from(row, (z, id) => (kept[id]! ? z / temperature : -Infinity));
  const most = Math.max(...scaled);
  const log = most + Math.log(scaled.reduce((sum, z) => sum + Math.exp(z - most), 0));
  return scaled.map((z) => z - log);
}

const entropyOf = (logs: readonly number[]): number =>
  logs.reduce((sum, log) => sum - (log === -Infinity ? 0 : Math.exp(log) * log), 0);

const all = Array.from({ length: 8 }, (_, id) => id);
const everything = { topLogprobs: 32, logprobTokens: all, rank: true, entropy: true } satisfies SamplingParams;

/** That everything of a result is that of a distribution, whose tokens come in the order of `logits`. */
function expectDistribution(result: SampleResult, expected: readonly number[], digits = 5): void {
  const told = result.tokenLogprobs![0]!;
  for (const id of all) {
    if (expected[id] === -Infinity) expect(told[id], `token ${id}`).toBe(-Infinity);
    else expect(told[id], `token ${id}`).toBeCloseTo(expected[id]!, digits);
  }
  const order = all.filter((id) => expected[id]! > -Infinity).sort((a, b) => logits[b]! - logits[a]! || a - b);
  expect([...result.topLogprobs![0]!.tokens]).toEqual(order);
  expect([...result.topLogprobs![0]!.logprobs]).toEqual(order.map((id) => told[id]!));
  expect(result.entropies![0]).toBeCloseTo(entropyOf(expected), digits);
}

describe("each mode is its distribution", () => {
  test("raw: what the model said, whatever is banned, penalised or cut off", async () => {
    const result = await tell({ ...everything, logprobs: "raw", temperature: 0.5, topK: 2, suppressTokens: [3] });
    const raw = logSoftmax(logits);
    expectDistribution(result, raw);
    expect(result.logprobs[0]).toBeCloseTo(raw[result.tokens[0]!]!, 5);
    expect(result.ranks![0]).toBe(result.tokens[0] === 7 ? 2 : 3);
  });

  test("processed: at the temperature of the draw, before the filters", async () => {
    const result = await tell({ ...everything, logprobs: "processed", temperature: 0.5, topK: 1e6, topP: 0.5 });
    const processed = logSoftmax(logits, 0.5);
    expectDistribution(result, processed);
    expect(result.logprobs[0]).toBeCloseTo(processed[result.tokens[0]!]!, 5);
    expect(result.keptCounts![0]).toBe(1);
    expect(result.keptMasses![0]).toBeCloseTo(Math.exp(processed[3]!), 5);
  });

  test("kept: after the filters, renormalised", async () => {
    const result = await tell({ ...everything, temperature: 0.5, topK: 3 });
    const kept = logSoftmax(
      logits,
      0.5,
      all.map((id) => [3, 7, 0].includes(id)),
    );
    expectDistribution(result, kept);
    expect(result.logprobs[0]).toBe(result.tokenLogprobs![0]![result.tokens[0]!]);
    expect(result.keptCounts![0]).toBe(3);
    const before = logSoftmax(logits, 0.5);
    expect(result.keptMasses![0]).toBeCloseTo(
      [3, 7, 0].reduce((sum, id) => sum + Math.exp(before[id]!), 0),
      5,
    );
  });

  test("at a temperature at which no token is at any distance", async () => {
    const equal = Array.from(logits, (logit) => (logit === -Infinity ? logit : -Math.log(7)));
    expectDistribution(await tell({ ...everything, temperature: 1e300, logprobs: "processed" }), equal);
  });

  test("kept, where XTC has dropped the top and the temperature follows the entropy", async () => {
    const order = ["xtc", "temperature"] as const;
    const xtc = { xtcProbability: 1, xtcThreshold: 0.1, order };
    const shares = logSoftmax(logits).map(Math.exp);
    const above = all.filter((id) => shares[id]! >= 0.1);
    const dropped = new Set(above.sort((a, b) => shares[b]! - shares[a]! || a - b).slice(0, -1));
    const kept = all.map((id) => !dropped.has(id));
    const result = await tell({ ...everything, ...xtc, temperature: 0.25 });
    expectDistribution(result, logSoftmax(logits, 0.25, kept), 3);
    const before = logSoftmax(logits, 0.25).map(Math.exp);
    expect(result.keptMasses![0]).toBeCloseTo(
      all.reduce((sum, id) => sum + (kept[id]! ? before[id]! : 0), 0),
      5,
    );
    const entropy = entropyOf(logSoftmax(logits)) / Math.log(7);
    const dynamic = await tell({ ...everything, logprobs: "processed", temperature: 1, dynatempRange: 0.75 });
    expectDistribution(dynamic, logSoftmax(logits, 0.25 + 1.5 * entropy), 3);
  });

  test("adaptive-p: the drawn token's is that of the draw, all others those of the kept tokens before it", async () => {
    const result = await tell({ ...everything, adaptiveP: 0.3, topK: 4 });
    expectDistribution(
      result,
      logSoftmax(
        logits,
        1,
        all.map((id) => [3, 7, 0, 5].includes(id)),
      ),
    );
    const listed = (await sampler.candidates(logits, { adaptiveP: 0.3, topK: 4 }))[0]!;
    const place = listed.tokens.indexOf(result.tokens[0]!);
    // The state has moved on by one token, and the preference with it.
    expect(Math.exp(result.logprobs[0]!)).toBeCloseTo(listed.probabilities[place]!, 1);
  });
});

test.each<SamplingParams>([{ topK: 1 }, { topP: 0 }, { topP: 1e-7 }, { topK: 1, topNSigma: 1000 }])(
  "a filter that keeps one token does not make a row greedy: %j",
  async (filter) => {
    const processed = logSoftmax(logits, 0.5);
    const one = logSoftmax(
      logits,
      0.5,
      all.map((id) => id === 3),
    );
    for (const [logprobs, expected] of [
      ["processed", processed],
      ["kept", one],
    ] as const) {
      const result = await tell({ ...everything, logprobs, temperature: 0.5, ...filter });
      expect(result.tokens[0]).toBe(3);
      expectDistribution(result, expected);
      expect(result.logprobs[0]).toBeCloseTo(expected[3]!, 5);
      expect(result.keptCounts![0]).toBe(1);
      expect(result.keptMasses![0]).toBeCloseTo(Math.exp(processed[3]!), 5);
    }
    // What one row is asked for is told of all.
    const { keptMasses } = await sampler.sample(Float32Array.of(...logits, ...logits), [
      { temperature: 0.5, ...filter },
      { entropy: true },
    ]);
    expect(keptMasses![0]).toBeCloseTo(Math.exp(processed[3]!), 5);
  },
);

test("greedy rows say what the model thought, at temperature 1", async () => {
  for (const logprobs of ["kept", "processed"] as const) {
    const result = await tell({ ...everything, logprobs, temperature: 0 });
    expectDistribution(result, logSoftmax(logits));
    expect(result.logprobs[0]).toBeCloseTo(logprobs === "kept" ? 0 : logSoftmax(logits)[3]!, 5);
    expect(result.ranks![0]).toBe(1);
    expect(result.keptCounts![0]).toBe(1);
    expect(result.keptMasses![0]).toBeCloseTo(Math.exp(logSoftmax(logits)[3]!), 5);
  }
});

test("what one row is asked for is there for all, and nothing where nobody asks", async () => {
  const two = Float32Array.of(...logits, ...logits.map(() => -Infinity));
  const result = await sampler.sample(two, [{ topLogprobs: 2, entropy: true, seed: 1n }, { rank: true }]);
  expect(result.topLogprobs!.map(({ tokens }) => Array.from(tokens))).toEqual([[3, 7], []]);
  expect([...result.ranks!].map((rank) => rank > 0)).toEqual([true, false]);
  expect([...result.entropies!].map(Number.isNaN)).toEqual([false, true]);
  expect([...result.keptCounts!]).toEqual([7, 0]);
  expect([...result.keptMasses!]).toEqual([1, 0]);
  expect(result.tokenLogprobs).toBeUndefined();
  expect(Object.keys(await tell({})).sort()).toEqual(["logprobs", "status", "tokens"]);
});

test.each([
  [{ logprobs: "all" }, RangeError, /logprobs: expected one of .*"raw".*, got "all"/],
  [{ logprobs: 1 }, TypeError, /logprobs/],
  [{ topLogprobs: 33 }, RangeError, /topLogprobs: .*0 to 32.*33/],
  [{ topLogprobs: 1.5 }, RangeError, /topLogprobs.*1\.5/],
  [{ logprobTokens: [8] }, RangeError, /logprobTokens.*8/],
  [{ logprobTokens: new Uint32Array(1025) }, RangeError, /logprobTokens.*1025/],
  [{ rank: 1 }, TypeError, /rank: expected true or false, got 1/],
  [{ entropy: "yes" }, TypeError, /entropy.*"yes"/],
])("%o is refused", async (params, type, message) => {
  const call = tell(params as SamplingParams);
  await expect(call).rejects.toThrow(type);
  await expect(call).rejects.toThrow(message);
});
