/** Draws against the distribution, and against each other, for both engines. */
import { expect, test } from "vitest";
import type { SamplingParams } from "../../src/params.ts";
import { planRow } from "../../src/params.ts";
import { list } from "../../src/reference/list.ts";
import type { Sampler } from "../../src/sampler.ts";
import { inputs, Random } from "./inputs.ts";
import { gTest, rejectsAt, runsTest, serialCorrelation, type TestResult } from "./statistics.ts";

const modes: readonly SamplingParams[] = [
  {},
  { temperature: 0.7, topK: 20 },
  { temperature: 1.3, topP: 0.9 },
  { minP: 0.02 },
  { temperature: 1.5, topK: 100, topP: 0.95, minP: 0.01, order: "llama.cpp" },
];
const VOCAB = 200;
/** Seeds at the ends of the range and of a word; the other rows have seeds of which both words differ. */
const EDGE_SEEDS: readonly bigint[] = [0n, 1n, 2n ** 32n, 2n ** 64n - 1n];
const seedOf = (row: number): bigint => EDGE_SEEDS[row] ?? BigInt(row) * 0x1_0000_0001n;
const CLASSES = 8;
const LAGS = [1, 2, 3, 7];
/** What `battery` tests of a mode. */
const TESTS = 1 + EDGE_SEEDS.length + 2 + 2 * LAGS.length + 2;

/** One false alarm in a million runs of the tests of an engine. */
const rejects = rejectsAt(1e-6, modes.length * TESTS);

/** How many times as many draws as usual: for a long run. */
const TIMES = Number((import.meta.env as Record<string, unknown>)["VITE_WTS_DRAWS"] ?? 1);

/** A distribution: weights by token, and classes of tokens of about the same mass. */
interface Distribution {
  readonly weights: Float64Array;
  readonly classOf: Uint8Array;
  readonly shares: Float64Array;
}

function distributionOf(logits: Float32Array, params: SamplingParams): Distribution {
  const weights = new Float64Array(VOCAB);
  const { tokens, weights: listed } = list(logits, planRow(params, VOCAB));
  tokens.forEach((token, rank) => (weights[token] = listed[rank]!));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const classOf = new Uint8Array(VOCAB);
  const shares = new Float64Array(CLASSES);
  let before = 0;
  for (let id = 0; id < VOCAB; id++) {
    classOf[id] = Math.floor((CLASSES * before) / total);
    shares[classOf[id]!]! += weights[id]! / total;
    before += weights[id]!;
  }
  return { weights, classOf, shares };
}

/** How often the classes come one after the other, against how often they should when neither knows of the other. */
function pairTest({ classOf, shares }: Distribution, pairs: Iterable<readonly [number, number]>): TestResult {
  const counts = new Float64Array(CLASSES * CLASSES);
  for (const [one, other] of pairs) counts[classOf[one]! * CLASSES + classOf[other]!]!++;
  return gTest(
    counts,
    counts.map((_, cell) => shares[Math.floor(cell / CLASSES)]! * shares[cell % CLASSES]!),
  );
}

/**
 * All tests of one mode.
 *
 * @param draws tokens, `[calls, rows]`; the row r has the seed `seedOf(r)` and counts positions from 0
 */
function battery(distribution: Distribution, draws: readonly Uint32Array[]): Record<string, TestResult> {
  const rows = draws[0]!.length;
  const counts = new Float64Array(VOCAB);
  for (const tokens of draws) for (const token of tokens) counts[token]!++;
  const results: Record<string, TestResult> = { "all tokens, tail included": gTest(counts, distribution.weights) };

  for (const [row, seed] of EDGE_SEEDS.entries()) {
    const classes = new Float64Array(CLASSES);
    for (const tokens of draws) classes[distribution.classOf[tokens[row]!]!]!++;
    results[`seed ${seed}`] = gTest(classes, distribution.shares);
  }

  function* neighbours(): Generator<[number, number]> {
    for (const tokens of draws) for (let row = 0; row + 1 < rows; row += 2) yield [tokens[row]!, tokens[row + 1]!];
  }
  function* successors(): Generator<[number, number]> {
    for (let call = 0; call + 1 < draws.length; call += 2) {
      for (let row = 0; row < rows; row++) yield [draws[call]![row]!, draws[call + 1]![row]!];
    }
  }
  results["rows side by side"] = pairTest(distribution, neighbours());
  results["positions one after the other"] = pairTest(distribution, successors());

  // Token after token of each row, row after row; and the rows of each call, call after call.
  const along: number[] = [];
  for (let row = 0; row < rows; row++) for (const tokens of draws) along.push(tokens[row]!);
  const across = draws.flatMap((tokens) => [...tokens]);
  for (const lag of LAGS) {
    results[`positions ${lag} apart`] = serialCorrelation(along, lag);
    results[`rows ${lag} apart`] = serialCorrelation(across, lag);
  }
  results["runs along positions"] = runsTest(along);
  results["runs across rows"] = runsTest(across);
  return results;
}

/** Which tests say that this is not chance. */
function rejected(results: Record<string, TestResult>): string[] {
  expect(Object.keys(results).length).toBe(TESTS);
  return Object.entries(results)
    .filter(([, result]) => rejects(result))
    .map(([name, { pValue }]) => `${name}: p = ${pValue}`);
}

/**
 * Registers the tests; the rows of a call hold the same logits and have seeds of their own.
 *
 * @param sampler for 200 tokens and `rows` rows
 * @param callsOfMode how many calls to make in the mode with this number
 */
export function testDraws(sampler: () => Sampler, rows: number, callsOfMode: (mode: number) => number): void {
  test.each(modes.map((mode, index) => [mode, TIMES * callsOfMode(index)] as const))(
    "%j: %d calls follow the distribution, and not each other",
    async (mode, calls) => {
      const row = inputs.flat(VOCAB, 5);
      const logits = new Float32Array(rows * VOCAB);
      for (let r = 0; r < rows; r++) logits.set(row, r * VOCAB);
      const again = Array.from({ length: rows }, (_, r) => ({ ...mode, seed: seedOf(r) }));
      const first = again.map((params) => ({ ...params, position: 0n }));
      const draws: Uint32Array[] = [];
      for (let call = 0; call < calls; call++) {
        draws.push((await sampler().sample(logits, call === 0 ? first : again)).tokens);
      }
      const distribution = distributionOf(row, mode);
      expect(rejected(battery(distribution, draws))).toEqual([]);

      // What is a little off is told apart (so many draws are enough to see it): the distribution, a token that stays, a row that copies its neighbour.
      const some = draws.slice(0, 400);
      const shifted = distribution.weights.map((weight, id) => (id % 2 === 0 ? weight * 1.4 : weight));
      expect(rejected(battery({ ...distribution, weights: shifted }, some))).toHaveLength(1);
      const random = new Random(calls);
      const sticky = some.map((tokens, call) =>
        tokens.map((token, r) => (call % 2 === 1 && random.below(8) === 0 ? some[call - 1]![r]! : token)),
      );
      expect(rejected(battery(distribution, sticky)).join()).toMatch(/positions one after the other/);
      const copied = some.map((tokens) =>
        tokens.map((token, r) => (r % 2 === 1 && random.below(8) === 0 ? tokens[r - 1]! : token)),
      );
      expect(rejected(battery(distribution, copied)).join()).toMatch(/rows side by side/);
    },
  );
}
