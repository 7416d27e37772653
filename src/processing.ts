/**
 * What a user asks of a row's logits before they are ordered: bans, bias and penalties. Names, validation, and the
 * plan that both engines work with; see "Processed logits" in `docs/rules.md`.
 */
import { fail, flattened, isArrayOf, isRecord, known, numberOf, oneOf, show } from "./check.ts";
import { isGPUBuffer, refuseMapped } from "./engine.ts";
import { MAX_FLOAT, NO_TOKEN } from "./reference/numeric.ts";
import type { GPUBuffer } from "./webgpu-types.ts";

/** Token ids. */
export type TokenList = readonly number[] | Uint32Array | Int32Array;

/**
 * A bit for every token, bit `id % 32` of word `id / 32`: the layout of xgrammar and llguidance. An array has the
 * `ceil(vocabSize / 32)` words of one mask for all rows, or as many for every row of the call, one row after the other. A
 * GPU buffer begins with one mask for all rows; {@link TokenMaskLayout.rowStride} tells of more. It needs the usage
 * `COPY_SRC`.
 */
export type TokenMask = Uint32Array | Int32Array | GPUBuffer | TokenMaskLayout;

/** A mask inside something larger. */
export interface TokenMaskLayout {
  /** The words, in CPU memory. Either this or `buffer`. */
  readonly data?: Uint32Array | Int32Array;
  /** The words, in a buffer of the sampler's device with usage `COPY_SRC`. */
  readonly buffer?: GPUBuffer;
  /** Word where the mask begins. Default 0. */
  readonly offset?: number;
  /**
   * Words from one row's mask to the next one's, `ceil(vocabSize / 32)` or more. Left out, there is one mask for all rows.
   * Only in parameters for all rows: those of a single row have `offset`.
   */
  readonly rowStride?: number;
}

/** Settings of DRY ("don't repeat yourself"), with llama.cpp's names and defaults. */
export interface DryParams {
  /** Penalty of a repeat of `allowedLength` tokens; finite, at least 0. 0 is off. */
  readonly multiplier: number;
  /** The penalty grows by this factor with every further token; at least 1. Default 1.75. */
  readonly base?: number;
  /** Shorter repeats are free. Integer from 1 to 1024. Default 2. */
  readonly allowedLength?: number;
  /** Tokens that no repeat reaches across. Default none. */
  readonly sequenceBreakers?: TokenList;
  /** How many of the last tokens are searched for repeats; 0 is all. Default 0. */
  readonly window?: number;
}

/** The parameters that change logits before they are ordered. */
export interface ProcessingParams {
  /** Ids of tokens that may be drawn, as a mask with bit 1 = allowed. */
  readonly allowedTokens?: TokenMask;
  /** Ids of tokens that must not be drawn, as a mask with bit 1 = banned. */
  readonly bannedTokens?: TokenMask;
  /** Tokens that must not be drawn, as a list. */
  readonly suppressTokens?: TokenList;
  /** The only token that may be drawn, whatever its logit; bans still hold. */
  readonly forcedToken?: number;
  /** Tokens that must not be drawn before the row has `minTokens` tokens of output. */
  readonly stopTokens?: TokenList;
  /** How many tokens of output a row has at least; needs `stopTokens`, which may be an empty list. Integer, at least 0. Default 0. Needs the history. */
  readonly minTokens?: number;
  /** Sequences that must not appear: the last token of one is banned where the others have just been said. More than one token needs the history. */
  readonly badWords?: readonly TokenList[];
  /** Bans every token that would repeat a run of so many tokens. Integer, at least 0; 0 is off. Default 0. Needs the history. */
  readonly noRepeatNgramSize?: number;
  /** Added to logits: a map or an object from token id to a finite number. A large negative one is a number, not a ban. */
  readonly logitBias?: ReadonlyMap<number, number> | Readonly<Record<number, number>>;
  /**
   * Divides the positive logits of tokens of prompt and output, and multiplies the negative ones (CTRL, Keskar et al.
   * 2019). Finite, above 0; 1 is off. Default 1. Needs the history.
   */
  readonly repetitionPenalty?: number;
  /** Taken off for every time a token is in the output (OpenAI). Finite; 0 is off. Default 0. Needs the history. */
  readonly frequencyPenalty?: number;
  /** Taken off once if a token is in the output (OpenAI). Finite; 0 is off. Default 0. Needs the history. */
  readonly presencePenalty?: number;
  /**
   * `"repetition-first"` (vLLM, llama.cpp), or `"additive-first"`: frequency and presence before repetition (MLC, WebLLM,
   * SGLang). Default `"repetition-first"`.
   */
  readonly penaltyOrder?: "repetition-first" | "additive-first";
  /** How many of the last tokens the three penalties count (llama.cpp's `penalty_last_n`); 0 is all. Default 0. */
  readonly penaltyWindow?: number;
  /** Penalises tokens that would go on with a repeat (DRY, by p-e-w; as in llama.cpp). Needs the history. */
  readonly dry?: DryParams;
}

