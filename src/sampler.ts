// First, so that the shaders stand together in front of all code in a bundle: that compresses better.
import { WebGpuEngine, type WebGpuOptions } from "./webgpu/engine.ts";
import {
  type Engine,
  isGPUBuffer,
  type LogitsView,
  type OutputType,
  refuseMapped,
  type SampleResult,
  type TokensView,
} from "./engine.ts";
import { isArrayOf, isRecord, known, oneOf, show } from "./check.ts";
import { TokenHistory } from "./history.ts";
import { SamplerState } from "./state.ts";
import { type Abilities, planRows, type RowPlan, type SamplingParams } from "./params.ts";
import { MAX_HISTORY } from "./processing.ts";
import { bytesPerLogit, type LogitsType } from "./reference/convert.ts";
import { CpuEngine } from "./reference/engine.ts";
import { MAX_VOCAB_SIZE } from "./reference/numeric.ts";
import type { RowCandidates } from "./reference/list.ts";
import { rowSeeds } from "./reference/philox.ts";
import { requestDevice, UnfitDeviceError } from "./webgpu/device.ts";
import { checkTuning, type Tuning } from "./webgpu/tuning.ts";
import type { GPUBuffer, GPUCommandEncoder, GPUDevice } from "./webgpu-types.ts";

const STORAGE = 128; // GPUBufferUsage.STORAGE

/** What a sampler is made for. */
export interface SamplerOptions {
  /** Tokens in the vocabulary, 1 to 2^22; any size, no alignment. */
  readonly vocabSize: number;
  /** Rows in one call at most, 1 or more. Default 1. */
  readonly maxBatch?: number;
  /** The pipeline's device. Left out, one is requested, owned, and destroyed with the sampler. */
  readonly device?: GPUDevice;
  /**
   * `"webgpu"`, `"cpu"`, or `"auto"`: WebGPU where there is a device or an adapter that compiles the kernels and passes a short self-check, else the
   * CPU. `sampler.engine` says which it became. Default `"auto"`.
   */
  readonly engine?: "auto" | "webgpu" | "cpu";
  /** Type of the logits. 16-bit logits are given as `Uint16Array` of their bits. Default `"float32"`. */
  readonly logitsType?: LogitsType;
  /**
   * Tokens that the history of a row holds, prompt and output together, up to 2^20 - 1: room for the parameters that look
   * back, such as penalties. See `sampler.history`. Default 0: no history is kept, and nothing is spent on it.
   */
  readonly maxHistory?: number;
  /**
   * Overrides how the kernels are cut to the adapter. Never changes a result, but on llvmpipe, whose loops end after 65,535 rounds:
   * a `drawWorkgroup` below the 256 that it gets there comes out wrong on vocabularies that are wide for it.
   */
  readonly tuning?: Partial<Tuning>;
}

/** Logits where they lie: a bare array or buffer of `[rows, vocabSize]`, or a description of where the rows are. */
export type Logits = Float32Array | Uint16Array | GPUBuffer | LogitsLayout;

/** Rows of logits inside something larger; offset and stride are in elements. */
export interface LogitsLayout {
  /** The logits, in CPU memory. Either this or `buffer`. */
  readonly data?: Float32Array | Uint16Array;
  /** The logits, in a buffer of the sampler's device with usage `STORAGE`. Never written. */
  readonly buffer?: GPUBuffer;
  /** Element of the first row's first logit. Default 0. */
  readonly offset?: number;
  /** Elements from one row's start to the next one's, `vocabSize` or more. Default `vocabSize`. */
  readonly rowStride?: number;
  /**
   * Number of rows of logits, 1 to `maxBatch`; with a `rowMap`, 1 or more. Default: as many as fit; in a
   * buffer, one per parameter object if those are an array and there is no `rowMap`.
   */
  readonly rows?: number;
  /**
   * Row of logits that each row of the call reads, `[rows of the call]`, 1 to `maxBatch` of them: several rows can be drawn
   * from the same logits, which are not copied. Parameters, results, counters, histories and states belong to the rows of the
   * call. Left out, row i reads row i.
   */
  readonly rowMap?: readonly number[] | Uint32Array;
}

