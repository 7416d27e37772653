import { encoderOf, rowOf, rowPairs } from "./check.ts";
import type { EngineState } from "./engine.ts";
import type { GPUCommandEncoder } from "./webgpu-types.ts";

/** What the stages with a memory know of a row. */
export interface StageState {
  /** How far Mirostat's limit is above twice its target, in bits; 0 before the first token. */
  readonly mirostat: number;
  /** Average probability of the tokens that adaptive-p has drawn; `undefined` before the first. */
  readonly adaptiveP: number | undefined;
}

/**
 * What Mirostat and adaptive-p have learned from the tokens of each row. It lies where the engine is, on the GPU, and changes
 * with every token that is drawn there with them. A row's state is that of its place in the batch, like its history and its
 * position, and apart from both.
 *
 * Operations take effect in the order of the queue, as those of `sampler.history` do; with an `encoder` they are recorded
 * into it instead.
 */
export class SamplerState {
  readonly #engine: EngineState;
  readonly #rows: number;
  readonly #alive: () => void;

  /** @internal */
  constructor(engine: EngineState, rows: number, alive: () => void) {
    this.#engine = engine;
    this.#rows = rows;
    this.#alive = alive;
  }

  /** Forgets what is known of a row, for a new text; without a row, of all rows. */
  reset(row?: number, encoder?: GPUCommandEncoder): void {
    this.#ready(encoder);
    const all = Array.from({ length: this.#rows }, (_, index) => index);
    this.#engine.reset(row === undefined ? all : [rowOf("row", row, this.#rows)], encoder);
  }

  /** Gives row `to` what is known of row `from`: a beam that forks. */
  copy(from: number, to: number, encoder?: GPUCommandEncoder): void {
    this.#ready(encoder);
    const pair = [rowOf("from", from, this.#rows), rowOf("to", to, this.#rows)] as const;
    if (from !== to) this.#engine.copy([pair], encoder);
  }

  /** Rearranges rows in one go: row `i` becomes what row `sources[i]` was. Rows beyond the array stay as they are. */
  reorder(sources: readonly number[] | Uint32Array | Int32Array, encoder?: GPUCommandEncoder): void {
    this.#ready(encoder);
    const pairs = rowPairs("sources", sources, this.#rows);
    if (pairs.length > 0) this.#engine.copy(pairs, encoder);
  }

  /** Reads a row back. The only operation that waits for the GPU. */
  async read(row: number): Promise<StageState> {
    this.#ready();
    const { mirostat, adaptiveSum, adaptiveTotal } = await this.#engine.read(rowOf("row", row, this.#rows));
    return { mirostat: mirostat * 2 ** -20, adaptiveP: adaptiveTotal === 0 ? undefined : adaptiveSum / adaptiveTotal };
  }

  #ready(encoder?: GPUCommandEncoder): void {
    this.#alive();
    encoderOf(encoder);
  }
}
