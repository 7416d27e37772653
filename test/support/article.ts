/**
 * The five tokens of the article that this package started from, 猫 狗 鸟 鱼 马, with the numbers put right: what each
 * setting keeps, and the probabilities. Both engines are held to it.
 */
import { expect, test } from "vitest";
import type { SamplingParams } from "../../src/params.ts";
import type { Sampler } from "../../src/sampler.ts";

const logarithms = (...probabilities: number[]): Float32Array => Float32Array.from(probabilities, Math.log);
const usual = logarithms(0.4, 0.3, 0.15, 0.1, 0.05);
const sure = logarithms(0.9, 0.05, 0.03, 0.01, 0.01);
const scores = Float32Array.of(2, 1.5, 0.5, 0, -1);

/** So many equal tokens, the others masked. */
const even = (count: number): Float32Array => Float32Array.from({ length: 5 }, (_, id) => (id < count ? 0 : -Infinity));

const kept: readonly [string, Float32Array, SamplingParams, number][] = [
  ["top-k 1", usual, { topK: 1 }, 1],
  ["top-k 2", usual, { topK: 2 }, 2],
  ["top-k 5", usual, { topK: 5 }, 5],
  ["top-p 0", usual, { topP: 0 }, 1],
  ["top-p 0.7, whose nucleus is just 0.7", usual, { topP: 0.7 }, 2],
  ["top-p 0.85, likewise", usual, { topP: 0.85 }, 3],
  ["top-p 1", usual, { topP: 1 }, 5],
  ["top-p 0.9 where one token has 0.9", sure, { topP: 0.9 }, 1],
  ["four equal tokens of which two just reach the mass", even(4), { topP: (2 ** 31 + 2 ** 12) / 2 ** 32 }, 2],
  [
    "three equal tokens of which two miss it by half a unit",
    even(3),
    { topP: ((2 ** 33 + 1) / 3 + 2 ** 12) / 2 ** 32 },
    3,
  ],
  ["T 2, top-p 0.85", usual, { temperature: 2, topP: 0.85 }, 4],
  ["T 0.5, top-p 0.85", scores, { temperature: 0.5, topP: 0.85 }, 2],
];

const probabilities: readonly [string, Float32Array, SamplingParams, number[]][] = [
  ["T 0.5", usual, { temperature: 0.5 }, [0.561404, 0.315789, 0.078947, 0.035088, 0.008772]],
  ["T 2", usual, { temperature: 2 }, [0.300124, 0.259915, 0.183788, 0.150062, 0.10611]],
  ["scores", scores, {}, [0.496331, 0.30104, 0.110746, 0.067171, 0.024711]],
  ["scores, T 0.5", scores, { temperature: 0.5 }, [0.695187, 0.255745, 0.034611, 0.012733, 0.001723]],
  ["scores, top-k 3", scores, { topK: 3 }, [0.546549, 0.331499, 0.121952]],
  ["scores, T 0.5, top-p 0.85", scores, { temperature: 0.5, topP: 0.85 }, [0.731059, 0.268941]],
];

/** Registers the article's cases for a sampler of five tokens. */
export function testArticle(sampler: () => Sampler): void {
  test.each(kept)("%s", async (_, logits, params, count) => {
    const [row] = await sampler().candidates(logits, params);
    expect([...row!.tokens]).toEqual([0, 1, 2, 3, 4].slice(0, count));
  });

  test.each(probabilities)("probabilities: %s", async (_, logits, params, expected) => {
    const [row] = await sampler().candidates(logits, params);
    expect(row!.probabilities.length).toBe(expected.length);
    expected.forEach((probability, rank) =>
      expect(Math.abs(row!.probabilities[rank]! - probability)).toBeLessThan(2e-6),
    );
  });
}
