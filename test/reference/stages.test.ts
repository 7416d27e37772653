/** The stages against the text of the rules: {@link stageOracle} = reference, integer for integer. */
import { describe, expect, test } from "vitest";
import { planRow, type SamplingParams } from "../../src/params.ts";
import { draw, type RowSample } from "../../src/reference/draw.ts";
import { list } from "../../src/reference/list.ts";
import { max } from "../../src/reference/max.ts";
import { emptyState, type RowState } from "../../src/reference/stages.ts";
import { show } from "../support/cases.ts";
import { Random } from "../support/inputs.ts";
import { randomParams, randomRow } from "../support/stage-cases.ts";
import { type OracleState, stageOracle } from "../support/stage-oracle.ts";

const oracleState = ({ mirostat, adaptiveSum, adaptiveTotal }: RowState): OracleState => ({
  offset: BigInt(mirostat),
  ...(adaptiveTotal === 0 ? {} : { average: { sum: BigInt(adaptiveSum), total: BigInt(adaptiveTotal) } }),
});

/** Samples a row with both; a message if they differ, and what the reference has made of it. */
function compare(
  logits: Float32Array,
  params: SamplingParams,
  position: bigint,
  state: RowState,
): { readonly difference?: string; readonly sample?: RowSample } {
  const seed = 0x1234_5678_9abc_def0n;
  const plan = planRow(params, logits.length);
  const expected = stageOracle(logits, { ...params, seed, position }, oracleState(state));
  const told = `[${[...logits.subarray(0, 12)].join()}${logits.length > 12 ? ",…" : ""}] (${logits.length}) with ${show(params)} at ${position}, state ${JSON.stringify(state)}`;
  try {
    const row = max(logits);
    const sample = draw(logits, row, plan, seed, position, state);
    const kept = list(logits, plan, row, { seed, position, state });
    const next = oracleState(sample.state ?? state);
    const wanted = { ...oracleState(state), ...expected.state };
    const same =
      sample.token === expected.token &&
      sample.status === expected.status &&
      kept.tokens.length === expected.kept.length &&
      expected.kept.every((id, rank) => id === kept.tokens[rank]) &&
      expected.weights.every((weight, rank) => weight === BigInt(kept.weights[rank]!)) &&
      next.offset === wanted.offset &&
      next.average?.sum === wanted.average?.sum &&
      next.average?.total === wanted.average?.total;
    if (same) return { sample };
    const text = (tokens: ArrayLike<number>, weights: ArrayLike<number | bigint>): string =>
      `${tokens.length} kept: ${Array.from(tokens)
        .slice(0, 4)
        .map((id, i) => `${id} (${weights[i]})`)
        .join()}`;
    return {
      sample,
      difference: `${told}: token ${sample.token} of ${text(kept.tokens, kept.weights)}, next ${next.offset} ${next.average?.sum} ${next.average?.total}; expected ${expected.token} of ${text(expected.kept, expected.weights)}, next ${wanted.offset} ${wanted.average?.sum} ${wanted.average?.total}`,
    };
  } catch (error) {
    return { difference: `${told}: ${String(error)}; expected ${expected.token} of ${expected.kept.length}` };
  }
}

/** Sizes on both sides of what the rules and the code treat differently, small ones most often. */
const SIZES = [1, 1, 2, 2, 3, 4, 5, 8, 13, 31, 63, 64, 65, 99, 100, 101, 150, 256, 400];

/** The first few differences of many random cases. */
function differences(cases: number, seed: number, often: number, sizes: readonly number[]): string[] {
  const random = new Random(seed);
  const found: string[] = [];
  for (let index = 0; index < cases && found.length < 5; index++) {
    const logits = randomRow(random, sizes[random.below(sizes.length)]!);
    const { difference } = compare(logits, randomParams(random, often), BigInt(index), emptyState());
    if (difference !== undefined) found.push(`case ${index}: ${difference}`);
  }
  return found;
}

test("rows with a stage or two", () => {
  expect(differences(3000, 1, 0.1, SIZES)).toEqual([]);
});

test("rows with many stages", () => {
  expect(differences(3000, 2, 0.4, SIZES)).toEqual([]);
});

test("rows of 1,000 to 3,000 tokens", () => {
  expect(differences(60, 3, 0.25, [1000, 2048, 3000])).toEqual([]);
});

