/** One random call: everything in it is in its JSON, so that a line replays it. */
import * as fc from "fast-check";
import { type LogitsType } from "../../src/reference/convert.ts";
import type { OutputParams } from "../../src/outputs.ts";
import type { SamplingParams } from "../../src/params.ts";
import type { ProcessingParams } from "../../src/processing.ts";
import { type StageName, type StageParams, STAGES } from "../../src/stages.ts";
import type { Configuration } from "../everywhere/configurations.ts";
import type { Call, RowParams, Section } from "../everywhere/corpus.ts";
import { inputNames, inputs, Random } from "../support/inputs.ts";
import { floatToBfloat, floatToHalf } from "../support/oracle.ts";
import { randomProcessing, randomTokens, type Said } from "../support/processing.ts";

export interface FuzzCase {
  readonly vocabSize: number;
  readonly logitsType: LogitsType;
  /** Index into `tunings`. */
  readonly tuning: number;
  readonly chunkRows: number;
  readonly lead: number;
  readonly gap: number;
  /** Tokens that a row's history holds; 0: there is none. */
  readonly maxHistory: number;
  /** Further draws, and one by `encode`. */
  readonly further: number;
  /** Tokens of a row in one call. */
  readonly draws: number;
  /** Whether rows are told of as their `outputs` say. */
  readonly told: boolean;
  /** Whether whole rows are written. */
  readonly written: boolean;
  /** Which row's logits each row reads, modulo their number; its own if left out. */
  readonly rowMap?: readonly number[] | undefined;
  readonly rows: readonly FuzzRow[];
}

export interface FuzzRow {
  /** A named input, or one of `kinds`. */
  readonly logits: string;
  readonly logitsSeed: number;
  readonly params: RowParams;
  /** Whether a token may be drawn again. */
  readonly replacement: boolean;
  readonly stages?: Stages | undefined;
  readonly process?: FuzzProcess | undefined;
  /** What the call tells of it; ids are taken modulo the vocabulary. */
  readonly outputs?: OutputParams | undefined;
}

/** Stages beyond top-k, top-p and min-p, and what is to be otherwise where there are any. */
export type Stages = StageParams & Pick<SamplingParams, "temperature">;

/** What a row has said, and what changes its logits. */
export interface FuzzProcess {
  /** Of the texts, and of the values that the parameters have. */
  readonly seed: number;
  /** Tokens that were said: of the prompt, and since then. Those that do not fit into a history are left out. */
  readonly prompt: number;
  readonly output: number;
  readonly names: readonly (keyof ProcessingParams)[];
}

/** Few, since every tuning and type is compiled once: the workgroups of a GPU, of a CPU, and one that is like neither. */
export const tunings: readonly Configuration["tuning"][] = [
  {},
  { drawWorkgroup: 64, streamWorkgroup: 64, lanes: 16, quads: 16, subgroups: true },
  { drawWorkgroup: 8, streamWorkgroup: 2, lanes: 4, quads: 2, subgroups: false },
];

/** Raw patterns that no named input has. */
const kinds: Readonly<Record<string, (vocab: number, random: Random) => Uint32Array<ArrayBuffer>>> = {
  /** Any bits at all. */
  bits: (vocab, random) => words(vocab, () => random.word()),
  /** A handful of arbitrary patterns, so that there are ties everywhere. */
  pool(vocab, random) {
    const pool = Array.from({ length: 1 + random.below(7) }, () => random.word());
    return words(vocab, () => pool[random.below(pool.length)]!);
  },
  /** One exponent and sign, any fraction. */
  octave(vocab, random) {
    const top = random.word() & 0xff80_0000;
    return words(vocab, () => (top | (random.word() & 0x7f_ffff)) >>> 0);
  },
  /** Consecutive patterns, so that every cut falls between neighbours. */
  neighbours(vocab, random) {
    const first = random.word();
    const spread = 1 + random.below(vocab * 2);
    return words(vocab, () => (first + random.below(spread)) >>> 0);
  },
  /** What is special, and what lies beside it. */
  edges(vocab, random) {
    const edges = [0, 0x8000_0000, 0x7f80_0000, 0xff80_0000, 0x7f7f_ffff, 0xff7f_ffff, 0x0080_0000, 0x7fc0_0000];
    return words(vocab, () => (edges[random.below(edges.length)]! + random.below(3) - 1) >>> 0);
  },
  /** A few levels, some of them neighbours, and now and then some tokens above, so that what is left without those is tied. */
  levels(vocab, random) {
    const levels = Float32Array.from({ length: 1 + random.below(5) }, () => random.below(80) / 8 - 10);
    const bits = new Uint32Array(levels.buffer);
    const spread = 1 + random.below(2);
    const row = words(vocab, () => bits[random.below(bits.length)]! + random.below(spread));
    for (let above = random.below(4); above > 0; above--) row[random.below(vocab)] = 0x3fc0_0000 + random.below(2);
    return row;
  },
  /** Logits a few nats apart, most of them masked. */
  sparse: (vocab, random) =>
    words(vocab, () => (random.below(8) === 0 ? 0x4080_0000 + (random.word() >>> 10) : 0xff80_0000)),
};

