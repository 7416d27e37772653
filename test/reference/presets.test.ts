/**
 * The presets as wholes: the chains of transformers, vLLM, llama.cpp and SGLang in float64, stage after stage as those systems
 * document them, each renormalising, on the same rows. Where the rules differ on purpose is tested below, and told in
 * docs/rules.md, section 6.
 */
import { describe, expect, test } from "vitest";
import { planRow, type SamplingParams } from "../../src/params.ts";
import { list } from "../../src/reference/list.ts";
import { Random } from "../support/inputs.ts";
import * as published from "../support/published.ts";
import { continuousRow } from "../support/stage-cases.ts";

/** As in published.test.ts: nearer to a threshold, rounding decides. */
const BAND = 1e-5;

type Params = Required<
  Pick<
    SamplingParams,
    | "temperature"
    | "topK"
    | "topP"
    | "minP"
    | "typicalP"
    | "topNSigma"
    | "epsilonCutoff"
    | "etaCutoff"
    | "topH"
    | "xtcProbability"
    | "xtcThreshold"
  >
>;

const off: Params = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  typicalP: 1,
  topNSigma: 0,
  epsilonCutoff: 0,
  etaCutoff: 0,
  topH: 0,
  xtcProbability: 0,
  xtcThreshold: 0.1,
};

const stageOf: Record<string, (params: Params) => published.PublishedStage | false> = {
  temperature: ({ temperature }) => published.temperature(temperature),
  topNSigma: ({ topNSigma }) => topNSigma !== 0 && published.topNSigma(topNSigma),
  topH: ({ topH }) => topH !== 0 && published.topH(topH),
  topK: ({ topK }) => topK !== 0 && published.topK(topK),
  topP: ({ topP }) => topP !== 1 && published.topP(topP),
  joint: ({ topK, topP }) => published.joint(topK === 0 ? Infinity : topK, topP),
  minP: ({ minP }) => minP !== 0 && published.minP(minP),
  typical: ({ typicalP }) => typicalP !== 1 && published.typical(typicalP),
  epsilon: ({ epsilonCutoff }) => epsilonCutoff !== 0 && published.epsilon(epsilonCutoff),
  eta: ({ etaCutoff }) => etaCutoff !== 0 && published.eta(etaCutoff),
  xtc: ({ xtcProbability, xtcThreshold }) => xtcProbability !== 0 && published.xtc(xtcThreshold),
};

const chains = {
  transformers: "temperature topH topK topP minP typical epsilon eta",
  vllm: "temperature minP topK topP",
  "llama.cpp": "topNSigma topK typical topP minP xtc temperature",
  joint: "temperature joint",
} as const;

function randomParams(random: Random, names: readonly string[]): Params {
  const on = (stage: string): boolean => names.includes(stage) && random.below(2) === 0;
  const between = (least: number, most: number): number => least + (most - least) * random.unit();
  return {
    ...off,
    temperature: random.below(2) === 0 ? 1 : between(0.3, 2),
    ...((on("topK") || names.includes("joint")) && { topK: 1 + random.below(60) }),
    ...((on("topP") || names.includes("joint")) && { topP: between(0.3, 0.99) }),
    ...(on("minP") && { minP: between(0.005, 0.3) }),
    ...(on("typical") && { typicalP: between(0.2, 0.99) }),
    ...(on("topNSigma") && { topNSigma: between(0.5, 4) }),
    ...(on("epsilon") && { epsilonCutoff: 10 ** -between(1, 4) }),
    ...(on("eta") && { etaCutoff: 10 ** -between(1, 4) }),
    ...(on("topH") && { topH: between(0.2, 0.95) }),
    ...(on("xtc") && { xtcProbability: 1, xtcThreshold: between(0.02, 0.4) }),
  };
}

test.each(Object.entries(chains))("%s: the chain as it is documented", (order, chain) => {
  const names = chain.split(" ");
  const random = new Random(31);
  let close = 0;
  let cut = 0;
  for (let index = 0; index < 400; index++) {
    const logits = continuousRow(random);
    const params = randomParams(random, names);
    const stages = names.map((name) => stageOf[name]!(params)).filter((stage) => stage !== false);
    const { row, margin } = published.chain(published.orderedRow(logits), stages);
    const { tokens, weights } = list(
      logits,
      planRow({ ...params, order: order as SamplingParams["order"] & {} }, logits.length),
    );
    if ([...tokens].join() !== row.map(({ id }) => id).join()) {
      expect(margin, `row ${index} with ${JSON.stringify(params)}`).toBeLessThan(BAND);
      close++;
      continue;
    }
    if (row.length < logits.length) cut++;
    const mass = weights.reduce((sum, weight) => sum + weight, 0);
    const errors = published.softmax(row).map((p, rank) => Math.abs(weights[rank]! / mass - p));
    expect(Math.max(...errors), `row ${index} with ${JSON.stringify(params)}`).toBeLessThan(1e-6);
  }
  expect(close).toBe(0);
  expect(cut).toBeGreaterThan(200);
});

describe("where the rules differ on purpose", () => {
  const kept = (logits: Float32Array, params: SamplingParams): number =>
    list(logits, planRow(params, logits.length)).tokens.length;

  test("top-k keeps exactly k, where transformers and vLLM keep all that are equal to the last", () => {
    expect(kept(Float32Array.of(2, 1, 1, 1, 0), { topK: 2 })).toBe(2);
  });

  test("typical takes equal tokens below the mean one by one, where transformers keeps all at the last distance", () => {
    expect(kept(new Float32Array(10), { typicalP: 0.5 })).toBe(5);
  });

  test("a nucleus that reaches top-p but for a millionth is complete", () => {
    const logits = Float32Array.of(Math.log(0.4), Math.log(0.3), Math.log(0.3));
    expect(kept(logits, { topP: 0.7 })).toBe(2);
    expect(kept(logits, { topP: 0.7 + 2 ** -21 })).toBe(2);
    expect(kept(logits, { topP: 0.7 + 2 ** -19 })).toBe(3);
  });

  test("a finite number that stands for a mask counts as 128 octaves in the deviation of top-nσ", () => {
    const row = Float32Array.from({ length: 100 }, (_, id) => (id < 50 ? -id / 10 : -1e9));
    const logits = published.orderedRow(row);
    // In float64 the deviation is a half of 10^9, and everything is within it.
    expect(published.topNSigma(2.5)(logits).row).toHaveLength(100);
    expect(kept(row, { topNSigma: 2.5 })).toBe(50);
  });

  test("filters that are on come before Mirostat", () => {
    const logits = new Float32Array(64);
    expect(kept(logits, { mirostat: 2, mirostatTau: 5 })).toBe(64);
    expect(kept(logits, { mirostat: 2, mirostatTau: 5, topK: 10 })).toBe(10);
  });
});