test("sequences of 30 tokens, with the state that each leaves for the next", () => {
  const random = new Random(4);
  const found: string[] = [];
  for (let sequence = 0; sequence < 60 && found.length < 5; sequence++) {
    const { adaptiveP: _, mirostat: __, ...others } = randomParams(random, 0.1);
    const params: SamplingParams =
      sequence % 3 === 2
        ? { ...others, adaptiveP: random.unit(), adaptiveDecay: random.unit() * 0.99 }
        : { ...others, mirostat: ((sequence % 2) + 1) as 1 | 2, mirostatTau: 1 + random.unit() * 5 };
    const vocab = 5 + random.below(150);
    let state = emptyState();
    for (let position = 0; position < 30; position++) {
      const { difference, sample } = compare(randomRow(random, vocab), params, BigInt(position), state);
      if (difference !== undefined) found.push(`sequence ${sequence}: ${difference}`);
      if (difference !== undefined || sample === undefined) break;
      state = sample.state ?? state;
    }
  }
  expect(found).toEqual([]);
});

/** Logits of these probabilities, or weights. */
const of = (...weights: readonly number[]): Float32Array<ArrayBuffer> => Float32Array.from(weights, Math.log);
const equal = (length: number): Float32Array<ArrayBuffer> => new Float32Array(length);
const first = (count: number, from = 0): number[] => Array.from({ length: count }, (_, index) => from + index);

/** The kept tokens of the reference, which must be those of the rules. */
function kept(logits: Float32Array, params: SamplingParams, state: RowState = emptyState()): number[] {
  expect(compare(logits, params, 0n, state).difference).toBeUndefined();
  return [...list(logits, planRow(params, logits.length), max(logits), { seed: 1n, position: 0n, state }).tokens];
}

describe("at the thresholds", () => {
  const half = of(0.5, 0.25, 0.25);
  test.each<[string, Float32Array, SamplingParams, number[]]>([
    ["epsilon is the probability", equal(4), { epsilonCutoff: 0.25 }, first(4)],
    ["epsilon is the probability of the last two", half, { epsilonCutoff: 0.25 }, first(3)],
    ["epsilon is above every probability", equal(4), { epsilonCutoff: 0.2501 }, [0]],
    ["epsilon, and more to keep", equal(4), { epsilonCutoff: 0.9, minKeep: 3 }, first(3)],
    // The entropy is 1.5 bits: sqrt(0.5) · 2^-1.5 is a quarter.
    ["eta by the entropy is the probability", half, { etaCutoff: 0.5 }, first(3)],
    ["eta is just above it", half, { etaCutoff: 0.5005 }, [0]],
    ["eta is the probability", of(16, 1, 1, 1, 1), { etaCutoff: 0.05 }, first(5)],
    ["XTC: all have the threshold", equal(4), { xtcProbability: 1, xtcThreshold: 0.25 }, [3]],
    ["XTC: none has it", equal(4), { xtcProbability: 1, xtcThreshold: 0.2501 }, first(4)],
    ["XTC: two have a half", equal(2), { xtcProbability: 1, xtcThreshold: 0.5 }, [1]],
    ["XTC: one alone has it", half, { xtcProbability: 1, xtcThreshold: 0.3 }, first(3)],
    ["XTC: too few would be left", half, { xtcProbability: 1, xtcThreshold: 0.25, minKeep: 2 }, first(3)],
    ["XTC: as many as must be left", half, { xtcProbability: 1, xtcThreshold: 0.25, minKeep: 1 }, [2]],
    ["XTC is off above a half", half, { xtcProbability: 1, xtcThreshold: 0.51 }, first(3)],
    ["XTC: a threshold of nothing leaves the last", of(1, 0.5, 1e-12), xtcAll(), [2]],
    ["typical on equal tokens", equal(4), { typicalP: 0.5 }, first(2)],
    ["typical keeps one at least", equal(4), { typicalP: 0 }, [0]],
    // Information of 1, 2 and 2 bits around an entropy of 1.5.
    ["typical: the more probable of two at one distance", half, { typicalP: 0.5 }, [0]],
    ["typical: one of the two others", half, { typicalP: 0.75 }, first(2)],
    ["typical drops the top", of(40, ...Array<number>(60).fill(1)), { typicalP: 0.3 }, first(30, 1)],
    ["typical with the top in the end", of(40, ...Array<number>(60).fill(1)), { typicalP: 0.99 }, first(61)],
    ["typical, and more to keep", of(40, ...Array<number>(60).fill(1)), { typicalP: 0, minKeep: 5 }, first(5, 1)],
    ["top-nσ without a deviation", equal(7), { topNSigma: 0.001 }, first(7)],
    ["top-nσ of next to nothing", of(3, 3, 2, 1), { topNSigma: 1e-9 }, first(2)],
    ["top-nσ beyond all", of(1, 1e-9, 1e-30), { topNSigma: 1000 }, first(3)],
    ["top-H of everything", equal(64), { topH: 1 }, first(64)],
    ["top-H looks at 100 tokens", equal(150), { topH: 1 }, first(100)],
    ["top-H of half", equal(64), { topH: 0.5 }, first(32)],
    ["top-H keeps one at least", equal(64), { topH: 1e-6 }, [0]],
    ["top-H of a row without entropy", of(1), { topH: 0.5 }, [0]],
    ["Mirostat 2 with a tau of 0", equal(8), { mirostat: 2, mirostatTau: 0 }, [0]],
    ["Mirostat 1 with a tau of 0", of(9, 5, 2, 1), { mirostat: 1, mirostatTau: 0 }, [0]],
    ["Mirostat 2: the limit is the information", equal(8), { mirostat: 2, mirostatTau: 1.5 }, first(8)],
    ["Mirostat 2: the limit is just below it", equal(8), { mirostat: 2, mirostatTau: 1.4999 }, [0]],
    ["top-k, and more to keep", equal(9), { topK: 2, minKeep: 4 }, first(4)],
    ["top-k and then top-p of it", of(4, 3, 2, 1), { topK: 2, topP: 0.57, minKeep: 1, typicalP: 1 }, [0]],
    ["joint: top-p of the whole row", of(4, 3, 2, 1), { topK: 2, topP: 0.57, order: "joint" }, first(2)],
    ["joint: top-k is what decides", of(4, 3, 2, 1), { topK: 1, topP: 0.99, order: "joint" }, [0]],
    ["more to keep than there are", equal(3), { epsilonCutoff: 0.9, minKeep: 1000 }, first(3)],
  ])("%s", (_, logits, params, expected) => {
    expect(kept(logits, params)).toEqual(expected);
  });

  test("one candidate stays, whatever is on", () => {
    const logits = new Float32Array(70).fill(-Infinity);
    logits[40] = -3;
    for (const order of ["transformers", "vllm", "llama.cpp", "joint"] as const) {
      for (const mirostat of [1, 2] as const) {
        expect(
          kept(logits, {
            temperature: 0.7,
            topK: 1,
            topP: 0,
            minP: 1,
            typicalP: 0,
            topNSigma: 0.1,
            topH: 0.1,
            minKeep: 9,
            order,
            epsilonCutoff: 0.9,
            etaCutoff: 0.9,
            xtcProbability: 1,
            xtcThreshold: 0,
            dynatempRange: 0.5,
            mirostat,
          }),
        ).toEqual([40]);
      }
    }
  });

  test("a row without a candidate has no token, and leaves the state alone", () => {
    const plan = planRow({ adaptiveP: 0.3 }, 5);
    const masked = new Float32Array(5).fill(-Infinity);
    expect(draw(masked, max(masked), plan, 1n, 0n)).toMatchObject({ token: 0xffff_ffff, status: "masked" });
    expect(draw(masked, max(masked), plan, 1n, 0n).state).toBeUndefined();
  });
});

