/**
 * Turns LLM logits into tokens on WebGPU: the same token on every GPU, every browser and the CPU.
 *
 * @module
 */
export type { SampleResult } from "./engine.ts";
export type { HistoryTokens, TokenHistory } from "./history.ts";
export type { LogprobsMode, OutputParams, SampleOutputs } from "./outputs.ts";
export type { SamplingParams } from "./params.ts";
export type { SamplerState, StageState } from "./state.ts";
export type { SamplingOrder, StageName, StageParams } from "./stages.ts";
export type { DryParams, ProcessingParams, TokenList, TokenMask, TokenMaskLayout } from "./processing.ts";
export type { LogitsType } from "./reference/convert.ts";
export type { RowStatus } from "./reference/draw.ts";
export type { RowCandidates } from "./reference/list.ts";
export type { TokenLogprobs } from "./reference/report.ts";
export {
  type BatchParams,
  createSampler,
  type EncodeTarget,
  type RenormalizeTarget,
  type WriteTarget,
  type Logits,
  type LogitsLayout,
  type Sampler,
  type SamplerOptions,
} from "./sampler.ts";
export { MAX_VOCAB_SIZE, NO_TOKEN } from "./reference/numeric.ts";
export type { Tuning } from "./webgpu/tuning.ts";
