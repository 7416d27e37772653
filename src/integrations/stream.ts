/**
 * Tokens as an async iterator: whatever runs a model and a sampler step by step becomes a stream with stop tokens, an
 * `AbortSignal`, a callback per step, and tokens that are fetched from the GPU once in several steps.
 *
 * @module
 */
import { known, positive, show } from "../check.ts";
import { NO_TOKEN } from "../reference/numeric.ts";
import type { AbortSignal } from "../webgpu-types.ts";
import { STREAM_OPTIONS } from "./stream-options.ts";

/** What a stream draws from: a model, a sampler, and the memory between them. */
export interface TokenSource {
  /** Texts that grow together. */
  readonly rows: number;
  /**
   * Runs one step: model and sampler. Steps are asked for in order, from 0, and never two at a time. The tokens may stay
   * where they are; resolving means only that the next step may be asked for.
   */
  step(index: number): void | Promise<void>;
  /**
   * The tokens of `count` steps from `first` on, `[count, rows]`. The steps have all been asked for, and each is fetched once, in
   * order.
   */
  fetch(first: number, count: number): Uint32Array | Promise<Uint32Array>;
  /** Frees everything. Called once, after the last step has settled. */
  close(): void | Promise<void>;
}

/** Why a row has ended: a stop token, the most tokens allowed, or no candidate left to sample. */
export type FinishReason = "stop" | "length" | "empty";

/** The tokens of one step. */
export interface TokenStep {
  /** From 0. */
  readonly step: number;
  /** One token per row; `NO_TOKEN` for a row that has ended, at its stop token already. At least one row has a token. `[rows]` */
  readonly tokens: Uint32Array;
  /** Why each row has ended, as far as it has; `"length"` comes with the last token. `[rows]` */
  readonly finished: readonly (FinishReason | undefined)[];
}

/** How long a stream is, and how it is delivered. */
export interface StreamOptions {
  /** Tokens per row at most, 1 or more. */
  readonly maxTokens: number;
  /** Tokens that end their row. They are not delivered. Default: none. */
  readonly stopTokens?: Iterable<number>;
  /**
   * Steps that run before their tokens are fetched, 1 or more. More means fewer round trips, later delivery, and up to
   * `fetchEvery - 1` steps in vain after a stop token. Default 1.
   */
  readonly fetchEvery?: number;
  /** Ends the stream: `next()` rejects with the signal's reason once the step under way has settled. */
  readonly signal?: AbortSignal;
  /** Called with every step before it is delivered; a promise is waited for. What it throws, or rejects with, ends the stream. */
  readonly onStep?: (step: TokenStep) => unknown;
}

/**
 * Streams tokens: `for await (const { tokens } of streamTokens(open, { maxTokens: 100 })) …`
 *
 * Nothing runs before the first step is asked for, and never more than `fetchEvery` steps run ahead of what has been
 * taken. The stream ends when every row has ended. Whichever way it ends (the last token, `break`, `return()`, `throw()`,
 * an aborted signal, an error), the source is closed before the promise settles. What it returns at the end is why each
 * row has ended.
 *
 * @param open makes the source; called when the first step is asked for, so that a stream nobody reads holds nothing
 * @throws TypeError or RangeError for bad options, at once; later, as rejections, whatever source or callback throw
 */
export function streamTokens(
  open: () => TokenSource | Promise<TokenSource>,
  options: StreamOptions,
): AsyncGenerator<TokenStep, readonly FinishReason[], undefined> {
  if (typeof open !== "function") throw new TypeError(`open: expected a function, got ${show(open)}`);
  return run(open, checked(options));
}

interface Checked {
  readonly maxTokens: number;
  readonly fetchEvery: number;
  readonly stopTokens: ReadonlySet<number>;
  readonly signal: AbortSignal | undefined;
  readonly onStep: ((step: TokenStep) => unknown) | undefined;
}

function checked(options: StreamOptions): Checked {
  known("options", options, STREAM_OPTIONS);
  const { maxTokens, fetchEvery = 1, stopTokens = [], signal, onStep } = options;
  positive("maxTokens", maxTokens);
  positive("fetchEvery", fetchEvery);
  if (typeof (stopTokens as Partial<Iterable<number>> | null)?.[Symbol.iterator] !== "function") {
    throw new TypeError(`stopTokens: expected token ids, got ${show(stopTokens)}`);
  }
  const stops = new Set(stopTokens);
  for (const id of stops) {
    if (!Number.isInteger(id) || id < 0) throw new TypeError(`stopTokens: expected token ids, got ${show(id)}`);
  }
  if (signal !== undefined && typeof (signal as Partial<AbortSignal> | null)?.throwIfAborted !== "function") {
    throw new TypeError(`signal: expected an AbortSignal, got ${show(signal)}`);
  }
  if (onStep !== undefined && typeof onStep !== "function") {
    throw new TypeError(`onStep: expected a function, got ${show(onStep)}`);
  }
  return { maxTokens, fetchEvery, stopTokens: stops, signal, onStep };
}

async function* run(
  open: () => TokenSource | Promise<TokenSource>,
  { maxTokens, fetchEvery, stopTokens, signal, onStep }: Checked,
): AsyncGenerator<TokenStep, readonly FinishReason[], undefined> {
  signal?.throwIfAborted();
  const source = await open();
  try {
    const { rows } = source;
    let finished: readonly (FinishReason | undefined)[] = new Array<undefined>(rows).fill(undefined);
    // The step with the last token ends every row.
    for (let first = 0; ; first += fetchEvery) {
      const count = Math.min(fetchEvery, maxTokens - first);
      for (let ahead = 0; ahead < count; ahead++) {
        signal?.throwIfAborted();
        await source.step(first + ahead);
      }
      signal?.throwIfAborted();
      const fetched = await source.fetch(first, count);
      for (let ahead = 0; ahead < count; ahead++) {
        signal?.throwIfAborted();
        const step = first + ahead;
        const tokens = fetched.slice(ahead * rows, (ahead + 1) * rows);
        const before = finished;
        finished = before.map((reason, row) => {
          if (reason === undefined && tokens[row] === NO_TOKEN) reason = "empty";
          if (reason === undefined && stopTokens.has(tokens[row]!)) reason = "stop";
          if (reason !== undefined) tokens[row] = NO_TOKEN;
          return reason ?? (step === maxTokens - 1 ? "length" : undefined);
        });
        const done = finished.every((reason) => reason !== undefined);
        if (tokens.some((token) => token !== NO_TOKEN)) {
          const delivered: TokenStep = { step, tokens, finished };
          await onStep?.(delivered);
          yield delivered;
        }
        if (done) return finished as readonly FinishReason[];
      }
    }
  } finally {
    await source.close();
  }
}
