/** Several draws of a row, against what the rules say of them and what the formulas expect. */
import { describe, expect, test } from "vitest";
import { createSampler, type SampleResult, type SamplingParams } from "../../src/index.ts";
import { RowSampler } from "../../src/integrations/keep-sampled.ts";
import { exp2fix, distance, distanceScale, drawPoint } from "../../src/reference/numeric.ts";
import { philox4x32 } from "../../src/reference/philox.ts";
import { batch } from "../support/inputs.ts";
import { gTest, rejectsAt } from "../support/statistics.ts";

const logits = Float32Array.of(1.5, -2, 0.25, 3, -Infinity, 1.5, -0.5, 2);
const cpu = (options: object = {}) => createSampler({ vocabSize: 8, engine: "cpu", maxBatch: 3, ...options });
const sampler = await cpu();
const draw = (params: SamplingParams): Promise<SampleResult> => sampler.sample(logits, { seed: 1n, ...params });

/** Draws by walking through exact integer weights with what was drawn taken out, from the text of the rules alone. */
function expectedDraws(kept: readonly number[], count: number, replacement: boolean, seed: number, position: number) {
  const left = new Map(kept.map((id) => [id, exp2fix(distance(3, logits[id]!, distanceScale(1)))]));
  return Array.from({ length: count }, (_, number) => {
    const total = [...left.values()].reduce((a, b) => a + b, 0);
    if (total === 0) return 0xffff_ffff;
    const [x0, x1] = philox4x32([position, 0, number, 0], [seed, 0]);
    let point = drawPoint(x0, x1, total);
    for (const [id, weight] of [...left].sort(([a], [b]) => a - b)) {
      if (point < weight) {
        if (!replacement) left.delete(id);
        return id;
      }
      point -= weight;
    }
    throw new Error("no token");
  });
}

describe("the rule", () => {
  test.each([true, false])("draw j uses number j of the same position, replacement %s", async (replacement) => {
    for (let position = 0; position < 50; position++) {
      const { tokens } = await draw({ draws: 9, replacement, position });
      expect([...tokens]).toEqual(expectedDraws([0, 1, 2, 3, 5, 6, 7], 9, replacement, 1, position));
      const filtered = await draw({ draws: 9, replacement, position, topK: 3 });
      expect([...filtered.tokens]).toEqual(expectedDraws([3, 7, 0], 9, replacement, 1, position));
    }
  });

  test("the first draw is that of a call without draws, and a position is one call", async () => {
    const [one, many] = [await cpu(), await cpu()];
    for (let step = 0; step < 40; step++) {
      const params = { seed: 7n, temperature: 1.3, topP: 0.95, mirostat: step % 2 === 0 ? 2 : 0 } as const;
      const expected = await one.sample(logits, params);
      const actual = await many.sample(logits, { ...params, draws: 4, replacement: step % 3 === 0 });
      expect(actual.tokens[0]).toBe(expected.tokens[0]);
      expect(actual.logprobs[0]).toBe(expected.logprobs[0]);
    }
    expect(await many.state.read(0), "Mirostat learns of the first draw").toEqual(await one.state.read(0));
  });

  test("the history learns of the first draw", async () => {
    const one = await cpu({ maxHistory: 8 });
    const { tokens } = await one.sample(logits, { draws: 5, replacement: false, seed: 3n });
    expect([...(await one.history.read(0)).output]).toEqual([tokens[0]]);
  });

  test("log probabilities are those of the kept tokens, also without replacement", async () => {
    const [listed] = await sampler.candidates(logits, { topK: 4 });
    const { tokens, logprobs } = await draw({ topK: 4, draws: 6, replacement: false });
    expect(tokens.slice(0, 4).sort()).toEqual(listed!.tokens.slice().sort());
    for (const [place, token] of tokens.subarray(0, 4).entries()) {
      const probability = listed!.probabilities[listed!.tokens.indexOf(token)]!;
      expect(Math.exp(logprobs[place]!)).toBeCloseTo(probability, 6);
    }
    expect([...tokens.subarray(4)]).toEqual([0xffff_ffff, 0xffff_ffff]);
    expect([...logprobs.subarray(4)].every(Number.isNaN)).toBe(true);
  });

  test("rows without a candidate, greedy rows, and tokens that weigh nothing", async () => {
    const rows = Float32Array.of(
      ...logits.map(() => -Infinity),
      ...logits,
      ...logits.map((z, id) => (id < 2 ? z : -99)),
    );
    const per = (more: SamplingParams): SamplingParams[] => {
      const all = { draws: 3, seed: 2n, ...more };
      return [all, { ...all, temperature: 0 }, all];
    };
    const again = await sampler.sample(rows, per({}));
    expect([...again.tokens.subarray(0, 6)]).toEqual([0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 3, 3, 3]);
    expect(again.status).toEqual(["masked", "ok", "ok"]);
    expect([...again.logprobs.subarray(3, 6)]).toEqual([0, 0, 0]);
    const once = await sampler.sample(rows, per({ replacement: false, rank: true, logprobs: "raw" }));
    expect([...once.tokens.subarray(3, 6)]).toEqual([3, 0xffff_ffff, 0xffff_ffff]);
    expect(once.tokens.slice(6).sort()).toEqual(Uint32Array.of(0, 1, 0xffff_ffff));
    expect(once.ranks!.length).toBe(9);
    expect([...once.ranks!.subarray(3, 6)]).toEqual([1, 0, 0]);
    expect([...once.logprobs].map(Number.isNaN)).toEqual([1, 1, 1, 0, 1, 1, 0, 0, 1].map(Boolean));
  });
});

