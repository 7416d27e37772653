/**
 * A row's tokens so far: the prompt, then the output. A ring: when it is full, the oldest token makes room for the next.
 * The layout is that of the GPU's history (`shaders/lib/history.wgsl`), so that both forget alike.
 */
export interface RowHistory {
  /** The ring, `[capacity]`. */
  readonly ring: Uint32Array;
  /** Place of the oldest token in the ring. */
  first: number;
  /** Tokens in the ring. */
  length: number;
  /** How many of them are prompt; the others are output. */
  prompt: number;
  /** Tokens of output since the prompt was set, forgotten ones included. */
  outputs: number;
}

/** A row without tokens. */
export function emptyHistory(capacity: number): RowHistory {
  return { ring: new Uint32Array(capacity), first: 0, length: 0, prompt: 0, outputs: 0 };
}

/** The `index`-th token, counted from the oldest. */
export function tokenAt({ ring, first }: RowHistory, index: number): number {
  const place = first + index;
  return ring[place >= ring.length ? place - ring.length : place]!;
}

/** A row that has said nothing, for plans that do not look at its history. */
export const NO_HISTORY: RowHistory = emptyHistory(0);
