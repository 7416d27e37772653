// First, see src/sampler.ts.
import { type FurtherPipelines, furtherPipelines, type Pipelines, pipelinesFor, type Variant } from "./pipelines.ts";
import {
  type Engine,
  isGPUBuffer,
  type LogitsView,
  type OutputType,
  type OutputView,
  type SampleResult,
  type TokensView,
} from "../engine.ts";
import { outputsOf } from "../outputs.ts";
import { resultOf } from "../result.ts";
import type { RowPlan } from "../params.ts";
import { bytesPerLogit, type LogitsType } from "../reference/convert.ts";
import { normalize, type RowCandidates } from "../reference/list.ts";
import { Bindings } from "./bindings.ts";
import { type Chunk, chunksOf, rangeOf, rowsWithin } from "./chunks.ts";
import { lossOf, newsOfLoss, UnfitDeviceError } from "./device.ts";
import { type KernelName, STORAGE_BUFFERS, WORKGROUP_STORAGE } from "./kernels.ts";
import { type OutputJob, Outputs } from "./outputs.ts";
import {
  type CallShape,
  drawConstants,
  isProcessed,
  isStaged,
  massConstants,
  needsMass,
  needsMassRoom,
  packCall,
  RECORD_WORDS,
  unpackRecord,
} from "./pack.ts";
import { type GpuHistory, historyRowBytes, markWordsOf, type PlacedControls, Processing } from "./processing.ts";
import { CHECK_HISTORY, CHECK_ROWS, CHECK_VOCAB, selfCheck } from "./self-check.ts";
import { GpuState, type ReadBack } from "./state.ts";
import { checkVocabulary, groupsOf, type Tuning, tuningFor } from "./tuning.ts";
import { type Uploaded, Uploads } from "./uploads.ts";
import { type CallRing, type KeptBuffers, MASS_BYTES, type Refusal, scoped, USAGE, Workspace } from "./workspace.ts";

/** Rows of one dispatch at most. */
const MOST_ROWS = 1024;
/** Scratch memory of one dispatch at most, where more than one row would need more. */
const MOST_SCRATCH = 64 * 2 ** 20;
/** Candidates of a row that are listed without being counted first. */
const LISTED_AT_ONCE = 256;

/** How the engine is made. */
export interface WebGpuOptions {
  readonly device: GPUDevice;
  /** Whether the device goes with the engine. */
  readonly owned: boolean;
  readonly vocabSize: number;
  readonly maxBatch: number;
  readonly logitsType: LogitsType;
  /** Tokens of a row's history. */
  readonly maxHistory: number;
  /** The seed of a row that is given none. */
  readonly seedOf: (row: number) => bigint;
  readonly tuning?: Partial<Tuning> | undefined;
  /** Caps on what one dispatch binds; for tests of chunking. */
  readonly chunk?: { readonly rows?: number; readonly bytes?: number } | undefined;
}

/** What `write` writes; see `shaders/write.wgsl`. */
export const WRITTEN: Readonly<Record<OutputType, number>> = { logits: 1, float32: 2, float16: 3 };

/** What a call may have besides the usual. */
interface CallExtras extends Partial<Pick<CallShape, "tokenFirst" | "tokenStride">> {
  /** The seed of a row that is given none. */
  readonly seedOf?: (row: number) => bigint;
}

/** How a call is recorded. */
interface Recording {
  /** Row of the batch where the view's rows begin. */
  readonly firstRow: number;
  /** Whether the encoder is the caller's, who submits it sometime. */
  readonly waits: boolean;
}

/** Where the rows of a batch stand: their records and histories, themselves or a copy. */
interface Standing {
  readonly records: GPUBuffer;
  readonly history: GPUBuffer;
  /** What has to be released. */
  readonly copies: readonly GPUBuffer[];
}

/** What was found right: the kernels, and whether also those for processed logits. */
const checked = new WeakMap<Pipelines, { processing: boolean }>();

/** A device on which the kernels do not give the reference's tokens. */
export class WrongTokensError extends UnfitDeviceError {
  constructor(wrong: string) {
    super(
      `webgpu-token-sampler: this WebGPU implementation computes the kernels wrongly (${wrong}), so its tokens are not to be trusted. Use the "cpu" engine here.`,
    );
  }
}

/**
 * Refuses what would fail in every call: records and histories that cannot be bound at once, rows that take too many workgroups.
 *
 * @throws RangeError that names the option and the device's limit
 */
function checkSizes({ device, vocabSize, maxBatch, maxHistory }: WebGpuOptions, tuning: Tuning): void {
  const { maxStorageBufferBindingSize: most, maxComputeWorkgroupsPerDimension: mostGroups } = device.limits;
  const bound: [what: string, rowBytes: number][] = [
    [`maxBatch: ${maxBatch} rows`, 4 * RECORD_WORDS],
    [`maxHistory: ${maxBatch} rows of ${maxHistory} tokens`, historyRowBytes(maxHistory)],
  ];
  for (const [what, rowBytes] of bound) {
    const bytes = rowBytes * maxBatch;
    if (bytes > most) {
      throw new RangeError(`${what} take ${bytes} bytes, but the device's maxStorageBufferBindingSize is ${most}`);
    }
  }
  const items = Math.max(groupsOf(vocabSize, tuning), markWordsOf(vocabSize));
  const workgroups = Math.ceil(items / tuning.streamWorkgroup);
  if (workgroups > mostGroups) {
    throw new RangeError(
      `tuning: a row of ${vocabSize} tokens takes ${workgroups} workgroups, but the device's maxComputeWorkgroupsPerDimension is ${mostGroups}`,
    );
  }
}

