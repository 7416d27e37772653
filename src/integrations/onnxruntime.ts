/**
 * Sampling behind ONNX Runtime Web on its own GPU device: logits are read where the model left them, and the sampled tokens
 * are the next `input_ids` without leaving the GPU.
 *
 * Nothing is imported from `onnxruntime-web`: you pass its module in, and the types here say which parts are used.
 *
 * @module
 */
import { flattened, known, positive, show } from "../check.ts";
import { PARAM_NAMES, planRows, refuseDraws, type SamplingParams } from "../params.ts";
import { MAX_HISTORY } from "../processing.ts";
import type { LogitsType } from "../reference/convert.ts";
import { NO_TOKEN } from "../reference/numeric.ts";
import { type BatchParams, createSampler, type Sampler } from "../sampler.ts";
import { newsOfLoss } from "../webgpu/device.ts";
import type { GPUBuffer, GPUDevice } from "../webgpu-types.ts";
import { type FinishReason, type StreamOptions, streamTokens, type TokenSource, type TokenStep } from "./stream.ts";
import { STREAM_OPTIONS } from "./stream-options.ts";

export type { BatchParams } from "../sampler.ts";
export type { FinishReason, StreamOptions, TokenStep } from "./stream.ts";

// GPUBufferUsage and GPUMapMode, which only browsers have.
const [MAP_READ, COPY_SRC, COPY_DST, STORAGE] = [1, 4, 8, 128];
const MODE_READ = 1;

/** A tensor of ONNX Runtime. */
export interface OrtTensor {
  /** `"float32"`, `"float16"` or `"int64"` here. */
  readonly type: string;
  /** Its shape. */
  readonly dims: readonly number[];
  /** `"gpu-buffer"`, or `"cpu"`. */
  readonly location: string;
  /** The `GPUBuffer`, where the location says so. */
  readonly gpuBuffer: unknown;
  /** The typed array, where the tensor is in CPU memory. */
  readonly data: unknown;
  /** Gives its memory back. */
  dispose(): void;
}

/** `import * as ort from "onnxruntime-web/webgpu"`. */
export interface OrtModule {
  /** Where the device is, from the first WebGPU session on. */
  readonly env: { readonly webgpu: { readonly device: unknown } };
  /** Makes tensors in CPU memory and around GPU buffers. */
  readonly Tensor: {
    new (type: "int64", data: BigInt64Array, dims: readonly number[]): OrtTensor;
    new (type: "float32", data: Float32Array, dims: readonly number[]): OrtTensor;
    new (type: "float16", data: Uint16Array, dims: readonly number[]): OrtTensor;
    fromGpuBuffer(buffer: GPUBuffer, options: { dataType: "int64"; dims: readonly number[] }): OrtTensor;
  };
}

/** A session of ONNX Runtime, of a model that predicts the next token. */
export interface OrtSession {
  /** Names of the inputs. */
  readonly inputNames: readonly string[];
  /** Names of the outputs. */
  readonly outputNames: readonly string[];
  /** Types and shapes of the inputs; a number that is not known yet is a name. */
  readonly inputMetadata: readonly {
    readonly name: string;
    readonly isTensor: boolean;
    readonly type?: string;
    readonly shape?: readonly (number | string)[];
  }[];
  /** Runs the model. */
  run(feeds: never): Promise<{ readonly [name: string]: OrtTensor }>;
}

/** What {@link createOrtSampler} makes a sampler for. */
export interface OrtSamplerOptions {
  /** Tokens in the vocabulary; the last dimension of the logits, or less where they are padded. */
  readonly vocabSize: number;
  /** Rows at most. Default 1. */
  readonly maxBatch?: number;
  /** Type of the logits tensor. Default `"float32"`. */
  readonly logitsType?: Exclude<LogitsType, "bfloat16">;
  /** Tokens that the history of a row holds, for penalties; see `sampler.history` of the guide. Default 0. */
  readonly maxHistory?: number;
  /** Steps whose tokens are kept until they are fetched. Default 1. */
  readonly keep?: number;
}

/**
 * Makes a sampler on the device of ONNX Runtime, which exists from the first WebGPU session on.
 *
 * @throws Error when there is no such device; else as `createSampler`
 */
