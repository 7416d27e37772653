/**
 * Calls made for one place each: where a rule turns over, at distances, sums and lengths that no named input has.
 */
import type { Call, RowParams, Section } from "./corpus.ts";
import type { SamplingParams } from "../../src/params.ts";
import type { Said } from "../support/processing.ts";

/** A row of one edge. */
interface Edge {
  readonly logit: (id: number) => number;
  readonly params: SamplingParams;
  readonly said?: Said;
}

const same = (token: number, count: number): number[] => Array.from({ length: count }, () => token);

/** Just half of the mass of equal tokens, after the rounding of `topP`. */
const HALF = (2 ** 31 + 2 ** 12) / 2 ** 32;

/** Tokens 0 and 1, and the others far below. */
const firstTwo = (first: number, second: number) => (id: number) => [first, second][id] ?? -30;

const TOLD = { logprobs: "raw", rank: true } as const;

/** Little rows, with histories. */
const processed: readonly Edge[] = [
  // The running sum of the second of four equal tokens is what the nucleus needs, and not one more.
  { logit: (id) => (id % 16 === 3 ? 1 : -Infinity), params: { ...TOLD, topK: 4, topP: HALF } },
  // A repeat that began before the window counts from there.
  {
    logit: (id) => id / 8,
    params: { ...TOLD, dry: { multiplier: 1, base: 2, allowedLength: 2, window: 5 } },
    said: { prompt: [], output: same(7, 12) },
  },
  // The repeat is just as long as the window lets it be.
  {
    logit: (id) => id / 8,
    params: { ...TOLD, dry: { multiplier: 1, base: 2, allowedLength: 3, window: 4 } },
    said: { prompt: same(61, 9), output: [] },
  },
  // What has been said is a repeat of three but for the breaker in it: token 3 goes on being the best.
  {
    logit: (id) => (id === 3 ? 1 : id === 4 ? 0.5 : -30),
    params: { temperature: 0, dry: { multiplier: 1, base: 2, allowedLength: 2, sequenceBreakers: [9, 60] } },
    said: { prompt: [], output: [5, 9, 7, 3, 5, 9, 7] },
  },
  // A breaker that would go on with a repeat keeps its logit: token 5 goes on being the best.
  {
    logit: (id) => (id === 5 ? 1 : id === 4 ? 0.5 : -30),
    params: { temperature: 0, dry: { multiplier: 10, sequenceBreakers: [5] } },
    said: { prompt: [], output: [1, 2, 5, 1, 2] },
  },
  // No history is as long as that, however far it reaches.
  {
    logit: (id) => id / 8,
    params: { noRepeatNgramSize: 2 ** 32 - 2 },
    said: { prompt: same(5, 9), output: same(5, 7) },
  },
  // Forced, and no candidate of the model's: behind all that are.
  { logit: (id) => (id === 9 ? -Infinity : id % 5), params: { ...TOLD, forcedToken: 9 } },
  { logit: (id) => (id === 9 ? Number.NaN : -id), params: { ...TOLD, forcedToken: 9 } },
  // A sum, a product and a quotient that lie just past the middle between two floats. Rounded down they would be as large as
  // another token, and it is the first of the two that would be drawn; or, the product, the second.
  { logit: firstTwo(64, 64), params: { temperature: 0, logitBias: { 1: 2 ** -18 + 2 ** -38 } } },
  {
    logit: firstTwo(-1 - 2 ** -23, -1.5 - 2 ** -22),
    params: { temperature: 0, repetitionPenalty: 1.5 + 2 ** -23 },
    said: { prompt: [], output: [0] },
  },
  {
    logit: firstTwo(1.25 - 2 ** -22, 1.875 - 2 ** -23),
    params: { temperature: 0, repetitionPenalty: 1.5 + 2 ** -23 },
    said: { prompt: [], output: [1] },
  },
];

/** The last tokens that min-p keeps at 0.5, one octave below the best, and the first that it does not. */
const aroundHalf = (id: number): number => (id % 64 === 0 ? 0 : -(Math.LN2 - 2 ** -17 + (id % 64) * 2 ** -21));

/** More tokens than are written down, some of them further than a deviation counts: 128 octaves are 89. */
const staged: readonly Edge[] = [
  // The deviation is 43; it would be 480 if the far ones counted in full, and keep the middle.
  { logit: (id) => (id % 15 === 4 ? -60 : id % 2 === 0 ? 0 : -1000), params: { topNSigma: 1 } },
  { logit: (id) => (id % 15 === 4 ? -60 : id % 2 === 0 ? 0 : -3e38), params: { topNSigma: 1, temperature: 0.5 } },
  // A mean so far off, beside the deviation, that what its division leaves over decides on the last tokens.
  { logit: (id) => (id === 7 ? 0 : -(50 + ((id * 7) % 1500) / 375)), params: { temperature: 1, topNSigma: 30 } },
  { logit: aroundHalf, params: { temperature: 1, minP: 0.5, minKeep: 2 } },
  // The threshold is just what the last quarter of the tokens weigh, to the unit.
  { logit: (id) => -(id % 4), params: { temperature: 1, epsilonCutoff: 0.00008548968945 } },
  // Three tokens of which XTC leaves one or all. The number that tells is not that of the draw, which would tell otherwise.
  ...[0.66, 0.58, 0.5].map((xtcProbability) => ({
    logit: (id: number): number => (id < 3 ? 0 : -20),
    params: { temperature: 1, xtcProbability, xtcThreshold: 0.1 },
  })),
  // XTC drops a token that is a float above the next, and no distance nearer: in the middle of a group, behind masked ones, and in
  // the first group.
  ...[700, 5].map((best) => ({
    logit: (id: number): number => {
      if (id === best || id === 300) return id === best ? 1.5 + 2 ** -23 : 1.5;
      return id > 639 && id < 760 ? -Infinity : -9 - (id % 7) / 10;
    },
    params: { temperature: 1, xtcProbability: 1, xtcThreshold: 0.1 },
  })),
  // All that typical leaves are tied, and further from the token that it drops than from each other.
  { logit: (id) => (id === 400 ? 5 : id < 1400 ? 0 : -Infinity), params: { temperature: 1, typicalP: 0.9 } },
  // A nucleus of nothing is the first token, among stages, too.
  { logit: (id) => -(id % 7), params: { temperature: 1, topP: 0 } },
];

