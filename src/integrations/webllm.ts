/**
 * A logit processor for WebLLM: temperature, top-k, top-p, min-p and seed of this package inside its chat loop.
 *
 * WebLLM copies the logits to the CPU for a processor and waits for an answer, so this is the CPU engine.
 *
 * @module
 */
import { known } from "../check.ts";
import type { SamplingParams } from "../params.ts";
import { RowSampler } from "./keep-sampled.ts";

export type { SamplingParams } from "../params.ts";

/** What WebLLM calls; the shape of its `LogitProcessor`. */
export interface LogitProcessor {
  /** Samples a token, and leaves nothing else in the logits. */
  processLogits: (logits: Float32Array) => Float32Array;
  /** Counts a token that was taken. */
  processSampledToken: (token: number) => void;
  /** Starts a new text. */
  resetState: () => void;
}

/** What the model's logits are. */
export interface LogitProcessorOptions {
  /** Tokens of the tokenizer, where the model's logits are padded to more. Default: as many as there are logits. */
  readonly vocabSize?: number;
}

/**
 * Makes a processor for `logitProcessorRegistry`. It leaves only the token that it sampled, so whatever WebLLM does with
 * the logits afterwards returns that token.
 *
 * The position in the random stream counts the tokens since the last `resetState`, from `params.position` on: after
 * `resetChat()` the same prompt gives the same text. These tokens are what penalties look back at; WebLLM does not show the
 * prompt to a processor.
 *
 * @param params for every token; see `SamplingParams`
 * @throws TypeError for unknown options, at once; (from `processLogits`) TypeError or RangeError for bad parameters, Error for logits without any candidate
 */
export function logitProcessor(params: SamplingParams = {}, options: LogitProcessorOptions = {}): LogitProcessor {
  known("options", options, ["vocabSize"]);
  const { vocabSize } = options;
  // Not -inf: WGSL promises nothing for infinities, and WebLLM's kernels come next. No bias or penalty reaches this far.
  const masked = -1e9;
  const sampler = new RowSampler(masked);
  const said: number[] = [];
  return {
    processLogits: (logits) => {
      const size = vocabSize ?? logits.length;
      if (!Number.isInteger(size) || size < 1 || size > logits.length) {
        throw new RangeError(
          `vocabSize: expected an integer from 1 to ${logits.length}, the number of logits, got ${size}`,
        );
      }
      const tokens = (): Uint32Array => Uint32Array.from(said);
      sampler.keepSampled([{ logits: logits.subarray(0, size), position: said.length, tokens, prompt: 0 }], params);
      logits.fill(masked, size);
      return logits;
    },
    // WebLLM says which token it took only after it is sure of it: a step that is thrown away does not count.
    processSampledToken: (token) => {
      said.push(token);
    },
    resetState: () => {
      said.length = 0;
      sampler.restart();
    },
  };
}