/** `window` of a plan that looks at the whole history. */
export const WHOLE_HISTORY = 0xffff_ffff;

/** Words of a mask. */
export interface MaskPlan {
  /** A copy of the row's words, or the buffer that holds them. */
  readonly source: Uint32Array | GPUBuffer;
  /** Word of the row's first bit. */
  readonly offset: number;
  /** Whether other rows of the call have other words. */
  readonly perRow: boolean;
}

/** DRY, with the penalty of every length worked out. */
export interface DryPlan {
  /** Shortest repeat that is penalised. */
  readonly allowedLength: number;
  /** Penalty of a repeat of `allowedLength` tokens, of one more, …; longer ones have the last. */
  readonly penalties: Float32Array;
  /** Tokens that no repeat reaches across. */
  readonly breakers: Uint32Array;
  /** How many of the last tokens are searched; {@link WHOLE_HISTORY} for all. */
  readonly window: number;
}

/** One row's processing. */
export interface ProcessPlan {
  /** Bit 1: may be drawn. */
  readonly allowed: MaskPlan | undefined;
  /** Bit 1: must not be drawn. */
  readonly banned: MaskPlan | undefined;
  /** Banned tokens. */
  readonly suppressed: Uint32Array;
  /** The only token; `NO_TOKEN` for any. */
  readonly forced: number;
  /** Tokens banned while the output is shorter than `minTokens`. */
  readonly stops: Uint32Array;
  /** Tokens of output that a row has at least. */
  readonly minTokens: number;
  /** Banned sequences, of two tokens or more. */
  readonly badWords: readonly Uint32Array[];
  /** Length of the runs that must not repeat; 0 for none. */
  readonly ngram: number;
  /** Tokens with a bias, ascending. */
  readonly biasIds: Uint32Array;
  /** Their biases. */
  readonly biases: Float32Array;
  /** Repetition penalty as float32; 1 is off. */
  readonly repetition: number;
  /** Frequency penalty as float32; 0 is off. */
  readonly frequency: number;
  /** Presence penalty as float32; 0 is off. */
  readonly presence: number;
  /** Whether frequency and presence come before repetition. */
  readonly additiveFirst: boolean;
  /** How many of the last tokens the three penalties look at; {@link WHOLE_HISTORY} for all. */
  readonly window: number;
  /** Penalties of repeats. */
  readonly dry: DryPlan | undefined;
  /** The first parameter that needs the history, if any does. */
  readonly history: keyof ProcessingParams | undefined;
}

/** Names of the parameters. */
export const PROCESSING_NAMES: readonly (keyof ProcessingParams)[] = [
  "allowedTokens",
  "bannedTokens",
  "suppressTokens",
  "forcedToken",
  "stopTokens",
  "minTokens",
  "badWords",
  "noRepeatNgramSize",
  "logitBias",
  "repetitionPenalty",
  "frequencyPenalty",
  "presencePenalty",
  "penaltyOrder",
  "penaltyWindow",
  "dry",
];
const DRY_NAMES: readonly string[] = ["multiplier", "base", "allowedLength", "sequenceBreakers", "window"];
const ORDERS = ["repetition-first", "additive-first"] as const;
const COPY_SRC = 4; // GPUBufferUsage.COPY_SRC
const NO_IDS = new Uint32Array(0);

