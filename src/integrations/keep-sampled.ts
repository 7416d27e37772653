import { planRow, type RowPlan, type SamplingParams } from "../params.ts";
import { sampleRow } from "../reference/draw.ts";
import { rowSeeds } from "../reference/philox.ts";

/** Samples rows on the CPU at once, and leaves in each nothing but the token: whatever samples afterwards must take it. */
export class RowSampler {
  readonly #params: (row: number) => SamplingParams;
  readonly #plans: RowPlan[] = [];
  readonly #seedOf: (row: number) => bigint;
  readonly #masked: number;
  #vocabSize = 0;

  /**
   * @param params of a row
   * @param masked what the logits of all other tokens become
   */
  constructor(params: (row: number) => SamplingParams, masked: number) {
    const [low, high] = crypto.getRandomValues(new Uint32Array(2));
    this.#params = params;
    this.#seedOf = rowSeeds((BigInt(high!) << 32n) | BigInt(low!));
    this.#masked = masked;
  }

  /**
   * Writes 0 to the sampled token and `masked` to all others.
   *
   * @param logits one row; overwritten
   * @param position which number of the row's random stream to use, counted from the `position` of its parameters
   * @throws as `planRow`; Error for a row in which no token can be sampled
   */
  keepSampled(logits: Float32Array, row: number, position: number): number {
    if (this.#vocabSize !== logits.length) {
      this.#plans.length = 0;
      this.#vocabSize = logits.length;
    }
    const plan = (this.#plans[row] ??= planRow(this.#params(row), logits.length));
    const seed = plan.seed ?? this.#seedOf(row);
    const { token, status } = sampleRow(logits, plan, seed, (plan.position ?? 0n) + BigInt(position));
    if (status !== "ok") {
      throw new Error(
        `row ${row}: there is no token to sample, since ${status === "nan" ? "its logits are NaN" : "every logit is -inf"}`,
      );
    }
    logits.fill(this.#masked);
    logits[token] = 0;
    return token;
  }
}