export async function createOrtSampler(ort: OrtModule, options: OrtSamplerOptions): Promise<OrtSampler> {
  const names = ["vocabSize", "maxBatch", "logitsType", "maxHistory", "keep"];
  const { keep = 1, ...rest } = known("options", options, names);
  positive("keep", keep);
  const device = await deviceOf(ort);
  const { maxBatch = 1 } = rest;
  const [bytes, most] = [4 * maxBatch * keep, device.limits.maxBufferSize];
  if (bytes > most) {
    throw new RangeError(
      `keep: ${keep} steps of ${maxBatch} row(s) take ${bytes} bytes, but the device's maxBufferSize is ${most}`,
    );
  }
  const sampler = await createSampler({ ...rest, device, engine: "webgpu" });
  return OrtSampler.create(ort, device, sampler, keep);
}

/** The device that ONNX Runtime made for its first WebGPU session. */
async function deviceOf({ env }: OrtModule): Promise<GPUDevice> {
  const device = (await env.webgpu?.device) as GPUDevice | undefined;
  if (typeof device?.createBuffer !== "function") {
    throw new Error(
      'onnxruntime: there is no GPU device yet. Make a session with executionProviders: ["webgpu"] first, from "onnxruntime-web/webgpu".',
    );
  }
  return device;
}

/** Turns logits tensors into tokens on ONNX Runtime's device; made by {@link createOrtSampler}. */
export class OrtSampler {
  /** ONNX Runtime's device. */
  readonly device: GPUDevice;
  /** The sampler on it. */
  readonly sampler: Sampler;
  readonly #ort: OrtModule;
  /** The tokens of the last step as int64: the buffer behind `input_ids`. */
  readonly #ids: GPUBuffer;
  /** The tokens of the last `keep` steps as u32, `[keep, rows]`; step `n` is at `n % keep`. */
  readonly #log: GPUBuffer;
  readonly #staging: GPUBuffer;
  readonly #keep: number;
  #rows = 0;
  #steps = 0;
  #fetching = false;

  private constructor(ort: OrtModule, device: GPUDevice, sampler: Sampler, keep: number) {
    this.#ort = ort;
    this.device = device;
    this.sampler = sampler;
    this.#keep = keep;
    const size = sampler.maxBatch * 4;
    const buffer = (noun: string, size: number, usage: number): GPUBuffer =>
      device.createBuffer({ label: `webgpu-token-sampler.${noun}`, size, usage });
    // ONNX Runtime copies inputs in units of 16 bytes.
    this.#ids = buffer("onnxruntime ids", Math.ceil((size * 2) / 16) * 16, STORAGE | COPY_SRC | COPY_DST);
    this.#log = buffer("onnxruntime log", size * keep, COPY_SRC | COPY_DST);
    this.#staging = buffer("onnxruntime staging", size * keep, MAP_READ | COPY_DST);
  }

  /** @internal */
  static create(ort: OrtModule, device: GPUDevice, sampler: Sampler, keep: number): OrtSampler {
    return new OrtSampler(ort, device, sampler, keep);
  }