/** Lengths of repeats that DRY tells apart beyond the allowed one. */
const MOST_DRY_LENGTHS = 1024;
/** Largest token history of a row: counts of tokens have 20 bits. */
export const MAX_HISTORY: number = 2 ** 20 - 1;

/**
 * Checks a row's processing and copies what it refers to.
 *
 * @param row the row's place in the call, and how many there are, for masks that hold all rows; left out, the parameters are
 * those of a single row
 * @returns undefined if nothing changes a logit
 */
export function planProcess(
  params: ProcessingParams,
  vocabSize: number,
  at: string,
  row?: { readonly index: number; readonly of: number },
): ProcessPlan | undefined {
  const allowed = maskOf(params.allowedTokens, vocabSize, `${at}.allowedTokens`, row);
  const banned = maskOf(params.bannedTokens, vocabSize, `${at}.bannedTokens`, row);
  const stops = idsOf(params.stopTokens, vocabSize, `${at}.stopTokens`);
  const minTokens = count(params.minTokens, `${at}.minTokens`);
  if (minTokens > 0 && params.stopTokens === undefined) {
    fail(`${at}.minTokens`, minTokens, "0 without stopTokens, the tokens that must not come before");
  }
  const words = badWordsOf(params.badWords, vocabSize, `${at}.badWords`);
  // Longer than any history, it bans nothing; how much longer does not matter, and sums of it must fit 32 bits.
  const ngram = Math.min(count(params.noRepeatNgramSize, `${at}.noRepeatNgramSize`), MAX_HISTORY + 1);
  const [biasIds, biases] = biasOf(params.logitBias, vocabSize, `${at}.logitBias`);
  const repetition = float(params.repetitionPenalty, 1, `${at}.repetitionPenalty`);
  if (!(repetition > 0))
    fail(`${at}.repetitionPenalty`, params.repetitionPenalty, "a number that is finite and above 0 as float32");
  const frequency = float(params.frequencyPenalty, 0, `${at}.frequencyPenalty`);
  const presence = float(params.presencePenalty, 0, `${at}.presencePenalty`);
  const order = oneOf(`${at}.penaltyOrder`, params.penaltyOrder, ORDERS);
  const window = count(params.penaltyWindow, `${at}.penaltyWindow`) || WHOLE_HISTORY;
  const dry = dryOf(params.dry, vocabSize, `${at}.dry`);
  const forced = params.forcedToken === undefined ? NO_TOKEN : idOf(params.forcedToken, vocabSize, `${at}.forcedToken`);
  const listed = Array.from(idsOf(params.suppressTokens, vocabSize, `${at}.suppressTokens`));
  const suppressed = Uint32Array.from(listed.concat(words.flatMap((word) => (word.length === 1 ? [word[0]!] : []))));
  const badWords = words.filter((word) => word.length > 1);
  const waits = minTokens > 0 && stops.length > 0;

  const needs: [keyof ProcessingParams, boolean][] = [
    ["minTokens", waits],
    ["badWords", badWords.length > 0],
    ["noRepeatNgramSize", ngram > 0],
    ["repetitionPenalty", repetition !== 1],
    ["frequencyPenalty", frequency !== 0],
    ["presencePenalty", presence !== 0],
    ["dry", dry !== undefined],
  ];
  const history = needs.find(([, needed]) => needed)?.[0];
  const changes = suppressed.length + biasIds.length > 0 || forced !== NO_TOKEN || history !== undefined;
  if (!changes && allowed === undefined && banned === undefined) return undefined;
  return {
    allowed,
    banned,
    suppressed,
    forced,
    stops: waits ? stops : NO_IDS,
    minTokens,
    badWords,
    ngram,
    biasIds,
    biases,
    repetition,
    frequency,
    presence,
    additiveFirst: order === "additive-first",
    window,
    dry,
    history,
  };
}

