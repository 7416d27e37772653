import { planRows, refuseDraws, type SamplingParams } from "../params.ts";
import { MAX_HISTORY } from "../processing.ts";
import { sampleRow } from "../reference/draw.ts";
import { processed, type ProcessScratch, processScratch } from "../reference/process.ts";
import { rowSeeds } from "../reference/philox.ts";
import type { RowState } from "../reference/stages.ts";

/** One row to sample. */
export interface Row {
  /** Overwritten. */
  readonly logits: Float32Array;
  /** Which number of the row's random stream to use, counted from the `position` of its parameters. */
  readonly position: number;
  /** What the row has said, for the parameters that look back; asked for only if there are any. */
  readonly tokens: () => Uint32Array;
  /** How many of the tokens are prompt. */
  readonly prompt: number;
}

/** Samples rows on the CPU at once, and leaves in each nothing but the token: whatever samples afterwards must take it. */
export class RowSampler {
  readonly #seedOf: (row: number) => bigint;
  readonly #masked: number;
  #scratch: ProcessScratch | undefined;
  /** What Mirostat and adaptive-p knew of each row before its last step, and know since. */
  #states: { readonly position: number; readonly before: RowState | undefined; readonly after: RowState }[] = [];

  /** @param masked what the logits of all other tokens become */
  constructor(masked: number) {
    const [low, high] = crypto.getRandomValues(new Uint32Array(2));
    this.#seedOf = rowSeeds((BigInt(high!) << 32n) | BigInt(low!));
    this.#masked = masked;
  }

  /** Forgets what is known of the rows, for a new text. */
  restart(): void {
    this.#states = [];
  }

  /**
   * Writes 0 to the sampled token of each row and `masked` to all others.
   *
   * @param params one object for all rows, or one per row; read anew in every call, since masks change from step to step
   * @throws TypeError or RangeError for bad parameters; Error for a row in which no token can be sampled
   */
  keepSampled(rows: readonly Row[], params: SamplingParams | readonly SamplingParams[]): void {
    refuseDraws(params);
    const vocabSize = rows[0]!.logits.length;
    const plans = planRows(params, rows.length, vocabSize, {
      maxHistory: MAX_HISTORY,
      gpu: false,
      silent: "a logits processor",
    });
    if (this.#scratch?.row.length !== vocabSize) this.#scratch = undefined;
    for (const [index, row] of rows.entries()) {
      const plan = plans[index]!;
      let { logits } = row;
      if (plan.process !== undefined) {
        const ring = plan.process.history === undefined ? new Uint32Array(0) : row.tokens();
        const prompt = Math.min(row.prompt, ring.length);
        const history = { ring, first: 0, length: ring.length, prompt, outputs: ring.length - prompt };
        logits = processed(logits, plan.process, history, (this.#scratch ??= processScratch(vocabSize)));
      }
      const position = (plan.position ?? 0n) + BigInt(row.position);
      const seed = plan.seed ?? this.#seedOf(index);
      // A step that is taken again has not been taken before.
      const last = this.#states[index];
      const before = last?.position === row.position ? last.before : last?.after;
      const { token, status, state } = sampleRow(logits, plan, seed, position, before);
      if (state !== undefined) this.#states[index] = { position: row.position, before, after: state };
      if (status !== "ok") {
        throw new Error(
          `row ${index}: there is no token to sample, since ${status === "nan" ? "its logits are NaN" : "every logit is -inf"}`,
        );
      }
      row.logits.fill(this.#masked);
      row.logits[token] = 0;
    }
  }
}