/** The `"webgpu"` engine. */
export class WebGpuEngine implements Engine {
  readonly kind = "webgpu";
  readonly #options: WebGpuOptions;
  readonly #device: GPUDevice;
  readonly #pipelines: Pipelines;
  readonly #tuning: Tuning;
  readonly #workspace: Workspace;
  readonly #processing: Processing;
  readonly #outputs: Outputs;
  readonly #uploads: Uploads;
  readonly #bindings: Bindings;
  readonly #groups: number;
  readonly #bytes: 2 | 4;
  readonly #chunkRows: number;
  readonly #bindingLimit: number;
  readonly state: GpuState;
  readonly #loss: { readonly info?: GPUDeviceLostInfo };
  #destroyed = false;

  /** Checks the device's limits and compiles the kernels. */
  static async create(options: WebGpuOptions): Promise<WebGpuEngine> {
    const { device, logitsType } = options;
    const need: [keyof GPUSupportedLimits, number][] = [
      ["maxStorageBuffersPerShaderStage", STORAGE_BUFFERS],
      ["maxComputeWorkgroupStorageSize", WORKGROUP_STORAGE],
      ["maxStorageBufferBindingSize", options.vocabSize * bytesPerLogit(logitsType) + 512],
      ["maxBindGroups", 3],
    ];
    for (const [name, least] of need) {
      const has = device.limits[name] as number;
      if (has < least) {
        throw new Error(
          `webgpu-token-sampler: the device's ${name} is ${has}; the kernels need ${least}. Request it with requiredLimits, if the adapter has it.`,
        );
      }
    }
    checkVocabulary(device, options.vocabSize);
    const tuning = tuningFor(device, logitsType !== "float32", options.tuning);
    checkSizes(options, tuning);
    const pipelines = await pipelinesFor(device, logitsType, tuning);
    await WebGpuEngine.#checkOnce(options, pipelines, tuning);
    return WebGpuEngine.#make(options, pipelines, tuning);
  }