function words(vocab: number, word: () => number): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: vocab }, word);
}

/** The logits of a row. */
export function logitsOf(name: string, vocab: number, seed: number): Float32Array<ArrayBuffer> {
  const kind = kinds[name];
  if (kind !== undefined) return new Float32Array(kind(vocab, new Random(seed)).buffer);
  return inputs[name as (typeof inputNames)[number]](vocab, seed);
}

const wide = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 64n - 1n),
);
const share = fc.oneof(
  fc.double({ min: 0, max: 1, noNaN: true }),
  fc.integer({ min: 1, max: 52 }).map((bits) => 2 ** -bits),
  fc.integer({ min: 1, max: 52 }).map((bits) => 1 - 2 ** -bits),
  fc.constantFrom(0, 0.05, 0.5, 0.9, 0.95, 1),
);

/** Any parameters that are allowed, common ones more often. */
export const anyParams: fc.Arbitrary<SamplingParams> = fc.record(
  {
    temperature: fc.oneof(
      fc.double({ min: 0, max: 5, noNaN: true }),
      fc.constantFrom(0, 9.9e-6, 1e-5, 0.01, 0.7, 1, 100, 1e30),
    ),
    topK: fc.oneof(
      fc.integer({ min: 0, max: 100 }),
      fc.integer({ min: 500, max: 530 }),
      fc.integer({ min: 1000, max: 1050 }),
      fc.integer({ min: 0, max: 6000 }),
    ),
    topP: share,
    minP: share,
    order: fc.constantFrom("transformers", "vllm", "llama.cpp"),
  },
  { requiredKeys: [] },
);

/** Small probabilities, of which there may be none. */
const cutoff = fc.oneof(
  fc.integer({ min: 1, max: 52 }).map((bits) => 2 ** -bits),
  fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  fc.constantFrom(0, 3e-4, 9e-4, 0.3),
);

/** A preset, or all stages in any order; top-k and top-p apart or jointly, and adaptive-p last, as it has to be. */
const anyOrder: fc.Arbitrary<NonNullable<StageParams["order"]>> = fc.oneof(
  fc.constantFrom("transformers" as const, "vllm" as const, "llama.cpp" as const, "joint" as const),
  fc
    .boolean()
    .map((joint): StageName[] => {
      const others: readonly StageName[] = joint ? ["topK", "topP", "adaptiveP"] : ["joint", "adaptiveP"];
      return STAGES.filter((name) => !others.includes(name));
    })
    .chain((names) => fc.shuffledSubarray(names, { minLength: names.length }))
    .map((names) => names.concat("adaptiveP")),
);

/** Values that come together; the others are left out with them. */
const group = <T extends object>(...choices: fc.Arbitrary<T>[]): fc.Arbitrary<T | object> =>
  fc.oneof(fc.constant({}), fc.constant({}), ...choices);

