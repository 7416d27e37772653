/** Places that calls take in turn, for what the GPU reads when their commands run. */

/** How many calls of different contents may wait in encoders that are not submitted yet. */
export const WAITING_CALLS = 16;
/** How many calls of the sampler's own keep a place, so that those with the same contents write nothing. */
export const OWN_CALLS = 4;

/** Who has used which slot, and when. */
export class SlotUses {
  readonly #last: number[] = [];
  readonly #used = new WeakMap<GPUCommandEncoder, Set<number>>();
  #clock = 0;

  /** The slots of an encoder: what it finds there has to stay until it is submitted. */
  of(encoder: GPUCommandEncoder): ReadonlySet<number> | undefined {
    return this.#used.get(encoder);
  }

  /** An encoder uses a slot, whether anything is written there or not. */
  use(encoder: GPUCommandEncoder, slot: number): void {
    let used = this.#used.get(encoder);
    if (used === undefined) this.#used.set(encoder, (used = new Set()));
    used.add(slot);
    this.#last[slot] = ++this.#clock;
  }

  /**
   * The slot that was not used for the longest time: with `count` of them, what the last `count` uses of different ones have
   * found there stays.
   *
   * @returns one that `encoder` does not use, or `count` if it uses them all
   */
  oldest(encoder: GPUCommandEncoder, count: number): number {
    const used = this.#used.get(encoder);
    let oldest = count;
    let time = Infinity;
    for (let slot = 0; slot < count; slot++) {
      const last = this.#last[slot] ?? 0;
      if (last < time && used?.has(slot) !== true) [oldest, time] = [slot, last];
    }
    return oldest;
  }
}

/** Whether two arrays hold the same words. A plain loop: many slots may differ from what is put down only at the end. */
export function sameWords(a: Uint32Array | undefined, b: Uint32Array): boolean {
  if (a?.length !== b.length) return false;
  for (let index = 0; index < b.length; index++) if (a[index] !== b[index]) return false;
  return true;
}