/** What `encode` reads and writes. */
export interface EncodeTarget {
  /** Logits in a buffer of the sampler's device. */
  readonly logits: GPUBuffer | LogitsLayout;
  /** Where tokens go: a buffer of the sampler's device with usage `STORAGE`, not the one that holds the logits. */
  readonly tokens: GPUBuffer;
  /** `"uint32"`, or `"int64"` for a buffer that feeds a model's `input_ids`. Default `"uint32"`. */
  readonly tokensType?: "uint32" | "int64";
  /** Place of the first row's token, in tokens. Default 0. */
  readonly tokensOffset?: number;
}

/** What `encodeMaskLogits` reads and writes. */
export interface WriteTarget {
  /** Logits in a buffer of the sampler's device. */
  readonly logits: GPUBuffer | LogitsLayout;
  /** Where rows of `vocabSize` go: a buffer of the sampler's device with usage `STORAGE`, not the one that holds the logits. */
  readonly output: GPUBuffer;
  /** Place of the first row's first token, in elements. Default 0. */
  readonly outputOffset?: number;
  /** Elements from one row's start to the next one's, `vocabSize` or more. Default `vocabSize`. */
  readonly outputRowStride?: number;
}

/** What `encodeRenormalize` reads and writes. */
export interface RenormalizeTarget extends WriteTarget {
  /** Type of the probabilities. Default `"float32"`. */
  readonly outputType?: "float32" | "float16";
}

/** One parameter object for all rows, or one per row; what can be read of them counts, inherited or not. */
export type BatchParams = SamplingParams | readonly SamplingParams[];

/**
 * Makes a sampler.
 *
 * @throws TypeError or RangeError for a bad option; Error when `engine` is `"webgpu"` and there is no adapter, or the
 * device lacks a limit
 */
export async function createSampler(options: SamplerOptions): Promise<Sampler> {
  known(
    "options",
    options,
    ["vocabSize", "maxBatch", "device", "engine", "logitsType", "maxHistory", "tuning"],
    [CHUNK],
  );
  const vocabSize = integer("vocabSize", options.vocabSize, 1, MAX_VOCAB_SIZE);
  const maxBatch = integer("maxBatch", options.maxBatch, 1, 2 ** 24, 1);
  const wanted = oneOf("engine", options.engine, ["auto", "webgpu", "cpu"]);
  const logitsType = oneOf("logitsType", options.logitsType, ["float32", "float16", "bfloat16"]);
  const maxHistory = integer("maxHistory", options.maxHistory, 0, MAX_HISTORY, 0);
  if (
    options.device !== undefined &&
    typeof (options.device as { createBuffer?: unknown } | null)?.createBuffer !== "function"
  ) {
    throw new TypeError(`device: expected a GPUDevice, got ${show(options.device)}`);
  }
  const tuning = checkTuning(options.tuning ?? {});
  const [low, high] = crypto.getRandomValues(new Uint32Array(2));
  const seedOf = rowSeeds((BigInt(high!) << 32n) | BigInt(low!));
  const onCpu = (): Sampler =>
    new Sampler(
      new CpuEngine(vocabSize, maxBatch, logitsType, seedOf, maxHistory),
      vocabSize,
      maxBatch,
      logitsType,
      maxHistory,
    );

  const device = wanted === "cpu" ? undefined : (options.device ?? (await requestDevice(wanted === "webgpu")));
  if (device === undefined) {
    if (wanted === "webgpu") {
      throw new Error(
        'engine: "webgpu" was asked for, but there is no WebGPU adapter. Pass a device, or use "auto" or "cpu".',
      );
    }
    return onCpu();
  }
  const owned = options.device === undefined;
  try {
    const chunk = (options as { [CHUNK]?: WebGpuOptions["chunk"] })[CHUNK];
    const engine = await WebGpuEngine.create({
      device,
      owned,
      vocabSize,
      maxBatch,
      logitsType,
      maxHistory,
      seedOf,
      tuning,
      chunk,
    });
    return new Sampler(engine, vocabSize, maxBatch, logitsType, maxHistory);
  } catch (error) {
    if (owned) device.destroy();
    if (wanted === "auto" && error instanceof UnfitDeviceError) {
      return onCpu();
    }
    throw error;
  }
}

