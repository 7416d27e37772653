/**
 * The fixed calls that every runtime is asked: named inputs × parameters × types × places in memory.
 *
 * Nothing here depends on the runtime: inputs are made with integer arithmetic and single rounded operations.
 */
import type { LogitsType } from "../../src/reference/convert.ts";
import type { OutputParams } from "../../src/outputs.ts";
import type { SamplingParams } from "../../src/params.ts";
import { paramSets, show, stagedSets } from "../support/cases.ts";
import { batch, type InputName, inputNames, Random } from "../support/inputs.ts";
import { floatToBfloat, floatToHalf } from "../support/oracle.ts";
import { edgeSections } from "./edges.ts";
import { randomProcessing, randomTokens, type Said } from "../support/processing.ts";

/** Parameters of one row, with nothing left to chance. */
export type RowParams = SamplingParams & { readonly seed: bigint; readonly position: bigint };

/** One call of the sampler. */
export interface Call {
  /** How a person finds it again. */
  readonly name: string;
  readonly logits: Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;
  readonly offset: number;
  readonly rowStride: number;
  /** Which row of logits each row reads; its own if left out. */
  readonly rowMap?: readonly number[];
  /** One per row. */
  readonly params: readonly RowParams[];
  /** What the rows have said, where the section keeps histories. More than fit into one push the oldest out. */
  readonly said?: readonly Said[];
  /** Further draws from the same logits, which go on where the row's counter stands, and one by `encode`. */
  readonly further: number;
  /** Whether whole rows are written, too: kept logits, and probabilities. */
  readonly written?: boolean;
}

/** Calls of one shape. Every section has a digest of its own, so that a difference can be narrowed down. */
export interface Section {
  readonly name: string;
  readonly vocabSize: number;
  readonly rows: number;
  readonly logitsType: LogitsType;
  /** Tokens that the history of a row holds; 0: there is none. */
  readonly maxHistory: number;
  /** Whether there are rows with further stages, some of which keep a state from token to token. */
  readonly staged: boolean;
  /** Whether it needs kernels that no other section needs, which are compiled anew for every tuning. */
  readonly ownKernels?: boolean;
  /** Under which configurations it is run besides the sampler as it comes: all, those for 16 bits, or none. */
  readonly core: "all" | "half" | "none";
  readonly calls: () => Generator<Call>;
}

/** Seeds and positions at the ends of their ranges, and where a word ends. */
const WIDE: readonly bigint[] = [0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n];

/** A well-spread 64-bit number (Fibonacci hashing), so that neither word of a seed is always 0. */
const spread = (n: number): bigint => BigInt.asUintN(64, BigInt(n) * 0x9e37_79b9_7f4a_7c15n);

interface Shape {
  readonly vocabSize: number;
  readonly names?: readonly InputName[];
  readonly logitsType?: LogitsType;
  readonly core?: Section["core"];
  /** Elements in front of the first row, and from the end of a row to the start of the next. */
  readonly lead?: number;
  readonly gap?: number;
  /** Every so many of the parameter sets. */
  readonly every?: number;
  readonly further?: number;
  /** Rows with histories of so many tokens, and with everything that processes logits, in any mixture. */
  readonly maxHistory?: number;
  /** The parameter sets with further stages, instead of those without. */
  readonly staged?: boolean;
  /** Parameter sets of its own, instead of those. */
  readonly ownSets?: { readonly title: string; readonly sets: readonly SamplingParams[]; readonly told?: OutputParams };
  /** All rows of a call with the same parameters, or each with its own. */
  readonly uniform?: boolean;
  /** Rows read any rows of logits, some of them the same one; they are told of, and written, and some calls draw several tokens. */
  readonly told?: boolean;
}

const MODES = ["kept", "processed", "raw"] as const;

/** The draw's own mass is what the answers are relative to, unless it weighed anew; and the front of the row may be gone. */
const NEW_WEIGHTS: readonly SamplingParams[] = [
  { adaptiveP: 0.3, minP: 0.01 },
  { xtcProbability: 1, xtcThreshold: 0.02 },
  {
    adaptiveP: 0.1,
    adaptiveDecay: 0.3,
    xtcProbability: 1,
    xtcThreshold: 0.1,
    order: ["minP", "xtc", "adaptiveP"],
    minP: 0.002,
  },
  { adaptiveP: 0.6, temperature: 2 },
  { xtcProbability: 1, xtcThreshold: 0.001, topK: 40, temperature: 1.4 },
];
const KEPT_ALONE: OutputParams = { logprobs: "kept", topLogprobs: 20, entropy: false };

