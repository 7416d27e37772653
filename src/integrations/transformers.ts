/**
 * A logits processor for `generate()` of transformers.js: its `temperature`, `top_k`, `top_p`, `min_p` and `seed` then
 * really apply, row by row, with the tokens that this package promises.
 *
 * `generate()` hands its processors logits in CPU memory and takes what they return at once, so this is the CPU engine.
 *
 * @module
 */
import { isArrayOf, known, show } from "../check.ts";
import { PARAM_NAMES, type SamplingParams } from "../params.ts";
import { type Row, RowSampler } from "./keep-sampled.ts";

type SnakeCase<Name extends string> = Name extends `${infer Letter}${infer Rest}`
  ? `${Letter extends Lowercase<Letter> ? Letter : `_${Lowercase<Letter>}`}${SnakeCase<Rest>}`
  : "";

/** The sampling parameters, spelt as `generate()` spells them: `temperature`, `top_k`, `top_p`, `min_p`, `seed`, … */
export type SamplingSettings = { readonly [Name in keyof SamplingParams as SnakeCase<Name>]: SamplingParams[Name] };

/** The part of a transformers.js tensor that a processor touches. */
export interface LogitsTensor {
  /** `[rows, vocabulary]` */
  readonly dims: readonly number[];
  /** A `Float32Array`, which is written. */
  readonly data: unknown;
}

/** What `generate()` calls in every step, like its own processors: a function that also has itself as `_call`. */
export interface LogitsProcessor {
  /** Samples a token for each row, and leaves nothing else in `logits`. */
  <T extends LogitsTensor>(inputIds: readonly (readonly bigint[])[], logits: T): T;
  /** The function itself. */
  _call<T extends LogitsTensor>(inputIds: readonly (readonly bigint[])[], logits: T): T;
}

/** How {@link logitsProcessor} reads a batch. */
export interface LogitsProcessorOptions {
  /** The id that fills up shorter rows of a batch on the left. Given, a row's text does not depend on how much of it there is. */
  readonly padTokenId?: number;
}

/**
 * Makes a processor for `generate({ …, logits_processor, do_sample: false })`, to be pushed into a `LogitsProcessorList`.
 *
 * It leaves only the token that it sampled, with the logit 0 and all others at -inf, so whatever samples afterwards returns that
 * token. The position in the random stream is the number of tokens that the row has: the same prompt and seed give the
 * same text, and a text that is handed in again as a prompt goes on as if it had never stopped.
 *
 * One processor writes one batch at a time: what looks back at the row's text, and Mirostat, begin anew with every text that
 * does not go on from the last step's.
 *
 * @param settings one object for all rows, or one per row of the batch; read anew in every step
 * @throws TypeError or RangeError for bad options, at once; (from `generate()`) TypeError or RangeError for bad settings, Error for a row without any candidate
 */
export function logitsProcessor(
  settings: SamplingSettings | readonly SamplingSettings[] = {},
  options: LogitsProcessorOptions = {},
): LogitsProcessor {
  known("options", options, ["padTokenId"]);
  const { padTokenId } = options;
  if (padTokenId !== undefined && !(Number.isSafeInteger(padTokenId) && padTokenId >= 0)) {
    throw new RangeError(`padTokenId: expected a token id, got ${show(padTokenId)}`);
  }
  const pad = padTokenId === undefined ? undefined : BigInt(padTokenId);
  // Read anew in every step, since masks change; at first, so that a wrong name is refused at once.
  const read = (): SamplingParams | SamplingParams[] =>
    Array.isArray(settings)
      ? settings.map((row: SamplingSettings, index) => paramsOf(row, `settings[${index}]`))
      : paramsOf(settings as SamplingSettings, "settings");
  read();
  const sampler = new RowSampler(-Infinity);
  /** Tokens of each row when its text began, and the rows of the last step: copies, since the caller's may go on growing. */
  let prompts: readonly number[] = [];
  let texts: readonly (readonly bigint[])[] = [];
  const process = <T extends LogitsTensor>(inputIds: readonly (readonly bigint[])[], logits: T): T => {
    const { dims } = logits;
    const data = logits.data as Float32Array;
    if (!isArrayOf(data, "Float32Array")) throw new TypeError(`logits: expected a float32 tensor, got ${show(data)}`);
    const vocabSize = dims.at(-1)!;
    if (data.length !== inputIds.length * vocabSize) {
      throw new RangeError(
        `logits: expected [${inputIds.length}, ${vocabSize}], one row for each of input_ids, got ${data.length} logits`,
      );
    }
    const goesOn = inputIds.length === texts.length && inputIds.every((ids, row) => isNext(ids, texts[row]!));
    if (!goesOn) {
      prompts = inputIds.map((ids) => ids.length);
      sampler.restart();
    }
    texts = inputIds.map((ids) => ids.slice());
    const rows = inputIds.map((ids, row): Row => {
      const first = pad === undefined ? 0 : ids.findIndex((id) => id !== pad);
      const padding = first === -1 ? ids.length : first;
      return {
        logits: data.subarray(row * vocabSize, (row + 1) * vocabSize),
        position: ids.length - padding,
        tokens: () => Uint32Array.from(ids.slice(padding), Number),
        prompt: prompts[row]! - padding,
      };
    });
    sampler.keepSampled(rows, read());
    return logits;
  };
  return Object.assign(process, { _call: process });
}

/** Whether a text is another one and a token more. */
function isNext(text: readonly bigint[], last: readonly bigint[]): boolean {
  return text.length === last.length + 1 && last.every((id, at) => id === text[at]);
}

/** Parameters by the names of their settings: `top_k` is `topK`. */
const PARAM_OF = new Map(
  PARAM_NAMES.map((name) => [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), name]),
);

const SETTING_NAMES = [...PARAM_OF.keys()];

/** @throws TypeError for what is no object, and for names that no setting has */
function paramsOf(settings: SamplingSettings, at: string): SamplingParams {
  const read = Object.entries(known(at, settings, SETTING_NAMES));
  return Object.fromEntries(read.map(([name, value]) => [PARAM_OF.get(name)!, value]));
}