/** Option for tests: caps on what one dispatch binds, so that small inputs are chunked too. */
const CHUNK = "__chunk";

/** Turns logits into tokens; made by {@link createSampler}. */
export class Sampler {
  /** Which engine runs: never a silent surprise. */
  readonly engine: "webgpu" | "cpu";
  /** As asked for. */
  readonly vocabSize: number;
  /** As asked for, or the default. */
  readonly maxBatch: number;
  /** As asked for, or the default. */
  readonly logitsType: LogitsType;
  /** Tokens that the history of a row holds; 0: there is none. */
  readonly maxHistory: number;
  /** The rows' tokens so far, for the parameters that look back. */
  readonly history: TokenHistory;
  /** What Mirostat and adaptive-p have learned from the rows' tokens. */
  readonly state: SamplerState;
  readonly #engine: Engine;
  readonly #abilities: Abilities;
  #destroyed = false;

  /** @internal */
  constructor(engine: Engine, vocabSize: number, maxBatch: number, logitsType: LogitsType, maxHistory: number) {
    this.#engine = engine;
    this.engine = engine.kind;
    this.vocabSize = vocabSize;
    this.maxBatch = maxBatch;
    this.logitsType = logitsType;
    this.maxHistory = maxHistory;
    this.#abilities = { maxHistory, gpu: engine.kind === "webgpu" };
    this.state = new SamplerState(engine.state, maxBatch, () => this.#alive());
    this.history = new TokenHistory(engine.history, vocabSize, maxBatch, maxHistory, () => this.#alive());
  }

  /**
   * Samples a token per row, or as many as the parameter `draws` says. Calls may overlap; each sees logits and parameters as
   * they were when it was made, and they count positions in the order in which they were made.
   *
   * @param logits `[rows, vocabSize]`, see {@link Logits}
   * @param params one object for all rows, or one per row
   * @throws (as a rejection) TypeError or RangeError that names what is wrong, before any work is done; Error when the
   * sampler was destroyed or its device was lost
   */
  async sample(logits: Logits, params: BatchParams = {}): Promise<SampleResult> {
    const view = this.#view(logits, params);
    return this.#engine.sample(view, this.#plans(params, view));
  }

  /**
   * Lists the tokens that the filters keep, most probable first, with renormalised probabilities. Draws nothing, and
   * leaves the rows' positions where they are.
   *
   * Where more than 256 tokens are kept it reads twice: first to count them. Logits and masks in GPU buffers must stay as they are until it settles; arrays,
   * parameters, histories and states count as they were when it was called.
   *
   * @returns one list per row; an empty one for a row without a candidate
   * @throws as {@link sample}
   */
  async candidates(logits: Logits, params: BatchParams = {}): Promise<RowCandidates[]> {
    const view = this.#view(logits, params);
    return this.#engine.candidates(view, this.#plans(params, view, "candidates()"));
  }

  /**
   * Records the compute passes of one call into the caller's encoder: the tokens stay on the GPU. Nothing is
   * submitted, mapped or read back. Rows' positions advance on the GPU when the commands run, so several calls in one
   * command buffer draw like as many `sample` calls.
   *
   * One encoder may hold any number of calls. If several encoders are under way, submit each before 16 further calls with other
   * parameters have been recorded into others since its last one, whether those are submitted or not: the parameters of all of
   * its calls would be overwritten.
   *
   * @throws TypeError or RangeError that names what is wrong, before anything is recorded; Error on the `"cpu"` engine
   */
  encode(encoder: GPUCommandEncoder, target: EncodeTarget, params: BatchParams = {}): void {
    this.#alive();
    this.#encoder(encoder);
    described("target", target, "{ logits, tokens }");
    known("target", target, ["logits", "tokens", "tokensType", "tokensOffset"]);
    const view = this.#view(target.logits, params);
    const plans = this.#plans(params, view, "encode()");
    if (!isGPUBuffer(view.source)) {
      throw new TypeError(`logits: encode reads a GPUBuffer, got ${show(view.source)}; sample() takes arrays`);
    }
    this.#engine.encode(encoder, view, this.#tokensView(target, view, plans[0]!.draws), plans);
  }

  /**
   * The logits of the tokens that the filters keep, and -inf for all others: what `top_k_mask_logits` and its like do in
   * FlashInfer. Draws nothing, and leaves positions, histories and states where they are. A result that is larger than one
   * binding comes in parts: logits and masks in GPU buffers must stay as they are until all are there.
   *
   * @returns `[rows, vocabSize]`, in the type of the logits; processed where parameters ask for it
   * @throws as {@link sample}
   */
  async maskLogits(logits: Logits, params: BatchParams = {}): Promise<Float32Array | Uint16Array> {
    const view = this.#view(logits, params);
    return this.#engine.write(view, this.#plans(params, view, "maskLogits()"), "logits");
  }

  /**
   * The probabilities with which the tokens would be drawn, after temperature and filters, renormalised; 0 for those that
   * are not kept: what `top_p_renorm_probs` and its like do in FlashInfer. Draws nothing, as {@link maskLogits}.
   *
   * @returns `[rows, vocabSize]`; all 0 in a row without a candidate
   * @throws as {@link sample}
   */
  async renormalize(logits: Logits, params: BatchParams = {}): Promise<Float32Array> {
    const view = this.#view(logits, params);
    const plans = this.#plans(params, view, "renormalize()");
    return this.#engine.write(view, plans, "float32") as Promise<Float32Array>;
  }

  /**
   * {@link maskLogits} into a buffer of the caller's: records the compute passes, reads nothing back.
   *
   * @throws as {@link encode}
   */
  encodeMaskLogits(encoder: GPUCommandEncoder, target: WriteTarget, params: BatchParams = {}): void {
    this.#writeTarget(encoder, target);
    known("target", target, ["logits", "output", "outputOffset", "outputRowStride"]);
    this.#encodeWrite(encoder, target, params, "logits");
  }

  /**
   * {@link renormalize} into a buffer of the caller's: records the compute passes, reads nothing back.
   *
   * @throws as {@link encode}
   */
  encodeRenormalize(encoder: GPUCommandEncoder, target: RenormalizeTarget, params: BatchParams = {}): void {
    this.#writeTarget(encoder, target);
    known("target", target, ["logits", "output", "outputOffset", "outputRowStride", "outputType"]);
    const type = oneOf("outputType", target.outputType, ["float32", "float16"]);
    this.#encodeWrite(encoder, target, params, type);
  }

  #writeTarget(encoder: GPUCommandEncoder, target: WriteTarget): void {
    this.#alive();
    this.#encoder(encoder);
    described("target", target, "{ logits, output }");
  }

  #encodeWrite(
    encoder: GPUCommandEncoder,
    { logits, output, outputOffset, outputRowStride }: WriteTarget,
    params: BatchParams,
    type: OutputType,
  ): void {
    const view = this.#view(logits, params);
    const plans = this.#plans(params, view, type === "logits" ? "encodeMaskLogits()" : "encodeRenormalize()");
    if (!isGPUBuffer(view.source)) {
      throw new TypeError(
        `logits: expected a GPUBuffer, got ${show(view.source)}; maskLogits() and renormalize() take arrays`,
      );
    }
    if (!isGPUBuffer(output)) throw new TypeError(`output: expected a GPUBuffer, got ${show(output)}`);
    usable("output", output);
    if (output === view.source) throw new TypeError("output: expected another buffer than that of the logits");
    const bytes = type === "logits" ? bytesPerLogit(this.logitsType) : type === "float32" ? 4 : 2;
    const offset = integer("outputOffset", outputOffset, 0, Number.MAX_SAFE_INTEGER, 0);
    const rowStride = integer("outputRowStride", outputRowStride, this.vocabSize, 2 ** 32 - 1, this.vocabSize);
    const end = (offset + (view.rows - 1) * rowStride + this.vocabSize) * bytes;
    // Storage is bound in whole words.
    if (Math.ceil(end / 4) * 4 > output.size) {
      throw new RangeError(
        `output: ${view.rows} row(s) of ${this.vocabSize} from offset ${offset} with stride ${rowStride} need ${Math.ceil(end / 4) * 4} bytes, but the buffer has ${output.size}`,
      );
    }
    this.#engine.encodeWrite(encoder, view, { buffer: output, offset, rowStride, type }, plans);
  }