function xtcAll(): SamplingParams {
  return { xtcProbability: 1, xtcThreshold: 0, temperature: 0.5 };
}

describe("there is always something to draw", () => {
  test.each<[string, Float32Array, SamplingParams]>([
    ["XTC drops the top, and then the temperature is low", of(4, 3, 2, 1e-3), { ...xtcAll(), temperature: 0.01 }],
    ["typical drops the top", of(40, ...Array<number>(60).fill(1)), { typicalP: 0.3, temperature: 0.02 }],
    ["and stages follow", of(4, 3, 2), { ...xtcAll(), temperature: 0.01, dynatempRange: 0.005 }],
  ])("%s", (_, logits, params) => {
    const order = [
      "xtc",
      "typicalP",
      "temperature",
      "topH",
      "etaCutoff",
      "epsilonCutoff",
      "topP",
      "minP",
      "topNSigma",
      "mirostat",
    ] as const;
    const late = { etaCutoff: 0.1, epsilonCutoff: 0.1, topP: 0.9, minP: 0.1, topNSigma: 3, topH: 0.9 };
    for (const others of [{ order: "llama.cpp" } as const, { ...late, order: order as SamplingParams["order"] & {} }]) {
      for (const mirostat of [0, 1, 2] as const) {
        const { difference, sample } = compare(logits, { ...params, ...others, mirostat }, 5n, emptyState());
        expect(difference).toBeUndefined();
        expect(sample!.mass).toBeGreaterThan(0);
      }
    }
  });

  test("adaptive-p far from its target: no token is near it, and equal ones stay equal", () => {
    const { difference, sample } = compare(equal(1000), { adaptiveP: 1 }, 0n, emptyState());
    expect(difference).toBeUndefined();
    expect(sample!.weight / sample!.mass).toBe(1 / 1000);
  });

  test("adaptive-p measures the probability among what is left", () => {
    // What XTC leaves is one token, whose probability is 1.
    const params = { xtcProbability: 1, xtcThreshold: 0.01, adaptiveP: 0.5, adaptiveDecay: 0 };
    const { difference, sample } = compare(of(16, 8, 4, 2, 1), params, 0n, emptyState());
    expect(difference).toBeUndefined();
    expect(sample!.state!.adaptiveSum / 2 ** 20).toBeCloseTo(1, 5);
  });

  test("a dynamic temperature around 0 is one, however narrow its range", () => {
    for (const dynatempRange of [1e-9, 1e-5, 0.1]) {
      const { difference } = compare(of(3, 2, 1), { temperature: 0, dynatempRange }, 0n, emptyState());
      expect(difference).toBeUndefined();
    }
  });
});