  /**
   * Samples the last position of `[rows, length, vocabulary]` (or `[rows, vocabulary]`) and submits; waits for nothing. The
   * logits may be disposed of as soon as this returns.
   *
   * @returns the tokens as an int64 tensor `[rows, 1]` on the GPU: the next `input_ids`. All steps share its buffer, so
   * run the model with it before the next call. It need not be disposed of.
   * @throws TypeError or RangeError for a tensor or parameters that do not fit, before anything is submitted
   */
  sample(logits: OrtTensor, params: BatchParams = {}): OrtTensor {
    this.sampler.usable();
    refuseDraws(params);
    if (logits.location !== "gpu-buffer") {
      throw new TypeError(
        `logits: expected a tensor in a GPU buffer, got one at "${logits.location}"; make the session with preferredOutputLocation: "gpu-buffer"`,
      );
    }
    const place = lastPosition(logits, this.sampler);
    const { rows } = place;
    const steps = rows === this.#rows ? this.#steps : 0; // else what the log holds has another layout
    const encoder = this.device.createCommandEncoder({ label: "webgpu-token-sampler.onnxruntime" });
    this.sampler.encode(
      encoder,
      {
        logits: { buffer: logits.gpuBuffer as GPUBuffer, ...place },
        tokens: this.#ids,
        tokensType: "int64",
      },
      params,
    );
    // The log holds lower halves only: what is fetched later is 4 bytes a token.
    const start = (steps % this.#keep) * rows;
    for (let row = 0; row < rows; row++) {
      encoder.copyBufferToBuffer(this.#ids, row * 8, this.#log, (start + row) * 4, 4);
    }
    this.device.queue.submit([encoder.finish()]);
    this.#rows = rows;
    this.#steps = steps + 1;
    return this.#ort.Tensor.fromGpuBuffer(this.#ids, { dataType: "int64", dims: [rows, 1] });
  }

  /**
   * Fetches the tokens of the last steps, 4 bytes a token, in one read. One fetch at a time.
   *
   * @param count how many steps, at most `keep`
   * @returns `[count, rows]`, the latest step last
   * @throws (as a rejection) RangeError for a count that is not kept; Error when the sampler was destroyed or the device was lost
   */
  async fetch(count = 1): Promise<Uint32Array> {
    this.sampler.usable();
    const most = Math.min(this.#keep, this.#steps);
    if (most === 0) throw new RangeError("count: there are no steps to fetch, since nothing has been sampled yet");
    if (!Number.isInteger(count) || count < 1 || count > most) {
      throw new RangeError(`count: expected an integer from 1 to ${most}, the steps that are kept, got ${show(count)}`);
    }
    if (this.#fetching) throw new Error("fetch: the one before has not settled yet");
    const row = this.#rows * 4;
    const first = (this.#steps - count) % this.#keep;
    const untilEnd = Math.min(count, this.#keep - first);
    const encoder = this.device.createCommandEncoder({ label: "webgpu-token-sampler.onnxruntime fetch" });
    encoder.copyBufferToBuffer(this.#log, first * row, this.#staging, 0, untilEnd * row);
    if (untilEnd < count) {
      encoder.copyBufferToBuffer(this.#log, 0, this.#staging, untilEnd * row, (count - untilEnd) * row);
    }
    this.device.queue.submit([encoder.finish()]);
    this.#fetching = true;
    try {
      await this.#staging.mapAsync(MODE_READ, 0, count * row).catch((reason: unknown) => this.#unread(reason));
      const tokens = new Uint32Array(this.#staging.getMappedRange(0, count * row)).slice();
      this.#staging.unmap();
      return tokens;
    } finally {
      this.#fetching = false;
    }
  }

  /** Frees the GPU memory; the device stays ONNX Runtime's. */
  destroy(): void {
    this.sampler.destroy();
    for (const buffer of [this.#ids, this.#log, this.#staging]) buffer.destroy();
  }

  /** The same as {@link OrtSampler.destroy}. */
  [Symbol.dispose](): void {
    this.destroy();
  }

  /** Says why nothing was read. A mapping fails when the device is lost, and the news of that may come a moment later. */
  async #unread(reason: unknown): Promise<never> {
    this.sampler.usable();
    await newsOfLoss(this.device);
    this.sampler.usable();
    throw new Error(`webgpu-token-sampler: the tokens could not be read back. ${String(reason)}`, { cause: reason });
  }
}

/** Where the last position's rows lie in `[rows, length, vocabulary]` or `[rows, vocabulary]`. */
function lastPosition(
  { dims, type }: OrtTensor,
  { vocabSize, logitsType }: Sampler,
): { offset: number; rowStride: number; rows: number } {
  if (type !== logitsType) {
    throw new TypeError(`logits: expected ${logitsType}, as the sampler was made for, got ${type}`);
  }
  if (dims.length !== 2 && dims.length !== 3) {
    throw new RangeError(`logits: expected [rows, length, vocabulary] or [rows, vocabulary], got [${dims.join(", ")}]`);
  }
  const [rows, width] = [dims[0]!, dims.at(-1)!];
  const length = dims.length === 3 ? dims[1]! : 1;
  if (width < vocabSize) {
    throw new RangeError(`logits: expected ${vocabSize} or more in a row, got [${dims.join(", ")}]`);
  }
  return { offset: (length - 1) * width, rowStride: length * width, rows };
}

/** What {@link generate} writes, and how. */
export interface GenerateOptions extends StreamOptions {
  /** The text so far, as token ids: one list, or one per row. Shorter rows are filled up on the left, and masked. */
  readonly prompt: readonly number[] | readonly (readonly number[])[];
  /** Sampling parameters, one object for all rows or one per row. Without `position`, every row starts at 0. */
  readonly params?: BatchParams;
  /** Tokens in the vocabulary, where the model's logits are padded to more. Default: the last dimension of the logits. */
  readonly vocabSize?: number;
  /**
   * What fills up shorter rows, and rows that have no candidate left. Default 0. On the GPU the model reads 2^32 - 1 for such a
   * row until the step has been fetched, so where rows may run out of candidates and a model cannot look that up, leave
   * `fetchEvery` at 1.
   */
  readonly padToken?: number;
}

/**
 * Streams the tokens that a causal language model and the sampler write, without logits or tokens leaving the GPU in
 * between: `for await (const { tokens } of generate(ort, session, { prompt, maxTokens: 50 })) …`
 *
 * The model has the inputs and outputs that exporters give it: `input_ids`, and as far as it has them `attention_mask`,
 * `position_ids`, and a cache `past_key_values.*` that comes back as `present.*`. A model without a cache is run on the
 * whole text in every step, which needs the tokens on the CPU, so then they are fetched every step.
 *
 * Where the session leaves its logits in CPU memory, the CPU engine samples them there: the same loop then works without a
 * GPU.
 *
 * @param session made with `executionProviders: ["webgpu"]` and `preferredOutputLocation: "gpu-buffer"`; stays yours
 * @throws TypeError or RangeError for bad options, at once; later, as rejections, whatever model, sampler or callback throw, and
 * what is wrong with `params`, which is seen when the first logits are there
 */
export function generate(
  ort: OrtModule,
  session: OrtSession,
  options: GenerateOptions,
): AsyncGenerator<TokenStep, readonly FinishReason[], undefined> {
  const names = ["prompt", "params", "vocabSize", "padToken", ...STREAM_OPTIONS];
  const { prompt, params = {}, vocabSize, padToken = 0, ...stream } = known("options", options, names);
  if (!Number.isInteger(padToken) || padToken < 0 || padToken >= NO_TOKEN) {
    throw new RangeError(`padToken: expected a token id, got ${show(padToken)}`);
  }
  const rows = (
    Array.isArray(prompt) && Array.isArray(prompt[0]) ? prompt : [prompt]
  ) as readonly (readonly number[])[];
  for (const [row, ids] of rows.entries()) {
    if (!Array.isArray(ids) || ids.length === 0) {
      const got = Array.isArray(ids) ? "none" : show(ids);
      throw new TypeError(`prompt: expected an array of one or more token ids in row ${row}, got ${got}`);
    }
    const wrong = Array.from(ids as readonly unknown[]).findIndex(
      (id) => !(Number.isSafeInteger(id) && Number(id) >= 0),
    );
    if (wrong !== -1) {
      throw new TypeError(`prompt: expected token ids in row ${row}, got ${show(ids[wrong])} in place ${wrong}`);
    }
  }
  const { maxTokens, fetchEvery: asked = 1 } = stream;
  positive("fetchEvery", asked);
  const fetchEvery = hasCache(session) ? asked : 1;
  const keep = Math.min(fetchEvery, maxTokens);
  return streamTokens(() => new Decoder(ort, session, rows, { params, vocabSize, padToken, keep, maxTokens }), {
    ...stream,
    fetchEvery,
  });
}

function hasCache({ inputNames }: OrtSession): boolean {
  return inputNames.some((name) => name.startsWith("past_key_values."));
}

/** What {@link OrtSampler} does, for logits in CPU memory. */
class CpuSampler {
  readonly #ort: OrtModule;
  readonly sampler: Sampler;
  readonly #keep: number;
  readonly #padToken: number;
  readonly #log: Uint32Array[] = [];

  private constructor(ort: OrtModule, sampler: Sampler, keep: number, padToken: number) {
    this.#ort = ort;
    this.sampler = sampler;
    this.#keep = keep;
    this.#padToken = padToken;
  }

  static async create(
    ort: OrtModule,
    { keep, ...options }: Required<OrtSamplerOptions>,
    padToken: number,
  ): Promise<CpuSampler> {
    return new CpuSampler(ort, await createSampler({ ...options, engine: "cpu" }), keep, padToken);
  }

  async sample(logits: OrtTensor, params: BatchParams): Promise<OrtTensor> {
    refuseDraws(params);
    const { data } = logits;
    // Some browsers have a Float16Array, and ONNX Runtime then uses it: its bits are what the sampler reads.
    const bits =
      logits.type === "float16" && ArrayBuffer.isView(data)
        ? new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2)
        : (data as Float32Array);
    const { tokens } = await this.sampler.sample({ data: bits, ...lastPosition(logits, this.sampler) }, params);
    this.#log.push(tokens);
    if (this.#log.length > this.#keep) this.#log.shift();
    const ids = BigInt64Array.from(tokens, (token) => BigInt(token === NO_TOKEN ? this.#padToken : token));
    return new this.#ort.Tensor("int64", ids, [tokens.length, 1]);
  }

  fetch(count: number): Uint32Array {
    return Uint32Array.from(this.#log.slice(-count).flatMap((tokens) => Array.from(tokens)));
  }

  destroy(): void {
    this.sampler.destroy();
  }
}

interface DecoderOptions {
  readonly params: BatchParams;
  readonly vocabSize: number | undefined;
  readonly padToken: number;
  readonly keep: number;
  readonly maxTokens: number;
}

/** The loop of model and sampler, step by step. */
class Decoder implements TokenSource {
  readonly rows: number;
  readonly #ort: OrtModule;
  readonly #session: OrtSession;
  readonly #options: DecoderOptions;
  readonly #prompt: readonly (readonly number[])[];
  /** Tokens before each row's first one. */
  readonly #padding: readonly number[];
  /** Without a cache: the rows so far, all of one length. */
  readonly #texts: number[][];
  /** Rows that had no candidate in a step that has been fetched. */
  readonly #empty = new Set<number>();
  readonly #cache = new Map<string, OrtTensor>();
  #sampler: OrtSampler | CpuSampler | undefined;
  #next: OrtTensor | undefined;
  #length: number;

  constructor(ort: OrtModule, session: OrtSession, prompt: readonly (readonly number[])[], options: DecoderOptions) {
    this.#ort = ort;
    this.#session = session;
    this.#options = options;
    this.#prompt = prompt;
    this.rows = prompt.length;
    this.#length = Math.max(...prompt.map((ids) => ids.length));
    this.#padding = prompt.map((ids) => this.#length - ids.length);
    this.#texts = prompt.map((ids, row) => [...new Array<number>(this.#padding[row]!).fill(options.padToken), ...ids]);
  }

  async step(index: number): Promise<void> {
    const cached = hasCache(this.#session);
    const onlyNext = index > 0 && cached;
    if (onlyNext) this.#pad();
    const feeds = this.#feeds(onlyNext);
    let outputs: { readonly [name: string]: OrtTensor };
    try {
      outputs = await this.#session.run(feeds as never);
    } finally {
      // What was read belongs to this step alone: old caches, and the first, empty ones.
      for (const tensor of this.#cache.values()) tensor.dispose();
      this.#cache.clear();
    }
    let logits: OrtTensor | undefined;
    for (const [name, tensor] of Object.entries(outputs)) {
      if (name === "logits") logits = tensor;
      else if (name.startsWith("present")) this.#cache.set(name.replace("present", "past_key_values"), tensor);
      else tensor.dispose();
    }
    if (logits === undefined) {
      throw new TypeError(`session: expected an output "logits", got ${Object.keys(outputs).join(", ")}`);
    }
    try {
      const { params } = this.#options;
      this.#sampler ??= await this.#makeSampler(logits);
      this.#next = await this.#sampler.sample(logits, index === 0 ? params : withoutPosition(params));
    } finally {
      logits.dispose();
    }
    this.#length++;
  }

  async fetch(_first: number, count: number): Promise<Uint32Array> {
    const tokens = await this.#sampler!.fetch(count);
    tokens.forEach((token, index) => {
      if (token === NO_TOKEN) this.#empty.add(index % this.rows);
    });
    if (!hasCache(this.#session)) {
      const { padToken } = this.#options;
      this.#texts.forEach((ids, row) => ids.push(tokens[row] === NO_TOKEN ? padToken : tokens[row]!));
    }
    return tokens;
  }

  /** Keeps what is no token from a model that looks it up, which would end the other rows, too. */
  #pad(): void {
    if (!(this.#sampler instanceof OrtSampler)) return;
    const ids = this.#next!.gpuBuffer as GPUBuffer;
    const padding = Uint32Array.of(this.#options.padToken, 0);
    for (const row of this.#empty) this.#sampler.device.queue.writeBuffer(ids, row * 8, padding);
  }

  close(): void {
    for (const tensor of this.#cache.values()) tensor.dispose();
    this.#cache.clear();
    this.#sampler?.destroy();
  }

  /** For logits where these are; with the prompts as its history, if a parameter looks back. */
  async #makeSampler(logits: OrtTensor): Promise<OrtSampler | CpuSampler> {
    const { params, keep, maxTokens, vocabSize = logits.dims.at(-1)! } = this.#options;
    const plans = planRows(params, this.rows, vocabSize, { maxHistory: MAX_HISTORY, gpu: true, silent: "generate()" });
    const looksBack = plans.some(({ process }) => process?.history !== undefined);
    const options = {
      vocabSize,
      maxBatch: this.rows,
      logitsType: logits.type as "float32" | "float16",
      maxHistory: looksBack ? Math.min(this.#length + maxTokens, MAX_HISTORY) : 0,
      keep,
    };
    const made =
      logits.location === "gpu-buffer"
        ? await createOrtSampler(this.#ort, options)
        : await CpuSampler.create(this.#ort, options, this.#options.padToken);
    try {
      if (looksBack) for (const [row, ids] of this.#prompt.entries()) made.sampler.history.set(row, ids);
    } catch (error) {
      made.destroy();
      throw error;
    }
    return made;
  }

  /** @param onlyNext whether the model has seen all but the last tokens, which are on the GPU */
  #feeds(onlyNext: boolean): Record<string, OrtTensor> {
    const { rows } = this;
    const { Tensor } = this.#ort;
    const total = this.#length;
    const from = onlyNext ? total - 1 : 0;
    const integers = (dims: readonly [number, number], at: (row: number, column: number) => number): OrtTensor => {
      const data = new BigInt64Array(dims[0] * dims[1]);
      for (let i = 0; i < data.length; i++) data[i] = BigInt(at(Math.floor(i / dims[1]), i % dims[1]));
      return new Tensor("int64", data, dims);
    };
    const feeds: Record<string, OrtTensor> = {};
    for (const { name, type, shape } of this.#session.inputMetadata) {
      if (name === "input_ids") {
        feeds[name] = onlyNext ? this.#next! : integers([rows, total], (row, column) => this.#texts[row]![column]!);
      } else if (name === "attention_mask") {
        feeds[name] = integers([rows, total], (row, column) => (column < this.#padding[row]! ? 0 : 1));
      } else if (name === "position_ids") {
        feeds[name] = integers([rows, total - from], (row, column) => Math.max(0, from + column - this.#padding[row]!));
      } else if (name.startsWith("past_key_values.")) {
        const cached = this.#cache.get(name) ?? this.#emptyCache(name, type, shape);
        this.#cache.set(name, cached);
        feeds[name] = cached;
      } else {
        throw new TypeError(
          `session: the input ${show(name)} is not known; known are input_ids, attention_mask, position_ids and past_key_values.*`,
        );
      }
    }
    return feeds;
  }

  /** A cache of nothing: `[rows, heads, 0, size]`. */
  #emptyCache(name: string, type: string | undefined, shape: readonly (number | string)[] = []): OrtTensor {
    const dims = shape.map((dim, axis) => (typeof dim === "number" ? dim : axis === 0 ? this.rows : 0));
    if (type === "float32") return new this.#ort.Tensor(type, new Float32Array(0), dims);
    if (type === "float16") return new this.#ort.Tensor(type, new Uint16Array(0), dims);
    throw new TypeError(`session: expected ${name} to be float32 or float16, got ${show(type)}`);
  }
}

/** The parameters after the first step: positions count on by themselves. */
function withoutPosition(params: BatchParams): BatchParams {
  const rest = (row: SamplingParams): SamplingParams =>
    Object.fromEntries(Object.entries(flattened(row, PARAM_NAMES)).filter(([name]) => name !== "position"));
  return Array.isArray(params) ? params.map(rest) : rest(params as SamplingParams);
}