/** Stages in any mixture; a few at a time more often, since those that come first leave little to those that follow. */
const anyStages: fc.Arbitrary<Stages> = fc
  .tuple(
    group(fc.record({ typicalP: share })),
    group(fc.record({ topNSigma: fc.oneof(fc.double({ min: 0, max: 5, noNaN: true }), fc.constantFrom(1, 1000)) })),
    group<Stages>(fc.record({ epsilonCutoff: cutoff }), fc.record({ etaCutoff: cutoff })),
    group(fc.record({ topH: share })),
    group(
      fc.record({
        xtcProbability: fc.oneof(fc.constant(1), share),
        xtcThreshold: fc.oneof(cutoff, fc.constantFrom(0, 0.1, 0.5)),
      }),
    ),
    group(
      fc.record({
        minKeep: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constantFrom(100, 1023, 1024, 1025, 3000, 2 ** 22)),
      }),
    ),
    group(
      fc.record({
        temperature: fc.double({ min: 0, max: 3, noNaN: true }),
        dynatempRange: fc.double({ min: 0, max: 3, noNaN: true }),
        dynatempExponent: fc.oneof(fc.constantFrom(0, 1, 64), fc.double({ min: 0, max: 4, noNaN: true })),
      }),
    ),
    group<Stages>(
      fc.record({
        mirostat: fc.constantFrom(1 as const, 2 as const),
        mirostatTau: fc.oneof(fc.double({ min: 0, max: 12, noNaN: true }), fc.constantFrom(0, 64)),
        mirostatEta: share,
      }),
      fc.record({ adaptiveP: share, adaptiveDecay: fc.double({ min: 0, max: 0.99, noNaN: true }) }),
    ),
    group(fc.record({ order: anyOrder })),
  )
  .map((parts) => Object.assign({}, ...parts) as Stages);

/** What needs no history, which is also there without one; a forced token leaves nothing else to find. */
const LOOKS_AT_NOTHING = ["allowedTokens", "bannedTokens", "suppressTokens", "logitBias", "forcedToken"] as const;
const LOOKS_BACK = [
  "stopTokens",
  "minTokens",
  "badWords",
  "noRepeatNgramSize",
  "repetitionPenalty",
  "frequencyPenalty",
  "presencePenalty",
  "penaltyOrder",
  "penaltyWindow",
  "dry",
] as const;

const anyProcess: fc.Arbitrary<FuzzProcess> = fc.record({
  seed: fc.nat(0xffff),
  prompt: fc.nat(80),
  output: fc.nat(150),
  names: fc.oneof(
    fc.subarray([...LOOKS_AT_NOTHING.slice(0, -1), ...LOOKS_BACK]),
    fc.subarray([...LOOKS_BACK]),
    fc.subarray([...LOOKS_AT_NOTHING]),
  ),
});

const anyOutputs: fc.Arbitrary<OutputParams> = fc.record(
  {
    logprobs: fc.constantFrom("kept", "processed", "raw"),
    topLogprobs: fc.oneof(fc.integer({ min: 0, max: 32 }), fc.constantFrom(1, 32)),
    logprobTokens: fc.array(fc.nat(2 ** 22 - 1), { maxLength: 20 }),
    rank: fc.boolean(),
    entropy: fc.boolean(),
  },
  { requiredKeys: [] },
);

const anyRow: fc.Arbitrary<FuzzRow> = fc.record({
  logits: fc.constantFrom(...Object.keys(kinds), ...inputNames),
  logitsSeed: fc.nat(0xffff),
  params: fc.tuple(anyParams, wide, wide).map(([params, seed, position]) => Object.assign({ seed, position }, params)),
  replacement: fc.boolean(),
  stages: fc.option(anyStages, { freq: 2, nil: undefined }),
  process: fc.option(anyProcess, { nil: undefined }),
  outputs: fc.option(anyOutputs, { nil: undefined }),
});

const MOST_ROWS = 6;

/** Any case. Vocabularies are mostly small, because it is shapes and cuts that make the difference. */
export const anyCase: fc.Arbitrary<FuzzCase> = fc.record({
  vocabSize: fc.oneof(
    fc.integer({ min: 1, max: 300 }),
    fc.integer({ min: 1, max: 300 }),
    fc.integer({ min: 1, max: 5000 }),
    fc.integer({ min: 1000, max: 1100 }),
    fc.integer({ min: 1, max: 90_000 }),
  ),
  logitsType: fc.constantFrom("float32", "float32", "float16", "bfloat16"),
  tuning: fc.nat(tunings.length - 1),
  chunkRows: fc.integer({ min: 1, max: 8 }),
  lead: fc.nat(7),
  gap: fc.nat(5),
  maxHistory: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 200 })),
  further: fc.constantFrom(0, 0, 0, 2, 5),
  draws: fc.constantFrom(1, 1, 1, 2, 9, 64),
  told: fc.boolean(),
  written: fc.constantFrom(false, false, true),
  rowMap: fc.option(fc.array(fc.nat(MOST_ROWS - 1), { minLength: MOST_ROWS, maxLength: MOST_ROWS }), {
    freq: 1,
    nil: undefined,
  }),
  rows: fc.array(anyRow, { minLength: 1, maxLength: MOST_ROWS }),
});

