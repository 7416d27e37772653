/** Writes a text token by token, on one engine. */
import { NO_TOKEN, type Sampler, type SamplingParams } from "webgpu-token-sampler";
import type { LanguageModel } from "./model.ts";

export interface Step {
  readonly token: number;
  /** What the token was drawn from. */
  readonly logits: Float32Array<ArrayBuffer>;
}

export class Writer {
  readonly steps: Step[] = [];
  /** Milliseconds that the sampler took, the first step of an engine left out: there drivers are still busy. */
  milliseconds = 0;
  timed = 0;
  readonly prompt: readonly number[];
  readonly #params: SamplingParams;
  readonly #logits: LanguageModel["logits"];
  readonly #stopTokens: readonly number[];

  /** @param params with a seed; the step's number is the position */
  constructor(
    prompt: readonly number[],
    params: SamplingParams,
    model: LanguageModel,
    logits: LanguageModel["logits"],
  ) {
    this.prompt = prompt;
    this.#params = params;
    this.#logits = logits;
    this.#stopTokens = model.stopTokens;
  }

  get tokens(): number[] {
    return this.steps.map(({ token }) => token);
  }

  /** What the sampler is asked at a step. */
  paramsAt(step: number): SamplingParams {
    return { ...this.#params, position: step };
  }

  /**
   * Goes on up to `length` tokens. Seed and position are all that the next token needs besides the text, so it does not
   * matter which sampler drew the ones before it.
   *
   * @param sampler with room for prompt and text in its history
   * @param written is called after every token, and is waited for
   * @throws what the sampler throws, such as when its device is lost; `steps` holds what was written until then
   */
  async write(sampler: Sampler, length: number, written: () => Promise<void>, signal: AbortSignal): Promise<void> {
    // It counts its own draws from here on.
    sampler.history.set(0, this.prompt, this.tokens);
    for (let first = true; this.steps.length < length && !signal.aborted; first = false) {
      const logits = await this.#logits([...this.prompt, ...this.tokens]);
      const started = performance.now();
      const { tokens } = await sampler.sample(logits, this.paramsAt(this.steps.length));
      const took = performance.now() - started;
      if (signal.aborted) return;
      const token = tokens[0]!;
      if (token === NO_TOKEN || this.#stopTokens.includes(token)) return;
      if (!first) {
        this.milliseconds += took;
        this.timed++;
      }
      this.steps.push({ token, logits });
      await written();
    }
  }
}