function maskOf(
  mask: TokenMask | undefined,
  vocabSize: number,
  at: string,
  row: { readonly index: number; readonly of: number } | undefined,
): MaskPlan | undefined {
  if (mask === undefined) return undefined;
  const bare = isGPUBuffer(mask) || ArrayBuffer.isView(mask);
  const layout: TokenMaskLayout = bare ? (isGPUBuffer(mask) ? { buffer: mask } : { data: mask }) : mask;
  if (!isRecord(layout)) {
    throw new TypeError(
      `${at}: expected a Uint32Array or an Int32Array with a bit for each token, or a GPUBuffer with such, got ${show(mask)}`,
    );
  }
  known(at, layout, ["data", "buffer", "offset", "rowStride"]);
  const { data, buffer } = layout;
  if ((data === undefined) === (buffer === undefined)) {
    const got = data === undefined ? "neither" : "both";
    throw new TypeError(`${at}: expected either data (an array) or buffer (a GPUBuffer), got ${got}`);
  }
  if (data !== undefined && !isArrayOf(data, "Uint32Array", "Int32Array")) {
    throw new TypeError(`${at}: expected a Uint32Array or an Int32Array, got ${show(data)}`);
  }
  if (buffer !== undefined) {
    if (!isGPUBuffer(buffer)) throw new TypeError(`${at}: expected a GPUBuffer, got ${show(buffer)}`);
    if ((buffer.usage & COPY_SRC) === 0) {
      throw new TypeError(`${at}: expected a buffer with usage COPY_SRC, got usage ${buffer.usage}`);
    }
    refuseMapped(at, buffer);
  }
  const offset = count(layout.offset, `${at}.offset`);
  const length = (data?.length ?? Math.floor(buffer!.size / 4)) - offset;
  const words = Math.ceil(vocabSize / 32);
  const { index, of } = row ?? { index: 0, of: 1 };
  // A whole array can be measured; a buffer may be larger than what lies in it.
  const measured = ArrayBuffer.isView(mask) && of > 1 && length === of * words;
  const stride = measured ? words : maskStride(layout.rowStride, words, at, row !== undefined);
  const needed = stride === undefined ? words : (of - 1) * stride + words;
  if (ArrayBuffer.isView(mask) ? length !== needed : length < needed) {
    const rows = of === 1 || !ArrayBuffer.isView(mask) ? "" : `, or ${words * of} for ${of} rows`;
    throw new RangeError(`${at}: expected ${needed} words for ${vocabSize} tokens${rows}, got ${Math.max(length, 0)}`);
  }
  const perRow = of > 1 && stride !== undefined;
  const start = offset + index * (stride ?? 0);
  if (data === undefined) return { source: buffer!, offset: start, perRow };
  return { source: Uint32Array.from(data.subarray(start, start + words)), offset: 0, perRow };
}

function maskStride(value: number | undefined, words: number, at: string, forAll: boolean): number | undefined {
  if (value === undefined) return undefined;
  if (!forAll) {
    throw new TypeError(`${at}.rowStride: expected none in the parameters of a single row`);
  }
  const stride = count(value, `${at}.rowStride`);
  if (stride < words) fail(`${at}.rowStride`, value, `an integer, ${words} or more`);
  return stride;
}

function biasOf(
  bias: ProcessingParams["logitBias"],
  vocabSize: number,
  at: string,
): [ids: Uint32Array, values: Float32Array] {
  if (bias === undefined) return [NO_IDS, new Float32Array(0)];
  const known = biasEntries(bias, at).map(([id, value]): [number, number] => {
    const number = idOf(id as number, vocabSize, at);
    if (value === undefined) throw new TypeError(`${at}[${number}]: expected a number, got undefined`);
    return [number, float(value, 0, `${at}[${number}]`)];
  });
  // Adding zero changes nothing.
  const sorted = known.filter(([, value]) => value !== 0).sort(([a], [b]) => a - b);
  return [Uint32Array.from(sorted, ([id]) => id), Float32Array.from(sorted, ([, value]) => value)];
}