/** What a row has said. */
function saidBy(process: FuzzProcess | undefined, vocab: number, maxHistory: number): Said {
  if (process === undefined) return { prompt: [], output: [] };
  const random = new Random(process.seed);
  return {
    prompt: randomTokens(random, vocab, Math.min(process.prompt, maxHistory)),
    output: randomTokens(random, vocab, Math.min(process.output, maxHistory)),
  };
}

function paramsOf(row: FuzzRow, { vocabSize: vocab, maxHistory, told, draws }: FuzzCase): RowParams {
  const { process, outputs, replacement } = row;
  const logprobTokens = outputs?.logprobTokens && Array.from(outputs.logprobTokens, (id) => id % vocab);
  const params: RowParams = {
    ...row.params,
    ...row.stages,
    ...(draws > 1 && { draws, replacement }),
    ...(told && { ...outputs, ...(logprobTokens && { logprobTokens }) }),
  };
  if (process === undefined) return params;
  const all = randomProcessing(new Random(process.seed + 1), vocab, saidBy(process, vocab, maxHistory), true);
  // A minimum without stop tokens is refused.
  const names: readonly string[] = process.names.filter(
    (name) => name !== "minTokens" || process.names.includes("stopTokens"),
  );
  const possible: readonly string[] = maxHistory > 0 ? names : LOOKS_AT_NOTHING;
  const asked = Object.entries(all).filter(([name]) => possible.includes(name) && names.includes(name));
  return { ...Object.fromEntries(asked), ...params };
}

/** The case as the everywhere suite asks it. */
export function callOf(value: FuzzCase): {
  readonly section: Section;
  readonly call: Call;
  readonly configuration: Configuration;
} {
  const { vocabSize, logitsType, tuning, chunkRows, lead, gap, maxHistory, further, written, rowMap, rows } = value;
  const rowStride = vocabSize + gap;
  const floats = new Float32Array(lead + (rows.length - 1) * rowStride + vocabSize + gap).fill(1e30);
  for (const [index, row] of rows.entries()) {
    floats.set(logitsOf(row.logits, vocabSize, row.logitsSeed), lead + index * rowStride);
  }
  const logits =
    logitsType === "float32" ? floats : logitsType === "float16" ? floatToHalf(floats) : floatToBfloat(floats);
  const call: Call = {
    name: "fuzz",
    logits,
    offset: lead,
    rowStride,
    ...(rowMap !== undefined && { rowMap: rows.map((_, row) => rowMap[row]! % rows.length) }),
    params: rows.map((row) => paramsOf(row, value)),
    ...(maxHistory > 0 && { said: rows.map(({ process }) => saidBy(process, vocabSize, maxHistory)) }),
    further,
    written,
  };
  const staged = rows.some(({ stages }) => stages !== undefined);
  function* calls(): Generator<Call> {
    yield call;
  }
  return {
    section: { name: "fuzz", vocabSize, rows: rows.length, logitsType, maxHistory, staged, core: "none", calls },
    call,
    configuration: { name: `tuning ${tuning}`, tuning: tunings[tuning]!, chunk: { rows: chunkRows } },
  };
}

/** The case without further stages, whose kernel is the one that takes longest to compile. */
export function withoutStages(value: FuzzCase): FuzzCase {
  return { ...value, rows: value.rows.map((row) => ({ ...row, stages: undefined })) };
}

/** A case as one line. */
export function lineOf(value: FuzzCase): string {
  return JSON.stringify(value, (_, field: unknown) => (typeof field === "bigint" ? `${field}n` : field));
}

/** Reads what `lineOf` wrote. */
export function caseOf(line: string): FuzzCase {
  return JSON.parse(line, (_, field: unknown) =>
    typeof field === "string" && /^\d+n$/.test(field) ? BigInt(field.slice(0, -1)) : field,
  ) as FuzzCase;
}
