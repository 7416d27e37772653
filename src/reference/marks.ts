/**
 * What `count` leaves for `process`, and what both leave for `clear`: two bits for every token, and a word that is only
 * looked at where the first bit is set. All zero between rows.
 */
export interface Marks {
  /** Whether the token's logit may change. `[ceil(vocabSize / 32)]` */
  readonly touched: Uint32Array;
  /** Whether the token must not be drawn. `[ceil(vocabSize / 32)]` */
  readonly banned: Uint32Array;
  /**
   * What the history says of the token: 20 bits count its appearances in the output, the next one says whether it was
   * seen at all, and 11 bits hold the length of the longest repeat that it would go on with. `[vocabSize]`
   */
  readonly words: Uint32Array;
}

/** The bit of a token's word that says whether it was seen. */
export const SEEN: number = 2 ** 20;
/** Where the length of the longest repeat begins. */
export const REPEAT_SHIFT = 21;

export const countOf = (word: number): number => word & (SEEN - 1);
export const isSeen = (word: number): boolean => (word & SEEN) !== 0;
export const repeatOf = (word: number): number => word >>> REPEAT_SHIFT;

/** Marks of a row in which nothing is marked yet. */
export function newMarks(vocabSize: number): Marks {
  const words = Math.ceil(vocabSize / 32);
  return {
    touched: new Uint32Array(words),
    banned: new Uint32Array(words),
    words: new Uint32Array(vocabSize),
  };
}

export function setBit(mask: Uint32Array, id: number): void {
  mask[id >>> 5]! |= 1 << (id & 31);
}

export function hasBit(mask: Uint32Array, id: number): boolean {
  return (mask[id >>> 5]! & (1 << (id & 31))) !== 0;
}
