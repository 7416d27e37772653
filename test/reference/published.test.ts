/**
 * The stages against the formulas that were published, in float64. This is about how close the integers of the rules come,
 * not about engines: those are compared with an equals sign. The table in docs/rules.md, section 5, comes from here.
 */
import { describe, expect, test } from "vitest";
import { planRow, type SamplingParams } from "../../src/params.ts";
import { sampleRow } from "../../src/reference/draw.ts";
import { list } from "../../src/reference/list.ts";
import { max } from "../../src/reference/max.ts";
import { emptyState } from "../../src/reference/stages.ts";
import { Random } from "../support/inputs.ts";
import { continuousRow } from "../support/stage-cases.ts";
import * as published from "../support/published.ts";
import {
  coarseDistances,
  deviation,
  dynamicFactor,
  entropyOf,
  factorOf,
  seenAt,
  zipfLength,
} from "../support/stage-oracle.ts";

/** A token nearer to a threshold than this, relatively, may fall on the other side of it. */
const BAND = 1e-5;
const ROWS = 300;

const kept = (logits: Float32Array, params: SamplingParams): number[] => [
  ...list(logits, planRow(params, logits.length)).tokens,
];

type Case = readonly [name: string, params: (random: Random) => [SamplingParams, published.PublishedStage]];

const cases: readonly Case[] = [
  ["top-p", (r) => one("topP", 0.05 + 0.94 * r.unit(), published.topP)],
  ["min-p", (r) => one("minP", 0.01 + r.unit() * 0.9, published.minP)],
  ["typical", (r) => one("typicalP", 0.05 + r.unit() * 0.9, published.typical)],
  ["top-nσ", (r) => one("topNSigma", 0.1 + r.unit() * 4, published.topNSigma)],
  ["epsilon", (r) => one("epsilonCutoff", 10 ** (-0.5 - 4 * r.unit()), published.epsilon)],
  ["eta", (r) => one("etaCutoff", 10 ** (-0.5 - 4 * r.unit()), published.eta)],
  ["top-H", (r) => one("topH", 0.05 + r.unit() * 0.9, published.topH)],
  [
    "XTC",
    (r) => {
      const xtcThreshold = 10 ** (-0.31 - 2 * r.unit());
      return [{ xtcProbability: 1, xtcThreshold }, published.xtc(xtcThreshold)];
    },
  ],
  [
    "joint",
    (r) => {
      const [topK, topP] = [1 + r.below(50), 0.2 + r.unit() * 0.79];
      return [{ topK, topP, order: "joint" }, published.joint(topK, topP)];
    },
  ],
  [
    "Mirostat 2",
    (r) => {
      const mirostatTau = 0.5 + r.unit() * 4;
      return [{ mirostat: 2, mirostatTau }, published.mirostat2(2 * mirostatTau)];
    },
  ],
];

function one(
  name: keyof SamplingParams,
  value: number,
  stage: (value: number) => published.PublishedStage,
): [SamplingParams, published.PublishedStage] {
  return [{ [name]: value }, stage(value)];
}

test.each(cases)("%s keeps what the formula keeps", (_, make) => {
  const random = new Random(11);
  let close = 0;
  let cut = 0;
  for (let index = 0; index < ROWS; index++) {
    const logits = continuousRow(random);
    const [params, stage] = make(random);
    const expected = stage(published.orderedRow(logits));
    if (expected.row.length < logits.length) cut++;
    const same = kept(logits, params).join() === expected.row.map(({ id }) => id).join();
    if (same) continue;
    expect(expected.margin, `row ${index} with ${JSON.stringify(params)}`).toBeLessThan(BAND);
    close++;
  }
  // The band is so narrow that none of these rows falls into it; and the stage has done something.
  expect(close).toBe(0);
  expect(cut).toBeGreaterThan(ROWS / 4);
});

/** Largest of the errors that `error` finds in rows and parameters. */
function worst(seed: number, error: (logits: Float32Array, random: Random) => number): number {
  const random = new Random(seed);
  let most = 0;
  for (let index = 0; index < ROWS / 2; index++) most = Math.max(most, error(continuousRow(random), random));
  return most;
}