describe("how often", () => {
  const reject = rejectsAt(1e-6, 3);
  const shares = (() => {
    const weights = [...logits].map((z) => Math.exp(z / 1.5));
    const total = weights.reduce((a, b) => a + b, 0);
    return weights.map((weight) => weight / total);
  })();
  const pairs = async (replacement: boolean): Promise<Float64Array> => {
    const counts = new Float64Array(64);
    for (let position = 0; position < 20_000; position++) {
      const { tokens } = await draw({ temperature: 1.5, draws: 2, replacement, position });
      counts[8 * tokens[0]! + tokens[1]!]!++;
    }
    return counts;
  };
  const expectPairs = (counts: Float64Array, shareOf: (a: number, b: number) => number): void => {
    const expected = counts.map((_, pair) => 20_000 * shareOf(pair >> 3, pair & 7));
    expect(reject(gTest(counts, expected))).toBe(false);
  };

  test("with replacement, two draws are independent", async () => {
    expectPairs(await pairs(true), (a, b) => shares[a]! * shares[b]!);
  });

  test("without, the second comes from what the first has left (Plackett-Luce)", async () => {
    const counts = await pairs(false);
    expectPairs(counts, (a, b) => (a === b ? 0 : (shares[a]! * shares[b]!) / (1 - shares[a]!)));
    const wrong = counts.map((_, pair) => 20_000 * shares[pair >> 3]! * shares[pair & 7]!);
    expect(reject(gTest(counts, wrong)), "the comparison itself can fail").toBe(true);
  });
});

test("whoever goes on with one token of each row refuses more", () => {
  const row = { logits: logits.slice(), position: 0, tokens: () => new Uint32Array(0), prompt: 0 };
  const keep = (params: SamplingParams): void => new RowSampler(-Infinity).keepSampled([row], params);
  expect(() => keep({ draws: 2 })).toThrow(/params\.draws: expected 1.*, got 2/);
  expect([...row.logits]).toEqual([...logits]);
  expect(() => keep({ draws: 1 })).not.toThrow();
});

test("64 draws of a wide row, all different", async () => {
  const wide = await createSampler({ vocabSize: 5000, engine: "cpu" });
  const { tokens } = await wide.sample(batch(["flat"], 5000, 1, 3), { draws: 64, replacement: false, seed: 5n });
  expect(new Set(tokens).size).toBe(64);
});

test.each([
  [{ draws: 0 }, RangeError, /params\.draws: .*1 to 64.*0/],
  [{ draws: 65 }, RangeError, /params\.draws: .*1 to 64.*65/],
  [{ draws: 1.5 }, RangeError, /params\.draws: .*1\.5/],
  [{ draws: "2" }, TypeError, /params\.draws/],
  [{ replacement: 0 }, TypeError, /params\.replacement: expected true or false, got 0/],
  [[{ draws: 2 }, { draws: 3 }], RangeError, /params\[1\]\.draws: expected 2, as in params\[0\].*, got 3/],
  [[{}, { draws: 3 }], RangeError, /params\[1\]\.draws: expected 1, as in params\[0\].*, got 3/],
])("%o is refused", async (params, type, message) => {
  const rows = Array.isArray(params) ? Float32Array.of(...logits, ...logits) : logits;
  const call = sampler.sample(rows, params as SamplingParams);
  await expect(call).rejects.toThrow(type);
  await expect(call).rejects.toThrow(message);
});