  /** @param silent who gives no numbers about tokens */
  #plans(params: BatchParams, { rows }: LogitsView, silent?: string): RowPlan[] {
    return planRows(
      params,
      rows,
      this.vocabSize,
      silent === undefined ? this.#abilities : { ...this.#abilities, silent },
    );
  }

  #encoder(encoder: GPUCommandEncoder): void {
    if (typeof (encoder as { beginComputePass?: unknown } | null)?.beginComputePass !== "function") {
      throw new TypeError(`encoder: expected a GPUCommandEncoder, got ${show(encoder)}`);
    }
  }

  /** Frees the GPU memory, and the device if the sampler requested it. Calls under way reject; further ones throw. */
  destroy(): void {
    this.#destroyed = true;
    this.#engine.destroy();
  }

  /** {@link destroy}, for `using`. */
  [Symbol.dispose](): void {
    this.destroy();
  }

  /**
   * Throws what every call would throw now, for those who have work of their own on the device.
   *
   * @internal
   */
  usable(): void {
    this.#alive();
  }

  #alive(): void {
    if (this.#destroyed) throw new Error("webgpu-token-sampler: the sampler was destroyed");
    this.#engine.usable();
  }

  /** Checks logits, and finds out how many rows there are. */
  #view(logits: Logits, params: BatchParams): LogitsView {
    this.#alive();
    const bare = isGPUBuffer(logits) || ArrayBuffer.isView(logits);
    const layout: LogitsLayout = bare ? (isGPUBuffer(logits) ? { buffer: logits } : { data: logits }) : logits;
    if (!isRecord(layout)) {
      const array = this.logitsType === "float32" ? "Float32Array" : "Uint16Array";
      throw new TypeError(
        `logits: expected a ${array}, a GPUBuffer or a description of where rows lie, got ${show(logits)}`,
      );
    }
    known("logits", layout, ["data", "buffer", "offset", "rowStride", "rows", "rowMap"]);
    const given = layout.buffer ?? layout.data;
    if (given === undefined || (layout.buffer !== undefined && layout.data !== undefined)) {
      const got = given === undefined ? "neither" : "both";
      throw new TypeError(`logits: expected either data (an array) or buffer (a GPUBuffer), got ${got}`);
    }
    const source = isGPUBuffer(given) ? given : this.#array(given);
    const length = isGPUBuffer(source) ? this.#bufferLength(source) : source.length;
    const offset = integer("logits.offset", layout.offset, 0, Number.MAX_SAFE_INTEGER, 0);
    const rowStride = integer("logits.rowStride", layout.rowStride, this.vocabSize, 2 ** 32 - 1, this.vocabSize);
    const fitting =
      offset + this.vocabSize > length ? 0 : Math.floor((length - offset - this.vocabSize) / rowStride) + 1;
    const mapped = layout.rowMap !== undefined;
    if (Array.isArray(params) && params.length === 0) {
      throw new RangeError("params: expected one object for all rows or an array with one per row, got an empty array");
    }
    const implied =
      isGPUBuffer(source) && Array.isArray(params) && !mapped ? (params as readonly unknown[]).length : fitting;
    const most = mapped ? Number.MAX_SAFE_INTEGER : this.maxBatch;
    const rows = layout.rows === undefined ? implied : integer("logits.rows", layout.rows, 1, most);
    if (ArrayBuffer.isView(logits) && (length === 0 || length % this.vocabSize !== 0)) {
      throw new RangeError(
        `logits: expected [rows, ${this.vocabSize}] logits, got ${length}, which is not a whole number of rows`,
      );
    }
    if (rows < 1 || rows > fitting) {
      throw new RangeError(
        `logits: ${Math.max(rows, 1)} row(s) of ${this.vocabSize} from offset ${offset} with stride ${rowStride} end behind the last of ${length} elements`,
      );
    }
    if (mapped) {
      const rowMap = this.#rowMap(layout.rowMap, rows);
      return { source, offset, rowStride, rows: rowMap.length, rowMap };
    }
    if (rows > this.maxBatch) {
      throw new RangeError(`logits: got ${rows} rows, but maxBatch is ${this.maxBatch}`);
    }
    return { source, offset, rowStride, rows };
  }

  /** A checked copy: the caller may change what it has given before all of it was used. */
  #rowMap(rowMap: readonly number[] | Uint32Array, rows: number): Uint32Array {
    if (!Array.isArray(rowMap) && !isArrayOf(rowMap, "Uint32Array")) {
      throw new TypeError(`logits.rowMap: expected an array of integers or a Uint32Array, got ${show(rowMap)}`);
    }
    if (rowMap.length < 1 || rowMap.length > this.maxBatch) {
      throw new RangeError(`logits.rowMap: expected 1 to ${this.maxBatch} (maxBatch) rows, got ${rowMap.length}`);
    }
    return Uint32Array.from(rowMap, (row: number, index) => integer(`logits.rowMap[${index}]`, row, 0, rows - 1));
  }

  /** The logits as an array of this realm: the engines ask what it is an instance of. */
  #array(data: Float32Array | Uint16Array): Float32Array | Uint16Array {
    const Expected = this.logitsType === "float32" ? Float32Array : Uint16Array;
    if (data instanceof Expected) return data;
    if (isArrayOf(data, Expected.name)) return new Expected(data.buffer as ArrayBuffer, data.byteOffset, data.length);
    throw new TypeError(`logits: expected a ${Expected.name} for logitsType "${this.logitsType}", got ${show(data)}`);
  }

  #bufferLength(buffer: GPUBuffer): number {
    if (this.engine === "cpu") {
      throw new TypeError('logits: a GPUBuffer needs the "webgpu" engine; this sampler runs on "cpu"');
    }
    usable("logits", buffer);
    // Storage is bound in whole words.
    return Math.floor((buffer.size - (buffer.size % 4)) / bytesPerLogit(this.logitsType));
  }

  #tokensView({ tokens, tokensType, tokensOffset }: EncodeTarget, logits: LogitsView, draws: number): TokensView {
    if (!isGPUBuffer(tokens)) throw new TypeError(`tokens: expected a GPUBuffer, got ${show(tokens)}`);
    usable("tokens", tokens);
    if (tokens === logits.source) throw new TypeError("tokens: expected another buffer than that of the logits");
    const words = oneOf("tokensType", tokensType, ["uint32", "int64"]) === "int64" ? 2 : 1;
    const offset = integer("tokensOffset", tokensOffset, 0, Number.MAX_SAFE_INTEGER, 0);
    const count = logits.rows * draws;
    if ((offset + count) * words * 4 > tokens.size) {
      throw new RangeError(
        `tokens: ${count} token(s) of ${words * 4} bytes from offset ${offset} do not fit a buffer of ${tokens.size} bytes`,
      );
    }
    return { buffer: tokens, offset, words, draws, weightsFirst: 0 };
  }
}

function usable(name: string, buffer: GPUBuffer): void {
  if ((buffer.usage & STORAGE) === 0) {
    throw new TypeError(`${name}: expected a buffer with usage STORAGE, got usage ${buffer.usage}`);
  }
  refuseMapped(name, buffer);
}

function described(name: string, value: object, expected: string): void {
  if (typeof value !== "object" || value === null) {
    throw new TypeError(`${name}: expected ${expected}, got ${show(value)}`);
  }
}

/** An integer, or the default if it is left out and there is one. */
function integer(name: string, value: number | undefined, least: number, most: number, fallback?: number): number {
  if (value === undefined && fallback !== undefined) return fallback;
  if (typeof value !== "number") throw new TypeError(`${name}: expected a number, got ${show(value)}`);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${name}: expected an integer from ${least} to ${most}, got ${show(value)}`);
  }
  return value;
}