describe("numbers are close to float64", () => {
  test("entropy, in bits", () => {
    const most = worst(21, (logits) => {
      const row = published.orderedRow(logits);
      const integer = Number(entropyOf(seenAt(row, row[0]!.z, factorOf(1)))) / 2 ** 20;
      return Math.abs(integer - published.entropy(row) / Math.LN2);
    });
    expect(most).toBeLessThan(1e-5);
  });

  test("deviation, relatively", () => {
    const most = worst(22, (logits) => {
      const row = published.orderedRow(logits);
      const sigma = (Number(deviation(coarseDistances(row, row[0]!.z))) / 2 ** 24) * Math.LN2;
      return Math.abs(sigma / published.deviationOf(row) - 1);
    });
    expect(most).toBeLessThan(1e-5);
  });

  test("dynamic temperature", () => {
    const most = worst(23, (logits, random) => {
      const [t, range, exponent] = [0.3 + random.unit(), random.unit(), 0.2 + 2 * random.unit()];
      const row = published.orderedRow(logits);
      const factor = dynamicFactor(seenAt(row, row[0]!.z, factorOf(1)), t, range, exponent);
      const temperature = (2 * Math.LOG2E * 2 ** 20) / factor;
      return Math.abs(temperature - published.dynamicTemperature(row, t, range, exponent));
    });
    expect(most).toBeLessThan(1e-4);
  });

  test("the k of Mirostat 1, relatively or by one half", () => {
    const most = worst(24, (logits, random) => {
      const mu = 2 + 6 * random.unit();
      const row = published.orderedRow(logits);
      const seen = seenAt(row, row[0]!.z, factorOf(1));
      const k = zipfLength(seen, BigInt(Math.round(mu * 2 ** 20)), logits.length);
      const expected = published.mirostat1(row, mu, logits.length);
      return (Math.abs(k - Math.max(1, expected)) - 0.5) / Math.max(1, expected);
    });
    expect(most).toBeLessThan(1e-4);
  });

  test.each([1, 2] as const)("μ of Mirostat %i over 200 tokens, in bits", (mirostat) => {
    const random = new Random(25 + mirostat);
    const [tau, eta] = [3, 0.1];
    const plan = planRow({ mirostat, mirostatTau: tau, mirostatEta: eta }, 500);
    let state = emptyState();
    let mu = 2 * tau;
    let most = 0;
    let close = 0;
    for (let position = 0; position < 200; position++) {
      const logits = Float32Array.from({ length: 500 }, () => 2.5 * random.normal());
      const row = published.orderedRow(logits);
      const k = mirostat === 1 ? published.mirostat1(row, mu, 500) : 0;
      const { row: byFormula, margin } =
        mirostat === 2
          ? published.mirostat2(mu)(row)
          : { row: row.slice(0, Math.max(1, Math.round(k))), margin: Math.abs(Math.abs(k % 1) - 0.5) };
      const context = { seed: 7n, position: BigInt(position), state };
      const { tokens } = list(logits, plan, max(logits), context);
      // Where the limit falls on a token, the sequence goes on from what the integers keep.
      if (tokens.length !== byFormula.length) {
        expect(margin, `token ${position}`).toBeLessThan(1e-3);
        close++;
      }
      const sample = sampleRow(logits, plan, 7n, BigInt(position), state);
      const left = row.slice(0, tokens.length);
      mu -= eta * (-Math.log2(published.softmax(left)[left.findIndex(({ id }) => id === sample.token)]!) - tau);
      state = sample.state!;
      most = Math.max(most, Math.abs(2 * tau + state.mirostat / 2 ** 20 - mu));
    }
    expect(most).toBeLessThan(1e-3);
    expect(close).toBeLessThanOrEqual(2);
  });

  test("probabilities after adaptive-p, and the average over 200 tokens", () => {
    const random = new Random(27);
    const [target, decay] = [0.3, 0.9];
    const plan = planRow({ adaptiveP: target, adaptiveDecay: decay }, 200);
    let state = emptyState();
    let [total, weighted] = [1 / (1 - decay), target / (1 - decay)];
    let most = 0;
    let drift = 0;
    for (let position = 0; position < 200; position++) {
      const logits = Float32Array.from({ length: 200 }, () => 2.5 * random.normal());
      const row = published.orderedRow(logits);
      const aim = Math.max(0, Math.min(2 * target - weighted / total, 1));
      const { weights } = list(logits, plan, max(logits), { seed: 7n, position: BigInt(position), state });
      const mass = weights.reduce((all, weight) => all + weight, 0);
      for (const [rank, p] of published.adaptiveP(row, aim).entries()) {
        most = Math.max(most, Math.abs(weights[rank]! / mass - p));
      }
      const sample = sampleRow(logits, plan, 7n, BigInt(position), state);
      const p = published.softmax(row)[row.findIndex(({ id }) => id === sample.token)]!;
      weighted = p + decay * weighted;
      total = 1 + decay * total;
      state = sample.state!;
      drift = Math.max(drift, Math.abs(state.adaptiveSum / state.adaptiveTotal - weighted / total));
    }
    expect(most).toBeLessThan(1e-3);
    expect(drift).toBeLessThan(1e-5);
  });

  test("XTC runs as often as it should", () => {
    const logits = Float32Array.of(2, 1.9, 1.8, -1);
    const plan = planRow({ xtcProbability: 0.3, xtcThreshold: 0.1 }, 4);
    let runs = 0;
    const of = 4000;
    for (let position = 0n; position < of; position++) {
      if (list(logits, plan, max(logits), { seed: 3n, position }).tokens.length === 2) runs++;
    }
    // Four standard deviations.
    expect(Math.abs(runs / of - 0.3)).toBeLessThan(4 * Math.sqrt((0.3 * 0.7) / of));
  });
});
