/** Places for what the GPU reads when the commands of calls run, and when they may be used again. */

/** A call in an encoder that waits keeps its place until so many with other contents were recorded into others. */
export const WAITING_CALLS = 16;
/** How many calls of the sampler's own keep a place, so that those with the same contents write nothing. */
export const OWN_CALLS = 4;

/** A place. */
export interface Slot {
  /** What it holds; undefined: nothing. */
  words: Uint32Array | undefined;
  /** How many calls had put something down before the last call of an encoder that uses it. */
  lastUse: number;
}

/** What a slot has that nobody has used: it may be from the first call on. */
export const UNUSED: Slot = { words: undefined, lastUse: -WAITING_CALLS };

/**
 * Which slots are in use, by one call after the other. An encoder is submitted as a whole, and nobody knows when: what the first
 * of its calls finds has to stay as long as what the last one does.
 */
export class SlotUses {
  readonly #stay: number;
  readonly #used = new WeakMap<GPUCommandEncoder, Set<Slot>>();
  #mine: Set<Slot> = new Set();
  /** Calls that have put something down: so far, and before the present one. */
  #calls = 0;
  #before = 0;

  /** @param stay calls that put something down for others before a slot may be used again */
  constructor(stay: number) {
    this.#stay = stay;
  }

  /** A call of this encoder begins. What is asked and done from now on is for that one. */
  begin(encoder: GPUCommandEncoder): void {
    let used = this.#used.get(encoder);
    if (used === undefined) this.#used.set(encoder, (used = new Set()));
    // Nobody takes a slot from the encoder while there are only calls of its own.
    if (used !== this.#mine) for (const slot of this.#mine) slot.lastUse = this.#before;
    this.#mine = used;
    this.#before = this.#calls;
  }

  /** Whether the encoder uses a slot. */
  has(slot: Slot): boolean {
    return this.#mine.has(slot);
  }

  /** The encoder uses a slot as it is. */
  use(slot: Slot): void {
    slot.lastUse = this.#before;
    this.#mine.add(slot);
  }

  /** The encoder uses a slot, where these words are put down. */
  put(slot: Slot, words: Uint32Array): void {
    slot.words = words;
    this.#calls = this.#before + 1;
    this.use(slot);
  }

  /** Those that may be used again; what was not used for the longest time comes first. */
  free<T extends Slot>(slots: readonly T[]): T[] {
    const free = slots.filter((slot) => this.#before - slot.lastUse >= this.#stay && !this.#mine.has(slot));
    return free.sort((a, b) => a.lastUse - b.lastUse);
  }
}

/** Whether two arrays hold the same words. A plain loop: many slots may differ from what is put down only at the end. */
export function sameWords(a: Uint32Array | undefined, b: Uint32Array): boolean {
  if (a?.length !== b.length) return false;
  for (let index = 0; index < b.length; index++) if (a[index] !== b[index]) return false;
  return true;
}