/** Nuclei of so many tokens that their end is guessed, and looked for among tokens that are marked. */
const WIDE_NUCLEI: readonly SamplingParams[] = [
  { temperature: 0.8, topP: 0.9 },
  { topP: 0.5 },
  { temperature: 3, topP: 0.99 },
  { temperature: 2, topP: 0.8, order: "llama.cpp" },
  { temperature: 1 + 2 ** -20, topP: 0.9, order: "llama.cpp" },
  { topK: 15_000, topP: 0.8 },
  { temperature: 1.5, topP: 0.7, minP: 1e-4 },
  { temperature: 6, topP: 0.2 },
  { topK: 600 },
  { temperature: 0.3, topK: 4000 },
  { topK: 2000, topP: 0.5 },
  { temperature: 2, topK: 9000, minP: 1e-3, order: "llama.cpp" },
];

/** What is told of a row. Ranks and entropies of all rows or of none: what one is asked for is told of all. */
function outputs(random: Random, vocab: number, entropy: boolean): OutputParams {
  return {
    logprobs: MODES[random.below(3)]!,
    topLogprobs: [0, 1, 5, 32][random.below(4)]!,
    logprobTokens: randomTokens(random, vocab, random.below(40)),
    rank: true,
    entropy,
  };
}

function section(shape: Shape): Section {
  const { vocabSize, names = inputNames, logitsType = "float32", core = "none", lead = 0, gap = 0 } = shape;
  const { every = 1, uniform = false, further = 0, maxHistory = 0, staged = false, told = false, ownSets } = shape;
  const sets = ownSets?.sets ?? (staged ? stagedSets : paramSets);
  const rows = names.length;
  const place = lead + gap === 0 ? "" : `, offset ${lead}, gap ${gap}`;
  const how = [
    uniform ? ", one parameter set a call" : "",
    maxHistory > 0 ? ", processed" : "",
    staged ? ", stages" : "",
    told ? ", told and written" : "",
    ownSets === undefined ? "" : `, ${ownSets.title}`,
  ].join("");
  const name = `${logitsType}, ${vocabSize} tokens${place}${how}`;
  function* calls(): Generator<Call> {
    for (let index = 0; index < sets.length; index += every) {
      const paramsOf = (row: number): SamplingParams => sets[(index + (uniform ? 0 : row)) % sets.length]!;
      const packed = batch(names, vocabSize, rows, index);
      const rowStride = vocabSize + gap;
      // What lies between the rows must never be seen: it is larger than any logit but infinity.
      const placed = new Float32Array(lead + (rows - 1) * rowStride + vocabSize + gap).fill(1e30);
      for (let row = 0; row < rows; row++) {
        placed.set(packed.subarray(row * vocabSize, (row + 1) * vocabSize), lead + row * rowStride);
      }
      const random = new Random(index);
      const draws = told ? [1, 3, 1, 17][(index / every) % 4]! : 1;
      const said = Array.from({ length: rows }, () => ({
        prompt: randomTokens(random, vocabSize, random.below(maxHistory / 2)),
        output: randomTokens(random, vocabSize, random.below(maxHistory)),
      }));
      const rowMap = told ? Array.from({ length: rows }, () => random.below(rows)) : undefined;
      yield {
        name: `batch(${names === inputNames ? "inputNames" : names.join()}, ${vocabSize}, ${rows}, ${index})`,
        logits: convert(placed, logitsType),
        offset: lead,
        rowStride,
        ...(rowMap && { rowMap }),
        params: Array.from({ length: rows }, (_, row) => ({
          ...paramsOf(row),
          ...(maxHistory > 0 && randomProcessing(random, vocabSize, said[row]!)),
          ...(told && outputs(random, vocabSize, (index / every) % 3 !== 1)),
          ...ownSets?.told,
          ...(draws > 1 && { draws, replacement: random.below(2) === 0 }),
          seed: row < WIDE.length ? WIDE[row]! : spread(row + rows * index),
          position: WIDE[index % WIDE.length]! ^ BigInt(row >> 3),
        })),
        ...(maxHistory > 0 && { said }),
        further,
        written: told,
      };
    }
  }
  const ownKernels = maxHistory > 0 || staged || told;
  return { name, vocabSize, rows, logitsType, maxHistory, staged, ownKernels, core, calls };
}

