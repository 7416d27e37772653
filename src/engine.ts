import type { HistoryTokens } from "./history.ts";
import type { SampleOutputs } from "./outputs.ts";
import type { RowPlan } from "./params.ts";
import type { RowStatus } from "./reference/draw.ts";
import type { RowCandidates } from "./reference/list.ts";
import type { RowState } from "./reference/stages.ts";
import type { GPUBuffer, GPUCommandEncoder } from "./webgpu-types.ts";

/** What a call of `sample` returns, one entry per row. */
export interface SampleResult extends SampleOutputs {
  /** Token ids, `[rows, draws]`; 0xFFFFFFFF where a row has no candidate, or none is left. */
  readonly tokens: Uint32Array;
  /**
   * Natural logarithm of the probability each token was drawn with: after temperature and filters, renormalised over
   * the kept tokens, so 0 when only one is kept (always so when greedy). With the parameter `logprobs` it is that of
   * another distribution. `NaN` where there is no token. Without replacement they are still those of all kept tokens, not of
   * what the draws before have left. `[rows, draws]`
   */
  readonly logprobs: Float32Array;
  /** `"ok"`, or why there is no token: `"masked"` (every logit is -inf), `"nan"` (`NaN`s left no candidate). `[rows]` */
  readonly status: readonly RowStatus[];
}

/** Checked logits: where the rows of a call lie. Offsets and strides are in elements. */
export interface LogitsView {
  readonly source: Float32Array | Uint16Array | GPUBuffer;
  readonly offset: number;
  readonly rowStride: number;
  /** Rows of the call. */
  readonly rows: number;
  /** Which row of logits each of them reads, `[rows]`; its own if left out. */
  readonly rowMap?: Uint32Array | undefined;
}

/** Checked target of `encode`. */
export interface TokensView {
  readonly buffer: GPUBuffer;
  /** In tokens. */
  readonly offset: number;
  /** 32-bit words of a token: 1, or 2 for 64-bit integers. */
  readonly words: 1 | 2;
  /** Tokens of a row, one after the other. */
  readonly draws: number;
  /** Word where the weights of all tokens go; 0: nowhere. */
  readonly weightsFirst: number;
  /** Bytes of the buffer that are bound. Default: all. The offset counts from there. */
  readonly range?: { readonly offset: number; readonly size: number };
}

/** What goes in the place of every token: logits in the type that they come in, or probabilities. */
export type OutputType = "logits" | "float32" | "float16";

/** Checked target of `encodeMaskLogits` and `encodeRenormalize`; in elements. */
export interface OutputView {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly rowStride: number;
  readonly type: OutputType;
}

/** What both engines do with the rows' tokens; see `TokenHistory`. */
export interface EngineHistory {
  set(row: number, prompt: Uint32Array, output: Uint32Array): void;
  append(row: number, tokens: Uint32Array): void;
  reset(rows: readonly number[], encoder?: GPUCommandEncoder): void;
  /** Pairs of (from, to): every row is read before any is written. Rows in `emptied` are reset afterwards. */
  copy(
    pairs: readonly (readonly [from: number, to: number])[],
    encoder?: GPUCommandEncoder,
    emptied?: readonly number[],
  ): void;
  read(row: number): Promise<HistoryTokens>;
}

/** What both engines do with what stages know of the rows; see `SamplerState`. */
export interface EngineState {
  reset(rows: readonly number[], encoder?: GPUCommandEncoder): void;
  /** Pairs of (from, to): every row is read before any is written. */
  copy(pairs: readonly (readonly [from: number, to: number])[], encoder?: GPUCommandEncoder): void;
  read(row: number): Promise<RowState>;
}

/** What both engines do. Everything they are given has been checked. */
export interface Engine {
  readonly kind: "webgpu" | "cpu";
  readonly history: EngineHistory;
  readonly state: EngineState;
  /** @throws Error if no call can work any more, or one that has returned did not work */
  usable(): void;
  sample(logits: LogitsView, plans: readonly RowPlan[]): Promise<SampleResult>;
  candidates(logits: LogitsView, plans: readonly RowPlan[]): Promise<RowCandidates[]>;
  encode(encoder: GPUCommandEncoder, logits: LogitsView, tokens: TokensView, plans: readonly RowPlan[]): void;
  write(logits: LogitsView, plans: readonly RowPlan[], output: OutputType): Promise<Float32Array | Uint16Array>;
  encodeWrite(encoder: GPUCommandEncoder, logits: LogitsView, output: OutputView, plans: readonly RowPlan[]): void;
  destroy(): void;
}

/** Whether a value is a GPU buffer, of whichever WebGPU implementation. */
export function isGPUBuffer(value: unknown): value is GPUBuffer {
  return typeof value === "object" && value !== null && "mapAsync" in value && "usage" in value;
}

/** @throws TypeError for a buffer that is mapped or about to be, which commands cannot use */
export function refuseMapped(name: string, buffer: GPUBuffer): void {
  if (buffer.mapState !== "unmapped") {
    throw new TypeError(`${name}: expected an unmapped buffer, got one that is ${buffer.mapState}`);
  }
}