describe("states", () => {
  const logits = of(8, 4, 2, 1, 1);

  test("Mirostat with an eta of 0 learns nothing; with 1 all at once", () => {
    const none = compare(logits, { mirostat: 2, mirostatTau: 3, mirostatEta: 0 }, 0n, emptyState());
    expect(none.sample!.state!.mirostat).toBe(0);
    const all = compare(logits, { mirostat: 2, mirostatTau: 3, mirostatEta: 1, topK: 1 }, 0n, emptyState());
    // The one token that is kept has no information: the limit rises by tau.
    expect(all.sample!.state!.mirostat).toBe(3 * 2 ** 20);
  });

  test("the limit of Mirostat stays within 512 bits of twice tau", () => {
    for (const [row, tau, end] of [
      [of(1), 64, 512],
      [equal(3000), 0, -512],
    ] as const) {
      const params: SamplingParams = { mirostat: 2, mirostatTau: tau, mirostatEta: 1, minKeep: 3000 };
      let state = emptyState();
      for (let position = 0n; position < 60n; position++) {
        const { difference, sample } = compare(row, params, position, state);
        expect(difference).toBeUndefined();
        state = sample!.state!;
      }
      expect(state.mirostat).toBe(end * 2 ** 20);
    }
  });

  test("the limit of Mirostat is that of the state", () => {
    expect(kept(equal(8), { mirostat: 2, mirostatTau: 3 }, { ...emptyState(), mirostat: -4 * 2 ** 20 })).toEqual([0]);
    expect(kept(equal(8), { mirostat: 2, mirostatTau: 1 }, { ...emptyState(), mirostat: 2 ** 20 })).toEqual(first(8));
  });

  test("a greedy row leaves it alone", () => {
    const plan = planRow({ temperature: 0, mirostat: 2 }, 5);
    expect(draw(logits, max(logits), plan, 1n, 0n).state).toBeUndefined();
  });
});

describe("dynamic temperature", () => {
  /** The share of the most probable token, which tells the temperature. */
  const share = (row: Float32Array, params: SamplingParams): number => {
    const { weights } = list(row, planRow(params, row.length));
    return weights[0]! / weights.reduce((sum, weight) => sum + weight, 0);
  };

  test("rises as far as it may where all is open, and falls where nothing is", () => {
    const open = of(1, 1 - 2 ** -20, 1);
    const sure = of(1, 1e-6);
    for (const dynatempExponent of [0.5, 1, 3]) {
      const params = { temperature: 1, dynatempRange: 0.75, dynatempExponent };
      expect(kept(open, params)).toHaveLength(3);
      expect(share(open, params)).toBeCloseTo(share(open, { temperature: 1.75 }), 6);
      expect(share(sure, params)).toBeGreaterThan(share(sure, { temperature: 1 }));
    }
  });

  test("with an exponent of 0 it is the highest", () => {
    const row = of(5, 2, 1);
    expect(share(row, { dynatempRange: 0.5, dynatempExponent: 0 })).toBeCloseTo(share(row, { temperature: 1.5 }), 5);
  });
});

test("a stage whose parameter is off does nothing in a list, and the default order is that of transformers", () => {
  const random = new Random(6);
  for (let index = 0; index < 50; index++) {
    const logits = randomRow(random, 80);
    const params = { temperature: 0.8, topP: 0.9, typicalP: 0.9, topK: 20 };
    const order = ["temperature", "topNSigma", "topH", "topK", "topP", "minP", "typicalP", "etaCutoff", "xtc"] as const;
    expect(kept(logits, { ...params, order })).toEqual(kept(logits, params));
    expect(kept(logits, { ...params, order: "transformers" })).toEqual(kept(logits, params));
  }
});
