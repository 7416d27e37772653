import { inOrder } from "./cut.ts";
import type { RowMax } from "./max.ts";
import { GROUP_SIZE } from "./max.ts";

/** The tokens of a row in order, most probable first; written down from the top, as far as anybody has asked. */
export class OrderedRow {
  readonly #logits: Float32Array;
  readonly #row: RowMax;
  #tokens: Uint32Array = new Uint32Array(0);
  #all = false;
  /** Candidates of the row. */
  readonly count: number;

  constructor(logits: Float32Array, row: RowMax) {
    this.#logits = logits;
    this.#row = row;
    let count = 0;
    for (let id = 0; id < logits.length; id++) if (logits[id]! > -Infinity) count++;
    this.count = count;
  }

  /** At least the first `count` tokens, or all there are. */
  first(count: number): Uint32Array {
    if (count <= this.#tokens.length || this.#all) return this.#tokens;
    const { delegates } = this.#row;
    const wanted = Math.max(count, 4 * this.#tokens.length, 256);
    // The n-th largest delegate is a lower bound of the n-th largest token.
    const least = wanted < delegates.length / 2 ? delegates.slice().sort()[delegates.length - wanted]! : -Infinity;
    const ids: number[] = [];
    for (let group = 0; group < delegates.length; group++) {
      if (!(delegates[group]! >= least)) continue;
      const end = Math.min((group + 1) * GROUP_SIZE, this.#logits.length);
      for (let id = group * GROUP_SIZE; id < end; id++) {
        if (this.#logits[id]! >= least && this.#logits[id]! > -Infinity) ids.push(id);
      }
    }
    this.#tokens = inOrder(this.#logits, Uint32Array.from(ids));
    this.#all = this.#tokens.length === this.count;
    return this.#tokens;
  }
}
