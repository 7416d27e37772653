/** What the bench asks of a peer. */
import type { ModeName } from "../cases.ts";

/** Logits that a peer puts where it wants them, before anything is timed. */
export interface Rows {
  readonly vocab: number;
  readonly batch: number;
  /** `[batch, vocab]` */
  readonly data: Float32Array<ArrayBuffer>;
}

/**
 * Makes `count` independent calls, as many of them in flight as the library allows, and waits until the tokens of all of
 * them are in JavaScript. The logits are on the GPU when it begins.
 *
 * @returns the tokens of each call, one a row
 */
export type Calls = (count: number) => Promise<ArrayLike<number | bigint>[]>;

/** A peer that has its logits. A mode that it cannot do is absent. */
export interface LoadedPeer {
  readonly modes: Partial<Record<ModeName, Calls>>;
  release(): void;
}

export interface Peer {
  /** As tables and charts call it. */
  readonly name: string;
  readonly version: string;
  /** How it is used here. */
  readonly how: string;
  load(rows: Rows): Promise<LoadedPeer>;
}

export const TEMPERATURE = 0.8;
export const TOP_K = 50;
export const TOP_P = 0.9;
export const MIN_P = 0.05;