function convert(values: Float32Array<ArrayBuffer>, type: LogitsType): Call["logits"] {
  if (type === "float32") return values;
  return type === "float16" ? floatToHalf(values) : floatToBfloat(values);
}

/** Everything that is asked. */
export const sections: readonly Section[] = [
  ...[1, 2, 3, 5, 31, 64, 128].map((vocabSize) => section({ vocabSize })),
  section({ vocabSize: 127, core: "all", every: 3, further: 2 }),
  section({ vocabSize: 600, uniform: true, every: 2 }),
  // As many tokens as are filtered in one go: what is compared one by one takes longest here.
  section({ vocabSize: 1001, core: "all", every: 11 }),
  section({ vocabSize: 2049, core: "all", every: 8 }),
  section({ vocabSize: 4097, every: 2 }),
  section({ vocabSize: 333, logitsType: "float16", core: "half", every: 5 }),
  section({ vocabSize: 1003, logitsType: "float16", every: 7 }),
  section({ vocabSize: 601, logitsType: "bfloat16", every: 3 }),
  section({ vocabSize: 601, lead: 3, gap: 2, every: 6 }),
  section({ vocabSize: 599, logitsType: "float16", lead: 5, gap: 4, every: 6 }),
  // A row that needs a word of marks more if it begins late in a quad.
  section({ vocabSize: 1214, maxHistory: 60, lead: 3, gap: 3, core: "half", every: 3, further: 2 }),
  section({ vocabSize: 1002, staged: true, core: "half", every: 9, further: 2 }),
  // More kept than can be written down, with every parameter set.
  section({ vocabSize: 5003, names: ["flat", "equal"], staged: true, core: "half", further: 1 }),
  // So many groups that only some of them are written down at the start.
  section({ vocabSize: 20_003, names: ["flat", "peaked", "tiesAtCut"], staged: true, every: 3 }),
  section({ vocabSize: 203, told: true, logitsType: "float16", every: 6 }),
  section({ vocabSize: 1215, told: true, maxHistory: 40, lead: 3, gap: 3, core: "half", every: 9, further: 1 }),
  section({ vocabSize: 2403, told: true, staged: true, every: 8 }),
  section({
    vocabSize: 1210,
    told: true,
    staged: true,
    ownSets: { title: "what is kept", sets: NEW_WEIGHTS, told: KEPT_ALONE },
    every: 5,
  }),
  section({ vocabSize: 202, told: true, logitsType: "bfloat16", maxHistory: 30, lead: 1, every: 6 }),
  section({ vocabSize: 32_003, names: ["peaked", "flat", "tiesAtCut", "clustered", "equal", "rawBits"], every: 6 }),
  section({ vocabSize: 151_936, names: ["peaked", "flat", "tiesAtCut", "clustered"], every: 8 }),
  // A mark for two tokens, and many tokens of one logit.
  section({
    vocabSize: 100_003,
    names: ["flat", "clustered"],
    logitsType: "bfloat16",
    lead: 1,
    gap: 2,
    core: "half",
    ownSets: { title: "wide nuclei", sets: WIDE_NUCLEI },
  }),
  section({
    vocabSize: 17_003,
    names: ["flat", "clustered", "tiesAtCut"],
    maxHistory: 20,
    lead: 3,
    gap: 3,
    ownSets: { title: "wide nuclei", sets: WIDE_NUCLEI },
  }),
  ...edgeSections,
];

/** A row of a call as it reads in a message. */
export function describeRow(call: Call, row: number): string {
  const params = show(call.params[row]!);
  return `${call.name}, row ${row}, ${params.length > 300 ? `${params.slice(0, 300)}…` : params}`;
}
