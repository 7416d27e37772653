/** The hand-written JavaScript that the bench compares with has to be right, too: what it draws is what the rules keep. */
import { describe, expect, it } from "vitest";
import { type JavaScriptParams, JavaScriptSampler, NOTHING } from "../../bench/peers/javascript.ts";
import { MODES } from "../../bench/cases.ts";
import { createSampler } from "../../src/index.ts";
import { inputs, type InputName } from "../support/inputs.ts";

const VOCAB = 2000;
const NAMES: readonly InputName[] = [
  "peaked",
  "flat",
  "equal",
  "masked90",
  "tiesAtCut",
  "nanSprinkled",
  "lastTokenOnly",
];
const UNIFORMS = [0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1 - 2 ** -32];

describe.each(Object.entries(MODES))("hand-written JavaScript, %s", (_, params) => {
  it.each(NAMES)("%s", async (name) => {
    const row = inputs[name](VOCAB, 3);
    const sampler = new JavaScriptSampler(VOCAB);
    const reference = await createSampler({ vocabSize: VOCAB, engine: "cpu" });
    const [kept] = await reference.candidates(row, params);
    const tokens = new Set(kept!.tokens);
    const least = Math.min(...[...kept!.tokens].map((token) => row[token]!));
    const drawn = UNIFORMS.map((uniform) => sampler.sample(row, params, uniform));
    for (const token of drawn) {
      // It may break ties at the cut otherwise.
      expect(tokens.has(token) || row[token] === least, `token ${token}`).toBe(true);
    }
    if (kept!.tokens.length >= 50) expect(new Set(drawn).size).toBeGreaterThan(3);
    reference.destroy();
  });

  it("has nothing to draw where all is masked", () => {
    expect(new JavaScriptSampler(8).sample(inputs.allMasked(8, 0), params as JavaScriptParams, 0.5)).toBe(NOTHING);
    expect(new JavaScriptSampler(8).sample(inputs.allNaN(8, 0), params as JavaScriptParams, 0.5)).toBe(NOTHING);
  });
});

describe("hand-written JavaScript draws by probability", () => {
  // Four tokens with probabilities 0.4, 0.3, 0.2, 0.1 and a masked one in between.
  const row = Float32Array.of(Math.log(0.4), -Infinity, Math.log(0.3), Math.log(0.2), Math.log(0.1));
  const shares = (params: JavaScriptParams): number[] => {
    const sampler = new JavaScriptSampler(row.length);
    const counts = new Array<number>(row.length).fill(0);
    for (let step = 0; step < 1000; step++) counts[sampler.sample(row, params, (step + 0.5) / 1000)]!++;
    return counts;
  };

  it.each([
    ["no filter", { temperature: 1 }, [400, 0, 300, 200, 100]],
    ["top-k 2", { temperature: 1, topK: 2 }, [571, 0, 429, 0, 0]],
    ["top-k 3 + top-p 0.7", { temperature: 1, topK: 3, topP: 0.7 }, [571, 0, 429, 0, 0]],
    ["top-p 0.8", { temperature: 1, topP: 0.8 }, [444, 0, 333, 222, 0]],
    ["min-p 0.6", { temperature: 1, minP: 0.6 }, [571, 0, 429, 0, 0]],
  ] as const)("%s", (_, params, expected) => {
    const counts = shares(params);
    for (const [token, count] of expected.entries()) expect(Math.abs(counts[token]! - count)).toBeLessThanOrEqual(1);
  });
});
