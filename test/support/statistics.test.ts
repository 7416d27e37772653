import { describe, expect, test } from "vitest";
import { Random } from "./inputs.ts";
import {
  chiSquareSurvival,
  gTest,
  logGamma,
  rejectsAt,
  runsTest,
  serialCorrelation,
  twoSidedNormal,
} from "./statistics.ts";

const rejects = rejectsAt(1e-6);

/** Counts of `draws` tokens drawn with the given probabilities. */
function simulate(random: Random, probabilities: readonly number[], draws: number): number[] {
  const counts = probabilities.map(() => 0);
  for (let i = 0; i < draws; i++) {
    let rest = random.unit();
    let bin = probabilities.findIndex((p) => (rest -= p) < 0);
    if (bin < 0) bin = probabilities.length - 1;
    counts[bin] = (counts[bin] as number) + 1;
  }
  return counts;
}

describe("chi-square survival", () => {
  // [degrees of freedom, statistic, survival], computed with mpmath at 40 digits.
  test.each([
    [1, 3.841458820694124, 0.050000000000000057],
    [1, 1e-6, 0.99920211557217787],
    [1, 100, 1.5239706048321052e-23],
    [2, 5.991464547107979, 0.050000000000000074],
    [3, 0.5, 0.91889141165467586],
    [5, 11.07, 0.050009618622405482],
    [7, 14.067, 0.050002444680797639],
    [10, 18.307, 0.05000058909139812],
    [29, 60, 0.00061765597330619997],
    [31, 33, 0.36953479455512816],
    [33, 20, 0.96346589944126127],
    [100, 100, 0.48119168452795672],
    [100, 180, 1.6494985017178248e-6],
    [999, 1000, 0.48513148927490147],
    [999, 1250, 9.0199384164342974e-8],
    [10_000, 10_300, 0.0176381174473454],
    [100_000, 101_000, 0.01286884037723367],
    [100_000, 99_000, 0.9875216843619172],
    [4_000_000, 4_005_000, 0.038591795507496288],
  ])("%d degrees, %d: within 1e-10", (degrees, statistic, survival) => {
    expect(Math.abs(chiSquareSurvival(statistic, degrees) / survival - 1)).toBeLessThan(1e-10);
  });

  test("equals the Poisson sum, which is its closed form at even degrees", () => {
    for (let half = 1; half <= 40; half++) {
      for (const statistic of [0.01, 1, 5, 20, 79, 81, 150]) {
        let term = Math.exp(-statistic / 2);
        let total = 0;
        for (let n = 0; n < half; n++) {
          total += term;
          term *= statistic / 2 / (n + 1);
        }
        expect(Math.abs(chiSquareSurvival(statistic, 2 * half) / total - 1)).toBeLessThan(1e-10);
      }
    }
  });

  test("ends", () => {
    expect(chiSquareSurvival(0, 3)).toBe(1);
    expect(chiSquareSurvival(Infinity, 3)).toBe(0);
    expect(chiSquareSurvival(1e6, 3)).toBe(0);
    expect(chiSquareSurvival(1, 1e6)).toBe(1);
    expect(() => chiSquareSurvival(1, 0)).toThrow(RangeError);
    expect(() => chiSquareSurvival(NaN, 1)).toThrow(RangeError);
  });

  test("logGamma and the normal's tails", () => {
    expect(logGamma(0.5)).toBeCloseTo(0.5723649429247001, 13);
    expect(logGamma(1)).toBeCloseTo(0, 13);
    expect(logGamma(3.5)).toBeCloseTo(1.2009736023470742, 13);
    expect(logGamma(15.5)).toBeCloseTo(26.536914491115614, 12);
    expect(logGamma(100.25)).toBeCloseTo(360.28455963776424, 11);
    expect(twoSidedNormal(1.959963984540054)).toBeCloseTo(0.05, 13);
    expect(twoSidedNormal(-1.959963984540054)).toBeCloseTo(0.05, 13);
  });
});