  /** @throws Error for want of memory; nothing is left behind then, nor whatever else goes wrong */
  static async #make(options: WebGpuOptions, pipelines: Pipelines, tuning: Tuning): Promise<WebGpuEngine> {
    const buffers = new Set<GPUBuffer>();
    try {
      const make = (): WebGpuEngine => new WebGpuEngine(options, pipelines, tuning, buffers);
      const { value: engine, refusal } = scoped(options.device, make);
      const refused = await refusal;
      if (refused === undefined) return engine;
      throw new Error(
        `webgpu-token-sampler: the device has no room for this sampler's buffers. ${refused.error.message}`,
      );
    } catch (error) {
      for (const buffer of buffers) buffer.destroy();
      throw error;
    }
  }

  /**
   * Refuses a device that draws other tokens than the reference; once per device, type and tuning. Processed logits are
   * checked where a history says that they will be wanted.
   */
  static async #checkOnce(options: WebGpuOptions, pipelines: Pipelines, tuning: Tuning): Promise<void> {
    const known = checked.get(pipelines);
    const passes = [
      { processing: false, needed: known === undefined },
      { processing: true, needed: options.maxHistory > 0 && known?.processing !== true },
    ];
    for (const { processing, needed } of passes) {
      if (!needed) continue;
      const maxHistory = processing ? CHECK_HISTORY : 0;
      const shape = { vocabSize: CHECK_VOCAB, maxBatch: CHECK_ROWS, maxHistory, owned: false, chunk: undefined };
      const engine = await WebGpuEngine.#make({ ...options, ...shape }, pipelines, tuning);
      const wrong = await selfCheck(engine, options.logitsType, processing).finally(() => engine.destroy());
      if (wrong !== undefined) throw new WrongTokensError(wrong);
      checked.set(pipelines, { processing });
    }
  }

  private constructor(options: WebGpuOptions, pipelines: Pipelines, tuning: Tuning, buffers: Set<GPUBuffer>) {
    this.#options = options;
    this.#device = options.device;
    this.#pipelines = pipelines;
    this.#tuning = tuning;
    this.#bytes = bytesPerLogit(options.logitsType);
    this.#groups = groupsOf(options.vocabSize, tuning);
    this.#bindingLimit = Math.min(this.#device.limits.maxStorageBufferBindingSize, options.chunk?.bytes ?? Infinity);
    const affordable = Math.floor(Math.min(MOST_SCRATCH, this.#bindingLimit) / (MASS_BYTES * this.#groups));
    this.#chunkRows = Math.max(1, Math.min(options.maxBatch, options.chunk?.rows ?? MOST_ROWS, MOST_ROWS, affordable));
    const sizes = { maxBatch: options.maxBatch, chunkRows: this.#chunkRows, groups: this.#groups };
    this.#workspace = new Workspace(this.#device, pipelines, sizes, buffers, () => this.#bindings.clear());
    const readBack: ReadBack = (bytes, record) =>
      this.#workspace.afterChanges(
        this.#run(bytes, (readback) => {
          const encoder = this.#encoder("read");
          record(encoder, readback);
          this.#device.queue.submit([encoder.finish()]);
        }),
      );
    const { vocabSize, maxBatch, maxHistory, logitsType } = options;
    const [chunkRows, bindingLimit] = [this.#chunkRows, this.#bufferLimit];
    const shape = { vocabSize, maxBatch, maxHistory, logitsType, tuning, chunkRows, bindingLimit };
    this.#processing = new Processing(this.#device, this.#workspace, pipelines, shape, readBack);
    this.#outputs = new Outputs(this.#device, this.#workspace, pipelines);
    this.#uploads = new Uploads(this.#device, this.#workspace, {
      vocabSize: options.vocabSize,
      limit: this.#bufferLimit,
      bytes: this.#bytes,
    });
    this.#bindings = new Bindings(this.#device, pipelines, {
      nothing: this.#workspace.nothing,
      overlay: () => this.#processing.overlay,
    });
    this.state = new GpuState(this.#device, this.#workspace, options.maxBatch, readBack);
    this.#loss = lossOf(this.#device);
  }

  /** Bytes of a buffer that is bound whole, at most. */
  get #bufferLimit(): number {
    return Math.min(this.#bindingLimit, this.#device.limits.maxBufferSize);
  }

  get history(): GpuHistory {
    return this.#processing.history;
  }

  async sample(logits: LogitsView, plans: readonly RowPlan[]): Promise<SampleResult> {
    return this.#workspace.afterChanges(this.#sample(logits, plans));
  }

  async #sample(logits: LogitsView, plans: readonly RowPlan[]): Promise<SampleResult> {
    const bytes = 4 * RECORD_WORDS * logits.rows;
    const outputs = outputsOf(plans);
    const { draws } = plans[0]!;
    const job = outputs !== undefined || draws > 1 ? this.#outputs.job(outputs, logits.rows, draws) : undefined;
    const words = await this.#run(bytes + (job?.bytes ?? 0), (readback) => {
      const tokens = job?.start() ?? this.#scratchTokens();
      for (const part of this.#uploads.parts(logits)) {
        const encoder = this.#encoder("sample");
        const ofPart = plans.slice(part.firstRow, part.firstRow + part.view.rows);
        this.#record(encoder, part.view, tokens, ofPart, { firstRow: part.firstRow, waits: false, job });
        if (part.last) {
          encoder.copyBufferToBuffer(this.#workspace.records, 0, readback, 0, bytes);
          job?.fetch(encoder, readback, bytes);
        }
        this.#device.queue.submit([encoder.finish()]);
      }
    });
    if (job !== undefined) return job.result(words.subarray(0, bytes / 4), words.subarray(bytes / 4));
    return resultOf(plans.map((_, row) => [unpackRecord(words, row)]));
  }

  encode(encoder: GPUCommandEncoder, logits: LogitsView, tokens: TokensView, plans: readonly RowPlan[]): void {
    const within = this.#tokensWithin(tokens, logits.rows);
    this.#workspace.unwatched(() => this.#record(encoder, logits, within, plans, { firstRow: 0, waits: true }));
  }

  async candidates(logits: LogitsView, plans: readonly RowPlan[]): Promise<RowCandidates[]> {
    return this.#workspace.afterChanges(this.#candidates(logits, plans));
  }

  async #candidates(logits: LogitsView, plans: readonly RowPlan[]): Promise<RowCandidates[]> {
    const lists: RowCandidates[] = [];
    if (isGPUBuffer(logits.source)) return this.#list(logits, logits.source, plans, 0, this.#standing);
    await this.#inParts(logits, plans, Infinity, async ({ view, source, firstRow }, ofPart, standing) => {
      lists.push(...(await this.#list(view, source, ofPart, firstRow, standing)));
    });
    return lists;
  }

  encodeWrite(encoder: GPUCommandEncoder, logits: LogitsView, output: OutputView, plans: readonly RowPlan[]): void {
    this.#workspace.unwatched(() => this.#recordWrite(encoder, logits, output, plans, { firstRow: 0, waits: true }));
  }

  async write(logits: LogitsView, plans: readonly RowPlan[], output: OutputType): Promise<Float32Array | Uint16Array> {
    return this.#workspace.afterChanges(this.#write(logits, plans, output));
  }

  async #write(logits: LogitsView, plans: readonly RowPlan[], output: OutputType): Promise<Float32Array | Uint16Array> {
    this.#alive();
    const { vocabSize, logitsType } = this.#options;
    const narrow = output === "logits" ? logitsType !== "float32" : output === "float16";
    const bytes = narrow ? 2 : 4;
    const all = narrow ? new Uint16Array(logits.rows * vocabSize) : new Float32Array(logits.rows * vocabSize);
    const most = Math.max(1, Math.floor((this.#bufferLimit - 4) / (vocabSize * bytes)));
    await this.#inParts(logits, plans, most, async ({ view, firstRow }, ofPart, standing) => {
      const size = Math.ceil((view.rows * vocabSize * bytes) / 4) * 4;
      let target: GPUBuffer | undefined;
      try {
        const words = await this.#run(size, (readback) => {
          target = this.#workspace.buffer("output", size, USAGE.STORAGE | USAGE.COPY_SRC);
          const encoder = this.#encoder("write");
          const place = { buffer: target, offset: 0, rowStride: vocabSize, type: output };
          this.#recordWrite(encoder, view, place, ofPart, { firstRow, waits: false }, standing);
          encoder.copyBufferToBuffer(target, 0, readback, 0, size);
          this.#device.queue.submit([encoder.finish()]);
        });
        const made = narrow ? new Uint16Array(words.buffer) : new Float32Array(words.buffer);
        all.set(made.subarray(0, view.rows * vocabSize), firstRow * vocabSize);
      } finally {
        if (target !== undefined) this.#workspace.release(target);
      }
    });
    return all;
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#workspace.destroy();
    if (this.#options.owned) this.#device.destroy();
  }

  // ---- recording --------------------------------------------------------------------------------------------------

  /** Records the passes of one call. `plans` are those of the view's rows. */
  #record(
    encoder: GPUCommandEncoder,
    logits: LogitsView,
    tokens: TokensView,
    plans: readonly RowPlan[],
    { firstRow, waits, job }: Recording & { readonly job?: OutputJob | undefined },
  ): void {
    const staged = isStaged(plans);
    const chunks = this.#chunks(logits, plans);
    const several = tokens.draws > 1;
    // Everything that can fail comes before the first command.
    const { ring, offsets } = this.#workspace.place(
      encoder,
      { staged, waits },
      chunks.map((chunk) => this.#call(chunk, logits.rowStride, firstRow + chunk.firstRow, tokens, staged)),
    );
    const workspace = this.#workspace.bindGroup(several || plans.some(needsMassRoom), ring);
    const controls = this.#place(encoder, chunks, ring);
    const target = this.#bindings.tokens(tokens.buffer, tokens.range);
    const pass = encoder.beginComputePass({ label: "webgpu-token-sampler.sample" });
    const source = logits.source as GPUBuffer;
    chunks.forEach((chunk, index) => {
      const row = firstRow + chunk.firstRow;
      this.#withChunk(pass, source, chunk, workspace, offsets[index]!, controls[index], (processed) => {
        const variant = { processed, staged };
        pass.setBindGroup(2, target);
        this.#dispatch(pass, chunk, variant);
        if (several) {
          pass.setPipeline(this.#kernel("draws", variant));
          pass.dispatchWorkgroups(chunk.rows);
        }
        if (job?.reports === true) {
          this.#report(pass, job, row, chunk.rows, variant, () => {
            pass.setBindGroup(0, this.#input(source, chunk, false));
          });
        }
      });
      this.#processing.history.appendDrawn(pass, row, chunk.rows);
    });
    pass.end();
  }

  /** Records the passes of a call that writes what would be kept, and draws nothing. */
  #recordWrite(
    encoder: GPUCommandEncoder,
    logits: LogitsView,
    output: OutputView,
    plans: readonly RowPlan[],
    { firstRow, waits }: Recording,
    standing: Standing = this.#standing,
  ): void {
    const staged = isStaged(plans);
    const chunks = this.#chunks(logits, plans, this.#rowsOf(output));
    const constants = { OUTPUT: WRITTEN[output.type] };
    // Everything that can fail comes before the first command.
    const places = chunks.map((chunk) => this.#placeOf(output, chunk));
    const calls = chunks.flatMap((chunk, index) => {
      const written = { tokenFirst: places[index]!.first, tokenStride: output.rowStride };
      return [{}, written].map((extras) =>
        this.#call(chunk, logits.rowStride, firstRow + chunk.firstRow, this.#scratchTokens(), staged, extras),
      );
    });
    const { ring, offsets } = this.#workspace.place(encoder, { staged, waits }, calls);
    const workspace = this.#workspace.lookGroup(ring);
    const own = standing.copies.length > 0 ? { calls: ring.buffer, history: standing.history } : undefined;
    const controls = this.#place(encoder, chunks, ring, own);
    const bytes = 4 * RECORD_WORDS;
    const { look } = this.#workspace;
    encoder.copyBufferToBuffer(standing.records, firstRow * bytes, look, firstRow * bytes, logits.rows * bytes);
    const pass = encoder.beginComputePass({ label: "webgpu-token-sampler.write" });
    chunks.forEach((chunk, index) => {
      const [draw, write] = [offsets[2 * index]!, offsets[2 * index + 1]!];
      this.#withChunk(pass, logits.source as GPUBuffer, chunk, workspace, draw, controls[index], (processed) => {
        const variant = { processed, staged };
        pass.setBindGroup(2, this.#bindings.tokens(this.#workspace.tokens));
        this.#dispatch(pass, chunk, variant);
        pass.setPipeline(this.#kernel("write", { ...variant, constants }));
        pass.setBindGroup(1, workspace, [write]);
        pass.setBindGroup(2, places[index]!.group);
        pass.dispatchWorkgroups(this.#streamWorkgroups, chunk.rows);
      });
    });
    pass.end();
  }

  /** Puts down the controls of the chunks whose logits are processed, and records the copies of masks. */
  #place(
    encoder: GPUCommandEncoder,
    chunks: readonly Chunk[],
    ring: CallRing,
    own?: { readonly calls: GPUBuffer; readonly history: GPUBuffer },
  ): (PlacedControls | undefined)[] {
    const placed = chunks.map(({ plans }) => {
      const rows = plans.map(({ process }) => process);
      return isProcessed(plans) ? this.#processing.place(rows, ring, chunks.length, own) : undefined;
    });
    for (const controls of placed) if (controls !== undefined) this.#processing.copyMasks(encoder, controls);
    return placed;
  }

  /**
   * Records what is done with the logits of a chunk, as they are sampled: processed before, if they are, and cleared up behind.
   *
   * @param call where the chunk's call is, in the ring that `workspace` binds
   * @param work sets what else it needs, and dispatches
   */
  #withChunk(
    pass: GPUComputePassEncoder,
    source: GPUBuffer,
    chunk: Chunk,
    workspace: GPUBindGroup,
    call: number,
    controls: PlacedControls | undefined,
    work: (processed: boolean) => void,
  ): void {
    const bindControls = (placed: PlacedControls): void => {
      pass.setBindGroup(0, this.#input(source, chunk, false));
      pass.setBindGroup(1, placed.group, [call]);
    };
    if (controls !== undefined) {
      bindControls(controls);
      this.#processing.process(pass, controls, chunk.rows);
    }
    pass.setBindGroup(0, this.#input(source, chunk, controls !== undefined));
    pass.setBindGroup(1, workspace, [call]);
    work(controls !== undefined);
    if (controls !== undefined) {
      bindControls(controls);
      this.#processing.clear(pass, chunk.rows);
    }
  }

  get #further(): FurtherPipelines {
    return furtherPipelines(this.#device, this.#pipelines, this.#options.logitsType, this.#tuning);
  }

  /** A sampling kernel, compiled when it is first needed unless nearly every call needs it. */
  #kernel(name: KernelName, variant: Variant): GPUComputePipeline {
    return this.#further.kernel(name, variant);
  }

  /** Workgroups of the kernels that work on a row with many. */
  get #streamWorkgroups(): number {
    return Math.ceil(this.#groups / this.#tuning.streamWorkgroup);
  }

  /** Finds the rows' largest logits. */
  #max(pass: GPUComputePassEncoder, rows: number, variant: Variant): void {
    pass.setPipeline(this.#kernel("max", variant));
    pass.dispatchWorkgroups(this.#streamWorkgroups, rows);
  }

  /** The kernels of one chunk. */
  #dispatch(pass: GPUComputePassEncoder, { rows, plans }: Chunk, variant: Variant): void {
    this.#max(pass, rows, variant);
    if (!variant.staged && plans.some(needsMass)) {
      pass.setPipeline(this.#kernel("mass", { ...variant, constants: massConstants(plans) }));
      pass.dispatchWorkgroups(this.#streamWorkgroups, rows);
    }
    if (variant.staged) pass.setPipeline(this.#kernel("stages", variant));
    else pass.setPipeline(this.#kernel("draw", { ...variant, constants: drawConstants(plans, this.#groups) }));
    pass.dispatchWorkgroups(rows);
  }

  /**
   * Records the reports on the rows of a dispatch, after their draw.
   *
   * @param bindGiven binds the logits as they were given, and not as they are processed
   */
  #report(
    pass: GPUComputePassEncoder,
    job: OutputJob,
    firstRow: number,
    rows: number,
    variant: Variant,
    bindGiven: () => void,
  ): void {
    const dispatch = (processed: boolean): void => {
      pass.setPipeline(this.#kernel("report", { ...variant, processed, constants: job.constants }));
      pass.setBindGroup(2, job.group);
      pass.dispatchWorkgroups(rows);
    };
    if (!variant.processed) {
      dispatch(false);
      return;
    }
    const tells = job.tells(firstRow, rows);
    if (tells.processed) dispatch(true);
    if (tells.raw) {
      bindGiven();
      this.#max(pass, rows, { ...variant, processed: false });
      dispatch(false);
    }
  }

  #call(
    { first, rowMap, plans }: Chunk,
    rowStride: number,
    firstRow: number,
    { offset, words, draws, weightsFirst }: Omit<TokensView, "buffer">,
    staged: boolean,
    { seedOf = this.#options.seedOf, ...extras }: CallExtras = {},
  ): Uint32Array<ArrayBuffer> {
    const firstToken = firstRow * draws;
    const shape = {
      vocab: this.#options.vocabSize,
      groups: this.#groups,
      first,
      rowStride,
      rowMap,
      firstRow,
      tokenFirst: (offset + firstToken) * words,
      tokenStride: words,
      draws,
      weightsFirst: weightsFirst === 0 ? 0 : weightsFirst + firstToken,
      processed: isProcessed(plans),
      ...extras,
    };
    return packCall(shape, plans, seedOf, staged);
  }

  /** @param mostRows that something else than the logits has room for */
  #chunks(logits: LogitsView, plans: readonly RowPlan[], mostRows: number = Infinity): Chunk[] {
    return chunksOf(logits, plans, {
      vocabSize: this.#options.vocabSize,
      bytes: this.#bytes,
      bindingLimit: this.#bindingLimit,
      rows: Math.min(mostRows, isProcessed(plans) ? this.#processing.chunkRows : this.#chunkRows),
    });
  }

  #input(buffer: GPUBuffer, chunk: Chunk, processed: boolean): GPUBindGroup {
    return this.#bindings.logits(buffer, chunk, 4 * this.#bytes, processed);
  }

  /** Where a chunk's rows go: what is bound, and the element in it where they begin. */
  #placeOf({ buffer, offset, rowStride, type }: OutputView, chunk: Chunk): { group: GPUBindGroup; first: number } {
    const bytes = this.#bytesOf(type);
    const start = (offset + chunk.firstRow * rowStride) * bytes;
    const end = start + ((chunk.rows - 1) * rowStride + this.#options.vocabSize) * bytes;
    const range = rangeOf(buffer.size, buffer.size <= this.#bindingLimit, start, end);
    return { group: this.#bindings.output(buffer, range), first: (start - range.offset) / bytes };
  }

  /** Rows of an output that can be bound at once. */
  #rowsOf({ buffer, rowStride, type }: OutputView): number {
    const bytes = this.#bytesOf(type);
    return rowsWithin(buffer.size, this.#bindingLimit, this.#options.vocabSize * bytes, rowStride * bytes);
  }

  /** Bytes of an element of an output. */
  #bytesOf(type: OutputType): 2 | 4 {
    return type === "float32" ? 4 : type === "float16" ? 2 : this.#bytes;
  }

  /** The part of a buffer that tokens go to, if it is too large to be bound whole. */
  #tokensWithin(tokens: TokensView, rows: number): TokensView {
    const { buffer, offset, words, draws } = tokens;
    if (buffer.size <= this.#bindingLimit) return tokens;
    const range = rangeOf(buffer.size, false, 4 * words * offset, 4 * words * (offset + rows * draws));
    if (range.size > this.#bindingLimit) {
      throw new RangeError(
        `tokens: ${rows * draws} take ${range.size} bytes, and this device binds ${this.#bindingLimit} at most`,
      );
    }
    return { ...tokens, range, offset: offset - range.offset / (4 * words) };
  }

  /** Where tokens go that nobody wants. */
  #scratchTokens(): TokensView {
    return { buffer: this.#workspace.tokens, offset: 0, words: 1, draws: 1, weightsFirst: 0 };
  }

  #encoder(noun: string): GPUCommandEncoder {
    return this.#device.createCommandEncoder({ label: `webgpu-token-sampler.${noun}` });
  }

  // ---- data out ---------------------------------------------------------------------------------------------------

  /** Does what makes buffers or sends work; `problem` is what the GPU says against it, later. */
  #watch<T>(work: () => T): { readonly value: T; readonly problem: Promise<Error | undefined> } {
    const { forgotten } = this.#workspace;
    const { value: outcome, refusal } = scoped(this.#device, () => {
      try {
        return { value: work() };
      } catch (error) {
        return { error };
      }
    });
    // What was made to keep before something was thrown is looked after, too.
    const problem = this.#problem(refusal, this.#workspace.takeKept(), forgotten);
    if ("error" in outcome) throw outcome.error;
    return { value: outcome.value, problem };
  }

  /**
   * What a refusal comes to.
   *
   * @param kept what was made meanwhile for later calls, too
   * @param forgotten how often such had been let go of before
   */
  async #problem(
    refusal: Promise<Refusal | undefined>,
    kept: KeptBuffers,
    forgotten: number,
  ): Promise<Error | undefined> {
    const refused = await refusal;
    if (refused === undefined) return undefined;
    const { noMemory, error } = refused;
    this.#bindings.clear();
    if (noMemory) {
      // Otherwise they are there, and an encoder of the caller's may have them by now.
      this.#workspace.forget(kept);
      return new Error(`webgpu-token-sampler: out of GPU memory. ${noMemory.message}`);
    }
    if (this.#workspace.forgotten !== forgotten) {
      return new Error(`webgpu-token-sampler: out of GPU memory, in a call before this one. ${error.message}`);
    }
    return (
      (await this.#further.problem()) ??
      new TypeError(
        `webgpu-token-sampler: the GPU refused the call. Logits and masks must be in buffers of this sampler's device that are not destroyed. ${error.message}`,
      )
    );
  }

  /**
   * Lets `submit` send work that ends in `readback`, and waits for the result. Whatever goes wrong on the GPU comes
   * out as an error here.
   */
  async #run(bytes: number, submit: (readback: GPUBuffer) => void): Promise<Uint32Array> {
    this.#alive();
    const { value: readback, problem } = this.#watch(() => {
      const taken = this.#workspace.takeReadback(bytes);
      try {
        submit(taken);
      } catch (error) {
        this.#workspace.giveReadback(taken);
        throw error;
      }
      return taken;
    });
    let isSound = false;
    try {
      const [mapped] = await Promise.allSettled([readback.mapAsync(1, 0, bytes)]);
      const wrong = await problem;
      this.#alive();
      if (wrong !== undefined) throw wrong;
      if (mapped.status === "rejected") throw await this.#mappingError(mapped.reason);
      const words = new Uint32Array(readback.getMappedRange(0, bytes)).slice();
      readback.unmap();
      isSound = true;
      return words;
    } finally {
      if (isSound) this.#workspace.giveReadback(readback);
      else this.#workspace.release(readback);
    }
  }

  /** A mapping fails when the device is lost, and the news of that may come a moment later. */
  async #mappingError(reason: unknown): Promise<unknown> {
    await newsOfLoss(this.#device);
    try {
      this.#alive();
    } catch (error) {
      return error;
    }
    return new Error(`webgpu-token-sampler: the result could not be read back. ${String(reason)}`, { cause: reason });
  }

  usable(): void {
    this.#alive();
    this.#workspace.tellFailure();
  }

  #alive(): void {
    if (this.#destroyed) throw new Error("webgpu-token-sampler: the sampler was destroyed");
    const lost = this.#loss.info;
    if (lost !== undefined) {
      throw new Error(
        `webgpu-token-sampler: the GPU device was lost (${lost.reason}): ${lost.message}. Make a new sampler, on a new device.`,
      );
    }
  }

  // ---- where rows stand -------------------------------------------------------------------------------------------

  /** Does the work of a call that waits for the GPU between its parts: each finds the rows as they stood when it was made. */
  async #inParts(
    logits: LogitsView,
    plans: readonly RowPlan[],
    mostRows: number,
    work: (part: Uploaded, plans: readonly RowPlan[], standing: Standing) => Promise<void>,
  ): Promise<void> {
    let standing = this.#standing;
    const parts = this.#uploads.held(logits, mostRows);
    try {
      for (;;) {
        const { value: next, problem } = this.#watch(() => {
          const part = parts.next();
          if (part.done !== true && part.value.firstRow === 0 && !part.value.last) {
            standing = this.#copyStanding(logits.rows, plans);
          }
          return part;
        });
        if (next.done === true) break;
        const { firstRow, view } = next.value;
        const ofPart = plans.slice(firstRow, firstRow + view.rows);
        const [done] = await Promise.allSettled([work(next.value, ofPart, standing)]);
        const wrong = await problem;
        if (wrong !== undefined) throw wrong;
        if (done.status === "rejected") throw done.reason;
      }
    } finally {
      parts.return(undefined);
      for (const buffer of standing.copies) this.#workspace.release(buffer);
    }
  }

  /** As drawn tokens change it. */
  get #standing(): Standing {
    return { records: this.#workspace.records, history: this.history.buffer, copies: [] };
  }

  /** As it is now, for a call that only looks and waits for the GPU between its parts. */
  #copyStanding(rows: number, plans: readonly RowPlan[]): Standing {
    const looksBack = plans.some(({ process }) => process?.history !== undefined);
    const { history } = this;
    const encoder = this.#encoder("standing");
    const copies: GPUBuffer[] = [];
    const copy = (noun: string, source: GPUBuffer, bytes: number): GPUBuffer => {
      const buffer = this.#workspace.buffer(noun, bytes, USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST);
      copies.push(buffer);
      encoder.copyBufferToBuffer(source, 0, buffer, 0, bytes);
      return buffer;
    };
    const records = copy("records", this.#workspace.records, 4 * RECORD_WORDS * rows);
    const seen = looksBack ? copy("history-copy", history.buffer, history.rowBytes * rows) : history.buffer;
    this.#device.queue.submit([encoder.finish()]);
    return { records, history: seen, copies };
  }

  // ---- candidates -------------------------------------------------------------------------------------------------

  /**
   * Lists rows of a GPU buffer, from `firstRow` of the batch: filter them, list what is kept as far as there is room, and
   * make room for the rows that keep more.
   */
  async #list(
    logits: LogitsView,
    source: GPUBuffer,
    plans: readonly RowPlan[],
    firstRow: number,
    standing: Standing,
  ): Promise<RowCandidates[]> {
    this.#alive();
    const { rows } = logits;
    const chunks = this.#chunks(logits, plans);
    const staged = isStaged(plans);
    const looksBack = plans.some(({ process }) => process?.history !== undefined);
    const { rowBytes } = this.history;
    const recordBytes = 4 * RECORD_WORDS;
    const own: GPUBuffer[] = [];
    const make = (noun: string, bytes: number, usage: number): GPUBuffer => {
      const buffer = this.#workspace.buffer(noun, bytes, usage);
      own.push(buffer);
      return buffer;
    };
    /** Records and history of its own, so that nothing that runs meanwhile changes them, and no row's counter moves. */
    const prepare = () => {
      const ring = this.#workspace.ring({ staged, waits: false });
      const slot = ring.slotBytes;
      const calls = make("calls", slot * chunks.length, USAGE.STORAGE | USAGE.COPY_DST);
      const records = make("records", rows * recordBytes, USAGE.STORAGE | USAGE.COPY_DST);
      const history = looksBack
        ? make("history-copy", rows * rowBytes, USAGE.STORAGE | USAGE.COPY_DST)
        : this.history.buffer;
      const workspace = this.#workspace.makeBindGroup(calls, slot, records, plans.some(needsMassRoom));
      const seedOf = (row: number): bigint => this.#options.seedOf(firstRow + row);
      chunks.forEach((chunk, index) => {
        const call = this.#call(chunk, logits.rowStride, chunk.firstRow, this.#scratchTokens(), staged, { seedOf });
        this.#device.queue.writeBuffer(calls, index * slot, call);
      });
      return { ring, slot, calls, records, history, workspace };
    };
    let prepared: ReturnType<typeof prepare> | undefined;

    /** Runs list over all chunks, which fills what follows the header: after the filters, or where those have been. */
    const run = (header: Uint32Array<ArrayBuffer>, entries: number): Promise<Uint32Array> => {
      const bytes = header.byteLength + 12 * entries;
      return this.#run(bytes, (readback) => {
        const filters = prepared === undefined;
        prepared ??= prepare();
        const { ring, slot, calls, records, history, workspace } = prepared;
        const listing = make("listing", bytes, USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST);
        this.#device.queue.writeBuffer(listing, 0, header);
        const group = this.#device.createBindGroup({
          label: "webgpu-token-sampler.listing",
          layout: this.#pipelines.layouts.listing,
          entries: [{ binding: 0, resource: { buffer: listing } }],
        });
        const encoder = this.#encoder("candidates");
        if (filters && looksBack) {
          encoder.copyBufferToBuffer(standing.history, firstRow * rowBytes, history, 0, rows * rowBytes);
        }
        if (filters && staged) {
          // Stages may look at where a row stands.
          encoder.copyBufferToBuffer(standing.records, firstRow * recordBytes, records, 0, rows * recordBytes);
        }
        ring.uses.begin(encoder);
        const controls = this.#place(encoder, chunks, ring, { calls, history });
        const pass = encoder.beginComputePass({ label: "webgpu-token-sampler.candidates" });
        chunks.forEach((chunk, index) => {
          this.#withChunk(pass, source, chunk, workspace, index * slot, controls[index], (processed) => {
            const variant = { processed, staged };
            if (filters) {
              pass.setBindGroup(2, this.#bindings.tokens(this.#workspace.tokens));
              this.#dispatch(pass, chunk, variant);
            } else {
              // Others have used the scratch meanwhile.
              this.#max(pass, chunk.rows, variant);
            }
            pass.setPipeline(this.#kernel("list", variant));
            pass.setBindGroup(2, group);
            pass.dispatchWorkgroups(this.#streamWorkgroups, chunk.rows);
          });
        });
        pass.end();
        encoder.copyBufferToBuffer(listing, 0, readback, 0, bytes);
        this.#device.queue.submit([encoder.finish()]);
        // What is submitted keeps it.
        this.#workspace.release(listing);
      });
    };

    try {
      const room = Math.max(0, Math.floor(Math.min(this.#bindingLimit, MOST_SCRATCH) / 12) - rows);
      const lists: RowCandidates[] = [];
      /** Lists some rows, with room for so many each. Returns how many each keeps. */
      const listRows = async (wanted: readonly number[], roomOf: (row: number) => number): Promise<number[]> => {
        const header = new Uint32Array(3 * rows);
        let end = rows;
        for (const row of wanted) {
          header.set([0, roomOf(row), end], 3 * row);
          end += roomOf(row);
        }
        const words = await run(header, end - rows);
        return wanted.map((row) => {
          const [count, , at] = words.subarray(3 * row);
          if (count! <= roomOf(row)) lists[row] = sorted(words.subarray(3 * at!, 3 * (at! + count!)));
          return count!;
        });
      };
      const all = Array.from({ length: rows }, (_, row) => row);
      const most = Math.min(LISTED_AT_ONCE, Math.floor(room / rows));
      const counts = await listRows(all, () => most);
      let wide = all.filter((row) => counts[row]! > most);
      while (wide.length > 0) {
        let entries = 0;
        const fit = wide.filter((row, index) => (entries += counts[row]!) <= room || index === 0);
        await listRows(fit, (row) => counts[row]!);
        wide = wide.slice(fit.length);
      }
      return lists;
    } finally {
      for (const buffer of own) this.#workspace.release(buffer);
    }
  }
}

/** Entries of (token, key, weight) as a list, most probable first. */
function sorted(entries: Uint32Array): RowCandidates {
  const count = entries.length / 3;
  const weightOf = new Map<number, number>();
  // Sorted as 64-bit integers, by a typed array without a function: the key, turned over, above the token.
  const halves = new Uint32Array(2 * count);
  for (let index = 0; index < count; index++) {
    const [token, key, weight] = [entries[3 * index]!, entries[3 * index + 1]!, entries[3 * index + 2]!];
    halves[2 * index] = token;
    halves[2 * index + 1] = ~key;
    weightOf.set(token, weight);
  }
  new BigUint64Array(halves.buffer).sort();
  const tokens = Uint32Array.from({ length: count }, (_, rank) => halves[2 * rank]!);
  return normalize({ tokens, weights: tokens.map((token) => weightOf.get(token)!) });
}
