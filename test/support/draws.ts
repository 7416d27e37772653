/** Draws against the distribution, for both engines. */
import { expect, test } from "vitest";
import type { SamplingParams } from "../../src/params.ts";
import { planRow } from "../../src/params.ts";
import { list } from "../../src/reference/list.ts";
import type { Sampler } from "../../src/sampler.ts";
import { inputs } from "./inputs.ts";
import { gTest, rejectsAt, runsTest, serialCorrelation } from "./statistics.ts";

const modes: readonly SamplingParams[] = [
  {},
  { temperature: 0.7, topK: 20 },
  { temperature: 1.3, topP: 0.9 },
  { minP: 0.02 },
  { temperature: 1.5, topK: 100, topP: 0.95, minP: 0.01, order: "llama.cpp" },
];
const VOCAB = 200;

/** One false alarm in a million runs of these tests: four are made in each mode. */
const rejects = rejectsAt(1e-6, modes.length * 4);

/**
 * Registers G-tests; the rows of a call hold the same logits and have seeds of their own.
 *
 * @param sampler for 200 tokens and `rows` rows
 * @param callsOfMode how many calls to make in the mode with this number
 */
export function testDraws(sampler: () => Sampler, rows: number, callsOfMode: (mode: number) => number): void {
  test.each(modes.map((mode, index) => [mode, callsOfMode(index)] as const))(
    "%j: %d calls follow the distribution, tail included",
    async (mode, calls) => {
      const row = inputs.flat(VOCAB, 5);
      const logits = new Float32Array(rows * VOCAB);
      for (let r = 0; r < rows; r++) logits.set(row, r * VOCAB);
      const params = Array.from({ length: rows }, (_, r) => ({
        ...mode,
        seed: BigInt(r) * 0x1_0000_0001n,
        position: 0n,
      }));
      const again = params.map(({ seed }) => ({ ...mode, seed }));

      const counts = new Float64Array(VOCAB);
      const first: number[] = [];
      for (let call = 0; call < calls; call++) {
        const { tokens } = await sampler().sample(logits, call === 0 ? params : again);
        for (const token of tokens) counts[token] = counts[token]! + 1;
        first.push(tokens[0]!);
      }
      const { tokens, weights } = list(row, planRow(mode, VOCAB));
      const expected = new Float64Array(VOCAB);
      tokens.forEach((token, rank) => (expected[token] = weights[rank]!));
      const outcome = gTest(counts, expected);
      expect(outcome.bins).toBeGreaterThan(3);
      expect(rejects(outcome), `p = ${outcome.pValue}`).toBe(false);
      // One row's tokens from position to position.
      expect(rejects(serialCorrelation(first))).toBe(false);
      expect(rejects(runsTest(first))).toBe(false);
      // And a distribution that is a little off is told apart.
      const shifted = Float64Array.from(expected, (weight, id) => (id % 2 === 0 ? weight * 1.4 : weight));
      expect(rejects(gTest(counts, shifted))).toBe(true);
    },
  );
}