describe("G-test", () => {
  const zipf = Array.from({ length: 200 }, (_, i) => 1 / (i + 1));
  const total = zipf.reduce((a, b) => a + b);
  const probabilities = zipf.map((weight) => weight / total);

  test("a worked case: 60 and 40 heads where 50 are expected", () => {
    // G = 2 (60 ln 1.2 + 40 ln .8), over Williams's 1 + (4 − 1) / 600.
    const { statistic, degreesOfFreedom, bins } = gTest([60, 40], [0.5, 0.5]);
    expect(statistic).toBeCloseTo((2 * (60 * Math.log(1.2) + 40 * Math.log(0.8))) / 1.005, 12);
    expect(degreesOfFreedom).toBe(1);
    expect(bins).toBe(2);
  });

  test("rejects a true distribution as often as alpha says, pooled bins included", () => {
    const random = new Random(99);
    let rejected = 0;
    const runs = 1000;
    for (let i = 0; i < runs; i++) if (rejectsAt(0.05)(gTest(simulate(random, probabilities, 1000), zipf))) rejected++;
    // 50 expected, deviation 6.9.
    expect(rejected).toBeGreaterThan(20);
    expect(rejected).toBeLessThan(85);
  });

  test("finds a small bias", () => {
    const random = new Random(7);
    const counts = simulate(random, probabilities, 50_000);
    expect(gTest(counts, probabilities)).not.toSatisfy(rejects);
    const biased = probabilities.map((p, i) => p * (i % 2 === 0 ? 1.05 : 0.95));
    expect(gTest(counts, biased)).toSatisfy(rejects);
  });

  test("pools what is rarely expected, whatever the order of the bins", () => {
    const counts = [50, 30, 4, 3, 2, 1];
    const weights = [50, 30, 4, 3, 2, 1];
    const result = gTest(counts, weights);
    expect(result.bins).toBe(3);
    expect(result.statistic).toBeCloseTo(0, 12);
    expect(result.pValue).toBeCloseTo(1, 6);
    const reversed = gTest([1, 2, 3, 4, 30, 50], [...weights].reverse());
    expect(reversed).toEqual(result);
  });

  test("an impossible count is impossible, and an empty bin of no weight is nothing", () => {
    expect(gTest([10, 10, 1], [1, 1, 0])).toMatchObject({ pValue: 0, statistic: Infinity });
    expect(gTest([10, 10, 0], [1, 1, 0])).toMatchObject({ pValue: 1, bins: 2 });
  });

  test("one bin tests nothing, and says so", () => {
    expect(gTest([100], [1])).toEqual({ statistic: 0, pValue: 1, degreesOfFreedom: 0, bins: 1 });
    expect(gTest([3, 1], [0.5, 0.5])).toMatchObject({ bins: 1, pValue: 1 });
  });

  test("rejects arguments that mean nothing", () => {
    expect(() => gTest([1, 2], [1])).toThrow(RangeError);
    expect(() => gTest([0, 0], [1, 1])).toThrow("nothing was observed");
    expect(() => gTest([1, 0], [1, -1])).toThrow("expected[1]");
    expect(() => gTest([NaN, 0], [1, 1])).toThrow("observed[0]");
    expect(() => rejectsAt(0)).toThrow("alpha");
    expect(() => rejectsAt(0.5, 0)).toThrow("tests");
  });

  test("alpha is shared among the tests of a suite", () => {
    expect(rejectsAt(0.01)({ pValue: 0.005 })).toBe(true);
    expect(rejectsAt(0.01, 10)({ pValue: 0.005 })).toBe(false);
  });
});

describe("independence", () => {
  const random = new Random(2024);
  const values = Float64Array.from({ length: 10_000 }, () => random.unit());
  const sticky = values.map((value, i) => (i % 10 === 0 ? value : value * 0.8 + (values[i - 1] as number) * 0.2));

  test("serial correlation", () => {
    expect(serialCorrelation(values)).not.toSatisfy(rejects);
    expect(serialCorrelation(values, 5)).not.toSatisfy(rejects);
    expect(serialCorrelation(sticky)).toSatisfy(rejects);
    const alternating = Float64Array.from({ length: 1000 }, (_, i) => i % 2);
    expect(serialCorrelation(alternating).coefficient).toBeCloseTo(-1, 2);
    expect(() => serialCorrelation([1, 1, 1, 1])).toThrow("the same");
    expect(() => serialCorrelation([1, 2], 1)).toThrow("too few");
    expect(() => serialCorrelation(values, 0)).toThrow("lag");
  });

  test("runs", () => {
    expect(runsTest(values)).not.toSatisfy(rejects);
    expect(runsTest(sticky)).toSatisfy(rejects);
    const alternating = runsTest(Float64Array.from({ length: 100 }, (_, i) => i % 2));
    expect(alternating.runs).toBe(100);
    // 51 expected, variance 5000 · 4900 / (10000 · 99).
    expect(alternating.statistic).toBeCloseTo(49 / Math.sqrt(24.747474747), 6);
    expect(alternating).toSatisfy(rejects);
    expect(() => runsTest([1, 1, 1])).toThrow("same side");
  });
});
