/** Logits of the shape that a language model gives, for any size of vocabulary: a wide normal base and a few peaks. */

const PEAKS = 24;
/** Every row starts somewhere else in the pool, so that filling a batch is a copy and not the longest part of a step. */
const STARTS = 1 << 16;

export class SyntheticLogits {
  readonly #vocabSize: number;
  readonly #pool: Float32Array;
  readonly #random: () => number;

  constructor(vocabSize: number, seed: bigint) {
    this.#vocabSize = vocabSize;
    this.#random = generator(Number(seed & 0xffff_ffffn));
    this.#pool = new Float32Array(vocabSize + STARTS);
    for (let index = 0; index < this.#pool.length; index++) this.#pool[index] = this.#normal();
  }

  /** Fills `[rows, vocabSize]` with the next step. */
  fill(logits: Float32Array): void {
    for (let row = 0; row < logits.length; row += this.#vocabSize) {
      const start = this.#below(STARTS);
      logits.set(this.#pool.subarray(start, start + this.#vocabSize), row);
      for (let peak = 0; peak < PEAKS; peak++) logits[row + this.#below(this.#vocabSize)] = 6 + 8 * this.#random();
    }
  }

  #below(end: number): number {
    return Math.floor(this.#random() * end);
  }

  #normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.#random()));
    return 2 * radius * Math.cos(2 * Math.PI * this.#random());
  }
}

/** A small generator (mulberry32) for inputs; the sampler has its own. */
function generator(state: number): () => number {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
