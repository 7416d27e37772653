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
const AXES = ["positions", "rows", "draws"] as const;
/** How many tests `battery` makes: of counts, and along each axis of which there is more than one place. */
const testsOf = (draws: number): number => 1 + EDGE_SEEDS.length + (draws > 1 ? 3 : 2) * (2 + LAGS.length);

/** How many draws are made in a mode. */
export interface Shape {
  /** Number of the mode. */
  readonly mode: number;
  readonly calls: number;
  readonly rows: number;
  /** Tokens of a row in a call, with replacement. */
  readonly draws: number;
}

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

/** Tokens of all calls, in the order of an axis: its places come one after the other, for all places of the other two. */
function along(axis: (typeof AXES)[number], tokens: readonly Uint32Array[], draws: number): number[] {
  const rows = tokens[0]!.length / draws;
  const line: number[] = [];
  if (axis === "positions") {
    for (let at = 0; at < rows * draws; at++) for (const ofCall of tokens) line.push(ofCall[at]!);
  } else {
    for (const ofCall of tokens) {
      if (axis === "draws") line.push(...ofCall);
      else for (let draw = 0; draw < draws; draw++) for (let r = 0; r < rows; r++) line.push(ofCall[r * draws + draw]!);
    }
  }
  return line;
}

/**
 * All tests of one mode.
 *
 * @param tokens of each call, `[rows, draws]`; the row r has the seed `seedOf(r)` and counts positions from 0
 * @param draws of a row in a call
 */
function battery(
  distribution: Distribution,
  tokens: readonly Uint32Array[],
  draws: number,
): Record<string, TestResult> {
  const counts = new Float64Array(VOCAB);
  for (const ofCall of tokens) for (const token of ofCall) counts[token]!++;
  const results: Record<string, TestResult> = { "all tokens, tail included": gTest(counts, distribution.weights) };

  for (const [row, seed] of EDGE_SEEDS.entries()) {
    const classes = new Float64Array(CLASSES);
    for (const ofCall of tokens) {
      for (const token of ofCall.subarray(row * draws, (row + 1) * draws)) classes[distribution.classOf[token]!]!++;
    }
    results[`seed ${seed}`] = gTest(classes, distribution.shares);
  }

  const places = { positions: tokens.length, rows: tokens[0]!.length / draws, draws };
  for (const axis of AXES) {
    if (axis === "draws" && draws === 1) continue;
    const line = along(axis, tokens, draws);
    function* neighbours(): Generator<[number, number]> {
      for (let first = 0; first < line.length; first += places[axis]) {
        for (let at = first; at + 1 < first + places[axis]; at += 2) yield [line[at]!, line[at + 1]!];
      }
    }
    results[`${axis} side by side`] = pairTest(distribution, neighbours());
    for (const lag of LAGS) results[`${axis} ${lag} apart`] = serialCorrelation(line, lag);
    results[`runs along ${axis}`] = runsTest(line);
  }
  return results;
}

/**
 * Registers the tests; the rows of a call hold the same logits and have seeds of their own.
 *
 * @param sampler for 200 tokens and as many rows as any of the shapes has
 */
export function testDraws(sampler: () => Sampler, shapes: readonly Shape[]): void {
  /** One false alarm in a million runs of the tests of an engine. */
  const rejects = rejectsAt(
    1e-6,
    shapes.reduce((sum, { draws }) => sum + testsOf(draws), 0),
  );
  /** Which tests say that this is not chance. */
  const rejected = (distribution: Distribution, tokens: readonly Uint32Array[], draws: number): string[] => {
    const results = battery(distribution, tokens, draws);
    expect(Object.keys(results).length).toBe(testsOf(draws));
    return Object.entries(results)
      .filter(([, result]) => rejects(result))
      .map(([name, { pValue }]) => `${name}: p = ${pValue}`);
  };

  test.each(shapes.map((shape) => [modes[shape.mode]!, TIMES * shape.calls, shape.rows, shape.draws] as const))(
    "%j: %d calls of %d rows, %d draws each, follow the distribution, and not each other",
    async (mode, calls, rows, draws) => {
      const row = inputs.flat(VOCAB, 5);
      const logits = new Float32Array(rows * VOCAB);
      for (let r = 0; r < rows; r++) logits.set(row, r * VOCAB);
      const again = Array.from({ length: rows }, (_, r) => ({ ...mode, draws, seed: seedOf(r) }));
      const first = again.map((params) => ({ ...params, position: 0n }));
      const all: Uint32Array[] = [];
      for (let call = 0; call < calls; call++) {
        all.push((await sampler().sample(logits, call === 0 ? first : again)).tokens);
      }
      const distribution = distributionOf(row, mode);
      expect(rejected(distribution, all, draws)).toEqual([]);

      // What is a little off is told apart (so many draws are enough to see it): the distribution, a token that stays, a row that
      // copies its neighbour, a draw that is the one before.
      const some = all.slice(0, 400);
      const shifted = distribution.weights.map((weight, id) => (id % 2 === 0 ? weight * 1.4 : weight));
      expect(rejected({ ...distribution, weights: shifted }, some, draws)).toHaveLength(1);
      const random = new Random(calls);
      const seldom = (): boolean => random.below(8) === 0;
      const sticky = some.map((tokens, call) =>
        tokens.map((token, at) => (call % 2 === 1 && seldom() ? some[call - 1]![at]! : token)),
      );
      expect(rejected(distribution, sticky, draws).join()).toMatch(/positions side by side/);
      const copied = some.map((tokens) =>
        tokens.map((token, at) => (Math.floor(at / draws) % 2 === 1 && seldom() ? tokens[at - draws]! : token)),
      );
      expect(rejected(distribution, copied, draws).join()).toMatch(/rows side by side/);
      if (draws === 1) return;
      const repeated = some.map((tokens) =>
        tokens.map((token, at) => (at % 2 === 1 && seldom() ? tokens[at - 1]! : token)),
      );
      expect(rejected(distribution, repeated, draws).join()).toMatch(/draws side by side/);
    },
    TIMES * 120_000,
  );
}