/** Neighbouring distances around an edge. */
const wide: readonly Edge[] = [
  // 8 and 9 octaves, and one or two units: those round to multiples of 4, the first of the next octave.
  { logit: (id) => (id === 0 ? 0 : -(5.5451755 + (id % 16) * 2 ** -21)), params: { temperature: 1 } },
  { logit: (id) => (id === 5 ? 0 : -(6.2383227 + (id % 16) * 2 ** -21)), params: { temperature: 1, topP: 0.9999 } },
  { logit: aroundHalf, params: { temperature: 1, minP: 0.5 } },
  // Of what min-p has left a large top-k takes all, and top-p half.
  {
    logit: (id) => -(id % 2048) / 2048,
    params: { temperature: 1, minP: 0.99, topK: 700, topP: 0.5, order: "vllm" },
  },
  // One tied token in each of a hundred groups in the middle, of which the first twenty are kept.
  {
    logit: (id) => (id % 64 === 5 && id >= 6400 && id < 12_800 ? 0 : -1 - (id % 1000) / 1000),
    params: { temperature: 1, topK: 20 },
  },
];

/**
 * A nucleus that ends among tokens of the bin in front of the last one, where the last reaches behind the band that is marked (see
 * `shaders/lib/band.wgsl`), and of which more is kept, up to tokens that lie there.
 */
const behindTheBand: readonly Edge[] = [
  ...[0, 1, 2].map(() => ({ topP: 0.9513789433289757, minKeep: 7151 })),
  // A number of tokens that is looked for in the same way, and what comes behind it.
  { topK: 6700, typicalP: 0.99 },
  { topK: 7200, minKeep: 7250 },
  { topK: 7001, topP: 0.99, order: ["topK", "topP", "temperature"] as const },
].map((params) => ({
  logit: (id) => {
    const place = (id * 5779) % 16_384;
    const [, distance] = BEHIND_THE_BAND.find(([end]) => place < end)!;
    return (-distance * Math.LN2) / 2 ** 20;
  },
  params: { ...params, temperature: 1 },
}));

/** Tokens up to the n-th lie at a distance. */
const BEHIND_THE_BAND: readonly (readonly [end: number, distance: number])[] = [
  [1, 0],
  [6001, 2 ** 19],
  [6601, 48 * 2 ** 16 + 256],
  [7001, 48 * 2 ** 16 + 126 * 512 + 256],
  [7301, 48 * 2 ** 16 + 127 * 512 + 256],
  [16_384, 6 * 2 ** 20],
];

/** Draws behind one that has taken nearly all of the mass: what is left are single units, and points where a taken token begins. */
const taken: readonly Edge[] = [0, 5, 63].map((first) => ({
  logit: (id) => (id === first ? 0 : -21.3),
  params: { temperature: 1, draws: 17, replacement: false },
}));

/** XTC drops tokens that are as near as those it keeps, at such a temperature all of them. */
const takenOfDropped: readonly Edge[] = [1e6, 1e30].map((temperature) => ({
  logit: (id) => -id / 8,
  params: { temperature, xtcProbability: 1, xtcThreshold: 0.01, draws: 17, replacement: false },
}));

function section(what: string, vocabSize: number, edges: readonly Edge[], shape: Partial<Section>): Section {
  const rows = edges.length;
  function* calls(): Generator<Call> {
    const logits = Float32Array.from({ length: rows * vocabSize }, (_, at) =>
      edges[Math.floor(at / vocabSize)]!.logit(at % vocabSize),
    );
    const params = edges.map((edge, row): RowParams => ({ ...edge.params, seed: BigInt(row), position: 3n }));
    const said = edges.map((edge) => edge.said ?? { prompt: [], output: [] });
    const name = `edges, ${what}`;
    const place = { offset: 0, rowStride: vocabSize };
    yield { name, logits, ...place, params, ...(shape.maxHistory && { said }), further: 1, written: true };
  }
  return {
    name: `float32, ${vocabSize} tokens, edges, ${what}`,
    vocabSize,
    rows,
    logitsType: "float32",
    maxHistory: 0,
    staged: false,
    core: "none",
    calls,
    ...shape,
  };
}

export const edgeSections: readonly Section[] = [
  section("processed", 64, processed, { maxHistory: 16 }),
  section("stages", 1500, staged, { staged: true }),
  section("wide", 2 ** 15 + 1, wide, {}),
  section("behind the band", 16_384, behindTheBand, { staged: true }),
  section("taken", 64, taken, { ownKernels: true }),
  section("taken, stages", 64, takenOfDropped, { staged: true, ownKernels: true }),
];