/** What a map or an object has, with the names of the latter as numbers where they are written as numbers are. */
function biasEntries(bias: NonNullable<ProcessingParams["logitBias"]>, at: string): (readonly [unknown, number])[] {
  if (typeof bias === "object" && bias !== null) {
    // Not `instanceof`: maps of other realms, and of libraries, are maps, too.
    const map = bias as Partial<ReadonlyMap<number, number>>;
    if (typeof map.get === "function" && typeof map.entries === "function") return [...map.entries()];
    const parent: unknown = Object.getPrototypeOf(bias);
    if (parent === null || Object.getPrototypeOf(parent) === null) {
      const entries = Object.entries(flattened(bias as Readonly<Record<string, number>>, []));
      return entries.map(([name, value]) => [String(Number(name)) === name ? Number(name) : name, value]);
    }
  }
  throw new TypeError(`${at}: expected a Map or a plain object from token id to number, got ${show(bias)}`);
}

function badWordsOf(words: ProcessingParams["badWords"], vocabSize: number, at: string): Uint32Array[] {
  if (words === undefined) return [];
  if (!Array.isArray(words)) throw new TypeError(`${at}: expected an array of token sequences, got ${show(words)}`);
  return Array.from(words as readonly TokenList[], (word, index) => {
    const ids = idsOf(word, vocabSize, `${at}[${index}]`);
    if (ids.length === 0) throw new RangeError(`${at}[${index}]: expected at least one token, got none`);
    return ids;
  });
}

/** Penalties by iterated multiplication in float32, which is the same everywhere; a power is not. */
function dryOf(dry: DryParams | undefined, vocabSize: number, at: string): DryPlan | undefined {
  if (dry === undefined) return undefined;
  known(at, dry, DRY_NAMES);
  if (dry.multiplier === undefined) throw new TypeError(`${at}.multiplier: expected a number, got undefined`);
  const multiplier = float(dry.multiplier, 0, `${at}.multiplier`);
  if (multiplier < 0) fail(`${at}.multiplier`, dry.multiplier, "a finite number, 0 or more");
  const base = float(dry.base, 1.75, `${at}.base`);
  if (base < 1) fail(`${at}.base`, dry.base, "a finite number, 1 or more");
  const allowedLength = numberOf(dry.allowedLength, 2, `${at}.allowedLength`);
  if (!(Number.isInteger(allowedLength) && allowedLength >= 1 && allowedLength <= 1024)) {
    fail(`${at}.allowedLength`, allowedLength, "an integer from 1 to 1024");
  }
  const breakers = idsOf(dry.sequenceBreakers, vocabSize, `${at}.sequenceBreakers`).sort();
  const window = count(dry.window, `${at}.window`) || WHOLE_HISTORY;
  if (multiplier === 0) return undefined;
  const penalties = [multiplier];
  while (penalties.length < MOST_DRY_LENGTHS - 1) {
    const last = penalties.at(-1)!;
    const next = Math.min(Math.fround(last * base), MAX_FLOAT);
    if (next === last) break;
    penalties.push(next);
  }
  return { allowedLength, penalties: Float32Array.from(penalties), breakers, window };
}

/** A number as float32. */
function float(value: number | undefined, fallback: number, at: string): number {
  const rounded = Math.fround(numberOf(value, fallback, at));
  if (!Number.isFinite(rounded)) fail(at, value, "a number that is finite as float32");
  return rounded;
}

function count(value: number | undefined, at: string): number {
  const number = numberOf(value, 0, at);
  if (!(Number.isInteger(number) && number >= 0 && number < 2 ** 32 - 1))
    fail(at, value, `an integer from 0 to ${2 ** 32 - 2}`);
  return number;
}

function idOf(id: number, vocabSize: number, at: string): number {
  if (typeof id !== "number") throw new TypeError(`${at}: expected token ids, got ${show(id)}`);
  if (!(Number.isInteger(id) && id >= 0 && id < vocabSize)) fail(at, id, `token ids from 0 to ${vocabSize - 1}`);
  return id;
}

/** Checks a list of token ids and copies it. */
export function idsOf(list: TokenList | undefined, vocabSize: number, at: string): Uint32Array {
  if (list === undefined) return NO_IDS;
  if (!Array.isArray(list) && !isArrayOf(list, "Uint32Array", "Int32Array")) {
    throw new TypeError(`${at}: expected an array of token ids, got ${show(list)}`);
  }
  return Uint32Array.from(list as readonly number[], (id) => idOf(id, vocabSize, at));
}
