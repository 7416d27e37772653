/** What training and export of the network share. */

export interface Shape {
  readonly vocabSize: number;
  /** Width of the residual stream. */
  readonly width: number;
  readonly heads: number;
  readonly layers: number;
}

export interface Weights {
  readonly [name: string]: { readonly shape: readonly number[]; readonly data: Float32Array };
}

/** Factor of a head's penalty per token of distance. */
export function slope(head: number, heads: number): number {
  return 2 ** ((-8 * (head + 1)) / heads);
}
