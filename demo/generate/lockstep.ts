/** Two engines side by side: every token is drawn on both and compared with `===`. */
import type { SampleResult, Sampler, SamplingParams } from "webgpu-token-sampler";

/** The part of a sampler that is used here. */
type Sampling = Pick<Sampler, "sample">;

/** The first token that the engines do not agree on. */
export interface Difference {
  readonly step: number;
  readonly row: number;
  readonly tokens: readonly [first: number, second: number];
}

export class Lockstep {
  /** Milliseconds that each engine took, the first step left out: that is where drivers compile and memory is touched. */
  readonly times: number[];
  timedTokens = 0;
  steps = 0;
  compared = 0;
  difference: Difference | undefined;
  readonly #samplers: readonly Sampling[];

  /** @param samplers the engine whose tokens are used, and the one to compare it with, if there is one */
  constructor(samplers: readonly [Sampling] | readonly [Sampling, Sampling]) {
    this.#samplers = samplers;
    this.times = samplers.map(() => 0);
  }

  async sample(logits: Float32Array, params: readonly SamplingParams[]): Promise<SampleResult> {
    const results: SampleResult[] = [];
    // One after the other, so that neither takes time from the other.
    for (const [index, sampler] of this.#samplers.entries()) {
      const start = performance.now();
      results.push(await sampler.sample(logits, params));
      if (this.steps > 0) this.times[index] = this.times[index]! + performance.now() - start;
    }
    const [first, second] = results;
    if (this.steps > 0) this.timedTokens += first!.tokens.length;
    if (second !== undefined) this.#compare(first!, second);
    this.steps++;
    return first!;
  }

  /** Tokens a second of each engine; `NaN` before the second step. */
  rates(): number[] {
    return this.times.map((time) => (1000 * this.timedTokens) / time);
  }

  #compare(first: SampleResult, second: SampleResult): void {
    for (let row = 0; row < first.tokens.length && this.difference === undefined; row++) {
      const tokens = [first.tokens[row]!, second.tokens[row]!] as const;
      if (tokens[0] === tokens[1]) this.compared++;
      else this.difference = { step: this.steps, row, tokens };
    }
  }
}
