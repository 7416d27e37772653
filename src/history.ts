import { encoderOf, rowOf, rowPairs } from "./check.ts";
import type { EngineHistory } from "./engine.ts";
import { idsOf, type TokenList } from "./processing.ts";
import type { GPUCommandEncoder } from "./webgpu-types.ts";

/** What a row has said. */
export interface HistoryTokens {
  /** Oldest first; what the history has forgotten is missing. */
  readonly prompt: Uint32Array;
  /** Oldest first. */
  readonly output: Uint32Array;
}

/**
 * The tokens of the rows so far, for the parameters that look back. It lies where the engine is, on the GPU. `sample`
 * and `encode` append the tokens that they draw; the prompt has to be told.
 *
 * A row's history is that of its place in the batch, as its position is. Operations take effect in the order of the
 * queue: after what was submitted before them, and before a command buffer that is submitted later, even if it was
 * recorded earlier. Those that take an `encoder` are recorded into it instead.
 *
 * A row holds the last `maxHistory` tokens. When it is full, a drawn token pushes the oldest one out, of the prompt first.
 */
export class TokenHistory {
  readonly #engine: EngineHistory;
  readonly #vocabSize: number;
  readonly #rows: number;
  readonly #capacity: number;
  readonly #alive: () => void;

  /** @internal */
  constructor(engine: EngineHistory, vocabSize: number, rows: number, capacity: number, alive: () => void) {
    this.#engine = engine;
    this.#vocabSize = vocabSize;
    this.#rows = rows;
    this.#capacity = capacity;
    this.#alive = alive;
  }

  /**
   * Gives a row its prompt, and forgets what it had.
   *
   * @param output what the row has said since, if it goes on with a text
   * @throws RangeError for more tokens than `maxHistory`
   */
  set(row: number, prompt: TokenList, output: TokenList = []): void {
    this.#ready();
    this.#row("row", row);
    const [before, after] = [this.#ids("prompt", prompt), this.#ids("output", output)];
    this.#fits("prompt and output", before.length + after.length);
    this.#engine.set(row, before, after);
  }

  /**
   * Appends tokens to a row's output: those that were not drawn here. (The prompt given this way counts as output, which
   * is what llama.cpp's penalties do.)
   *
   * @throws RangeError for more tokens than `maxHistory`
   */
  append(row: number, tokens: TokenList): void {
    this.#ready();
    this.#row("row", row);
    const ids = this.#ids("tokens", tokens);
    this.#fits("tokens", ids.length);
    if (ids.length > 0) this.#engine.append(row, ids);
  }

  /** Forgets what a row has said; without a row, what all rows have said. */
  reset(row?: number, encoder?: GPUCommandEncoder): void {
    this.#ready(encoder);
    if (row !== undefined) this.#row("row", row);
    const all = Array.from({ length: this.#rows }, (_, index) => index);
    this.#engine.reset(row === undefined ? all : [row], encoder);
  }

  /** Gives row `to` what row `from` has said: a beam that forks. */
  copy(from: number, to: number, encoder?: GPUCommandEncoder): void {
    this.#ready(encoder);
    this.#row("from", from);
    this.#row("to", to);
    if (from !== to) this.#engine.copy([[from, to]], encoder);
  }

  /** Gives row `to` what row `from` has said, and leaves row `from` empty. */
  move(from: number, to: number, encoder?: GPUCommandEncoder): void {
    this.#ready(encoder);
    this.#row("from", from);
    this.#row("to", to);
    if (from !== to) this.#engine.copy([[from, to]], encoder, [from]);
  }

  /**
   * Rearranges rows in one go: row `i` becomes what row `sources[i]` was, as after a step of beam search. Rows beyond
   * the array stay as they are.
   */
  reorder(sources: readonly number[] | Uint32Array | Int32Array, encoder?: GPUCommandEncoder): void {
    this.#ready(encoder);
    const pairs = rowPairs("sources", sources, this.#rows);
    if (pairs.length > 0) this.#engine.copy(pairs, encoder);
  }

  /** Reads a row back: for tests and for saving a text. The only operation that waits for the GPU. */
  async read(row: number): Promise<HistoryTokens> {
    this.#ready();
    this.#row("row", row);
    return this.#engine.read(row);
  }

  #ready(encoder?: GPUCommandEncoder): void {
    this.#alive();
    if (this.#capacity === 0) {
      throw new Error(
        "history: this sampler keeps none; make it with maxHistory, the tokens that a row's history holds",
      );
    }
    encoderOf(encoder);
  }

  #row(name: string, row: number): void {
    rowOf(name, row, this.#rows);
  }

  #ids(name: string, tokens: TokenList): Uint32Array {
    if (tokens === undefined) throw new TypeError(`${name}: expected an array of token ids, got undefined`);
    return idsOf(tokens, this.#vocabSize, name);
  }

  #fits(name: string, count: number): void {
    if (count > this.#capacity) {
      throw new RangeError(`${name}: expected at most ${this.#capacity} tokens (maxHistory), got ${count}`);
    }
  }
}
