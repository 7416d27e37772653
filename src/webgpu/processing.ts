import type { EngineHistory } from "../engine.ts";
import type { HistoryTokens } from "../history.ts";
import { MAX_HISTORY, type ProcessPlan } from "../processing.ts";
import type { LogitsType } from "../reference/convert.ts";
import { type MaskCopy, packControls } from "./controls.ts";
import { RECORD_TOKEN, RECORD_WORDS } from "./pack.ts";
import { type FurtherPipelines, furtherPipelines, type Pipelines } from "./pipelines.ts";
import { OWN_CALLS, sameWords, type Slot, type SlotUses, UNUSED, WAITING_CALLS } from "./slots.ts";
import type { ReadBack } from "./state.ts";
import type { Tuning } from "./tuning.ts";
import { type CallRing, recorded, USAGE, type Workspace } from "./workspace.ts";

/** What the sampler was made for. */
export interface ProcessingShape {
  readonly vocabSize: number;
  readonly maxBatch: number;
  /** Tokens of a row's history; 0: there is none. */
  readonly maxHistory: number;
  readonly logitsType: LogitsType;
  readonly tuning: Tuning;
  /** Rows of one dispatch at most, and bytes of one binding. */
  readonly chunkRows: number;
  readonly bindingLimit: number;
}

/** Workgroups that share a row's history, where its tokens are not compared with many others. */
const USUAL_COUNTERS = 64;
/** Tokens that one invocation compares, or so: llvmpipe gives it 65,535 iterations, and leaves its loops then. */
const MOST_COMPARED = 2 ** 15;
/** Workgroups of one dimension that every device has. */
const MOST_WORKGROUPS = 65_535;

/**
 * Workgroups of `count` for a row.
 *
 * @param listed places of the longest list
 * @param seen tokens of the history that matter
 * @param run how many tokens are compared for each of them, at most
 * @internal
 */
export function countersOf(listed: number, seen: number, run: number, workgroup: number): number {
  const all = Math.ceil(Math.max(listed, seen) / workgroup);
  const busy = Math.ceil((seen * Math.min(run, seen)) / (workgroup * MOST_COMPARED));
  return Math.min(all, Math.max(USUAL_COUNTERS, busy), MOST_WORKGROUPS);
}

/** A dispatch's controls, where the GPU finds them. */
export interface PlacedControls {
  readonly buffer: GPUBuffer;
  readonly group: GPUBindGroup;
  readonly copies: readonly MaskCopy[];
  /** Workgroups of `count` for each row; 0: there is nothing to count. */
  readonly counters: number;
}

interface ControlsSlot extends Slot {
  readonly buffer: GPUBuffer;
  /** What is copied over its words. */
  copies: readonly MaskCopy[];
  readonly groups: Map<CallRing, GPUBindGroup>;
}

/** Slots of calls that wait in encoders of the caller's, or of those that are submitted at once. */
class Slots {
  readonly made: ControlsSlot[] = [];
  /** As many as are made before one is used again. */
  count = 0;
}

/** Words with a bit for each token of a row, which may begin up to three tokens into the first. */
export function markWordsOf(vocabSize: number): number {
  return Math.floor((vocabSize + 34) / 32);
}

/** What turns logits into processed ones on the GPU. Nothing is compiled or allocated before a call needs it. */
export class Processing {
  readonly history: GpuHistory;
  readonly #device: GPUDevice;
  readonly #workspace: Workspace;
  readonly #pipelines: Pipelines;
  readonly #shape: ProcessingShape;
  readonly #markWords: number;
  readonly #waiting = new Slots();
  readonly #own = new Slots();
  #overlay: GPUBuffer | undefined;
  /** Rows of one dispatch at most, when logits are processed. */
  readonly chunkRows: number;

  constructor(
    device: GPUDevice,
    workspace: Workspace,
    pipelines: Pipelines,
    shape: ProcessingShape,
    readBack: ReadBack,
  ) {
    this.#device = device;
    this.#workspace = workspace;
    this.#pipelines = pipelines;
    this.#shape = shape;
    this.#markWords = markWordsOf(shape.vocabSize);
    this.chunkRows = Math.max(1, Math.min(shape.chunkRows, Math.floor(shape.bindingLimit / (this.#markWords * 136))));
    this.history = new GpuHistory(device, workspace, pipelines, shape, readBack, () => this.compiled);
  }

  /** The kernels, compiled when first asked for. */
  get compiled(): FurtherPipelines {
    return furtherPipelines(this.#device, this.#pipelines, this.#shape.logitsType, this.#shape.tuning);
  }

  /** The processed logits of a dispatch: [rows], see `shaders/lib/overlay.wgsl`. */
  get overlay(): GPUBuffer {
    const bytes = this.#markWords * 136 * this.chunkRows;
    return (this.#overlay ??= this.#workspace.keep("overlay", bytes, USAGE.STORAGE, () => {
      this.#overlay = undefined;
      for (const { groups } of [...this.#waiting.made, ...this.#own.made]) groups.clear();
    }));
  }

  /**
   * Puts a dispatch's controls where the GPU finds them when the encoder of the present call runs.
   *
   * @param plans one per row of the dispatch
   * @param ring where the dispatch's call lies
   * @param dispatches of the call
   * @param own for a dispatch whose call lies in another buffer than the workspace's, or that looks at a copy of the history
   */
  place(
    plans: readonly (ProcessPlan | undefined)[],
    ring: CallRing,
    dispatches: number,
    own?: { readonly calls: GPUBuffer; readonly history: GPUBuffer },
  ): PlacedControls {
    const { maxHistory, vocabSize } = this.#shape;
    const { words, copies, listed, reach, run } = packControls(plans, maxHistory, vocabSize);
    const slots = ring.waits ? this.#waiting : this.#own;
    slots.count = Math.max(slots.count, dispatches * (ring.waits ? WAITING_CALLS : OWN_CALLS));
    const slot = this.#slot(slots, ring.uses, words, copies);
    const seen = Math.min(reach, maxHistory, MAX_HISTORY);
    return {
      buffer: slot.buffer,
      group: own === undefined ? this.#groupOf(slot, ring) : this.#group(slot.buffer, own.calls, ring, own.history),
      copies,
      counters: countersOf(listed, seen, run, this.#shape.tuning.streamWorkgroup),
    };
  }

  /** Records the copies of masks that lie in buffers of the caller's. Before the compute pass. */
  copyMasks(encoder: GPUCommandEncoder, { copies, buffer }: PlacedControls): void {
    for (const { source, from, to, count } of copies) {
      encoder.copyBufferToBuffer(source, 4 * from, buffer, 4 * to, 4 * count);
    }
  }

  /** Processes logits: group 0 holds the model's, group 1 these controls. */
  process(pass: GPUComputePassEncoder, { counters }: PlacedControls, rows: number): void {
    const { compiled } = this;
    if (counters > 0) {
      pass.setPipeline(compiled.kernel("count"));
      pass.dispatchWorkgroups(counters, rows);
    }
    pass.setPipeline(compiled.kernel("process"));
    pass.dispatchWorkgroups(this.#markGroups, rows);
  }

  /** Leaves the overlay as it was, with the same groups as {@link process}. */
  clear(pass: GPUComputePassEncoder, rows: number): void {
    pass.setPipeline(this.compiled.kernel("clear"));
    pass.dispatchWorkgroups(this.#markGroups, rows);
  }

  get #markGroups(): number {
    return Math.ceil(this.#markWords / this.#shape.tuning.streamWorkgroup);
  }

  #groupOf(slot: ControlsSlot, ring: CallRing): GPUBindGroup {
    let group = slot.groups.get(ring);
    if (group === undefined) {
      slot.groups.set(ring, (group = this.#group(slot.buffer, ring.buffer, ring, this.history.buffer)));
    }
    return group;
  }

  #group(controls: GPUBuffer, calls: GPUBuffer, { slotBytes }: CallRing, history: GPUBuffer): GPUBindGroup {
    const resources: GPUBufferBinding[] = [
      { buffer: calls, size: slotBytes },
      { buffer: controls },
      { buffer: this.overlay },
      { buffer: history },
    ];
    return this.#device.createBindGroup({
      label: "webgpu-token-sampler.processing",
      layout: this.#pipelines.layouts.processing,
      entries: resources.map((resource, binding) => ({ binding, resource })),
    });
  }

  #slot(
    { made, count }: Slots,
    uses: SlotUses,
    words: Uint32Array<ArrayBuffer>,
    copies: readonly MaskCopy[],
  ): ControlsSlot {
    // Masks that change with every token differ early, so that comparing them costs little.
    // All masks of a call are copied before its first dispatch: chunks share a slot only if the masks are the same, too.
    // Where a mask is copied to, the words are zeros; a mask that is all zeros is another one.
    let slot = made.find(
      (each) =>
        sameWords(each.words, words) &&
        samePlaces(each.copies, copies) &&
        (!uses.has(each) || sameSources(each.copies, copies)),
    );
    if (slot === undefined) {
      const old = made.length < count ? undefined : uses.free(made)[0];
      slot = old;
      if (slot?.words === undefined || slot.buffer.size < words.byteLength) {
        // Some more than needed, since lists grow.
        const size = 2 ** Math.ceil(Math.log2(words.byteLength));
        const forget = (): void => {
          created.words = undefined;
        };
        const usage = USAGE.STORAGE | USAGE.COPY_DST;
        const buffer = this.#workspace.keep("controls", size, usage, forget, old?.buffer);
        const created: ControlsSlot = { ...UNUSED, buffer, copies, groups: new Map() };
        made[old === undefined ? made.length : made.indexOf(old)] = slot = created;
      }
      uses.put(slot, words);
      this.#device.queue.writeBuffer(slot.buffer, 0, words);
    } else uses.use(slot);
    slot.copies = copies;
    return slot;
  }
}

/** Whether the same words are copied over. */
function samePlaces(a: readonly MaskCopy[], b: readonly MaskCopy[]): boolean {
  return a.length === b.length && a.every(({ to, count }, index) => to === b[index]!.to && count === b[index]!.count);
}

/** Whether they come from the same place, if it is {@link samePlaces}. */
function sameSources(a: readonly MaskCopy[], b: readonly MaskCopy[]): boolean {
  return a.every(({ source, from }, index) => source === b[index]!.source && from === b[index]!.from);
}

/** Words in front of a row's ring: `HISTORY_WORDS` in `shaders/lib/history.wgsl`. */
const STATE_WORDS = 4;

/** Bytes of a row that holds so many tokens. */
export function historyRowBytes(maxHistory: number): number {
  return 4 * (STATE_WORDS + maxHistory);
}

/** Tokens that a dispatch appends to a row at most: one invocation does, and llvmpipe gives it 65,535 iterations. */
const MOST_APPENDED = 2 ** 14;

/** The rows' tokens, on the GPU. */
export class GpuHistory implements EngineHistory {
  readonly #device: GPUDevice;
  readonly #workspace: Workspace;
  readonly #pipelines: Pipelines;
  readonly #shape: ProcessingShape;
  readonly #compiled: () => FurtherPipelines;
  /** Rows of (first, length, prompt, outputs, ring); a few words that nobody reads where there is no history. */
  readonly buffer: GPUBuffer;
  readonly #drawn = new Map<string, GPUBindGroup>();
  readonly #readBack: ReadBack;
  #between: GPUBuffer | undefined;

  constructor(
    device: GPUDevice,
    workspace: Workspace,
    pipelines: Pipelines,
    shape: ProcessingShape,
    readBack: ReadBack,
    compiled: () => FurtherPipelines,
  ) {
    this.#device = device;
    this.#workspace = workspace;
    this.#pipelines = pipelines;
    this.#shape = shape;
    this.#readBack = readBack;
    this.#compiled = compiled;
    const { STORAGE, COPY_SRC, COPY_DST } = USAGE;
    const bytes = shape.maxHistory === 0 ? 16 : this.rowBytes * shape.maxBatch;
    this.buffer = workspace.buffer("history", bytes, STORAGE | COPY_SRC | COPY_DST);
  }

  /** Bytes of a row. */
  get rowBytes(): number {
    return historyRowBytes(this.#shape.maxHistory);
  }

  set(row: number, prompt: Uint32Array, output: Uint32Array): void {
    const length = prompt.length + output.length;
    const words = new Uint32Array(STATE_WORDS + length);
    words.set([0, length, prompt.length, output.length]);
    words.set(prompt, STATE_WORDS);
    words.set(output, STATE_WORDS + prompt.length);
    this.#workspace.change("set", () => this.#device.queue.writeBuffer(this.buffer, row * this.rowBytes, words));
  }

  append(row: number, tokens: Uint32Array): void {
    const { STORAGE, COPY_DST } = USAGE;
    this.#workspace.change("appended to", () => {
      const incoming = this.#workspace.buffer("incoming", tokens.byteLength, STORAGE | COPY_DST);
      const jobs: GPUBuffer[] = [];
      for (let first = 0; first < tokens.length; first += MOST_APPENDED) {
        const count = Math.min(MOST_APPENDED, tokens.length - first);
        jobs.push(this.#job([this.#shape.maxHistory, row, 1, count, first, count]));
      }
      this.#device.queue.writeBuffer(incoming, 0, tokens as Uint32Array<ArrayBuffer>);
      recorded(this.#device, undefined, "history.append", (encoder) => {
        const pass = encoder.beginComputePass({ label: "webgpu-token-sampler.append" });
        for (const job of jobs) this.#append(pass, this.#group(job, incoming), 1);
        pass.end();
      });
      for (const buffer of [incoming, ...jobs]) this.#workspace.release(buffer);
    });
  }

  /** Records that the tokens which a dispatch has drawn are appended. */
  appendDrawn(pass: GPUComputePassEncoder, firstRow: number, rows: number): void {
    if (this.#shape.maxHistory === 0) return;
    const key = `${firstRow}:${rows}`;
    let group = this.#drawn.get(key);
    if (group === undefined) {
      const first = firstRow * RECORD_WORDS + RECORD_TOKEN;
      const words = [this.#shape.maxHistory, firstRow, rows, 1, first, RECORD_WORDS];
      const job = this.#job(words, () => this.#drawn.delete(key));
      this.#drawn.set(key, (group = this.#group(job, this.#workspace.records)));
    }
    this.#append(pass, group, rows);
  }

  reset(rows: readonly number[], encoder?: GPUCommandEncoder): void {
    recorded(this.#device, encoder, "history.reset", (commands) => {
      for (const row of rows) commands.clearBuffer(this.buffer, row * this.rowBytes, 4 * STATE_WORDS);
    });
  }

  copy(
    pairs: readonly (readonly [from: number, to: number])[],
    encoder?: GPUCommandEncoder,
    emptied: readonly number[] = [],
  ): void {
    const bytes = this.rowBytes;
    const usage = USAGE.COPY_SRC | USAGE.COPY_DST;
    // A buffer cannot be copied within itself, and every row is to be read before any is written.
    const copyBy = (between: GPUBuffer): void =>
      recorded(this.#device, encoder, "history.copy", (commands) => {
        pairs.forEach(([from], at) =>
          commands.copyBufferToBuffer(this.buffer, from * bytes, between, at * bytes, bytes),
        );
        pairs.forEach(([, to], at) => commands.copyBufferToBuffer(between, at * bytes, this.buffer, to * bytes, bytes));
        for (const row of emptied) commands.clearBuffer(this.buffer, row * bytes, 4 * STATE_WORDS);
      });
    if (encoder !== undefined) {
      // It has to be there when the encoder is submitted.
      this.#workspace.unwatched(() => {
        this.#between ??= this.#workspace.keep("history-copy", this.buffer.size, usage, () => {
          this.#between = undefined;
        });
      });
      return copyBy(this.#between!);
    }
    this.#workspace.change("copied or moved", () => {
      const between = this.#workspace.buffer("history-copy", pairs.length * bytes, usage);
      copyBy(between);
      this.#workspace.release(between);
    });
  }

  async read(row: number): Promise<HistoryTokens> {
    const bytes = this.rowBytes;
    const words = await this.#readBack(bytes, (encoder, readback) =>
      encoder.copyBufferToBuffer(this.buffer, row * bytes, readback, 0, bytes),
    );
    const [first, length, prompt] = words;
    const ring = words.subarray(STATE_WORDS);
    const tokens = Uint32Array.from({ length: length! }, (_, index) => ring[(first! + index) % ring.length]!);
    return { prompt: tokens.slice(0, prompt), output: tokens.slice(prompt) };
  }

  #append(pass: GPUComputePassEncoder, group: GPUBindGroup, rows: number): void {
    pass.setPipeline(this.#compiled().kernel("append"));
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(Math.ceil(rows / this.#shape.tuning.streamWorkgroup));
  }

  /** @param forget for one that is kept */
  #job(words: number[], forget?: () => void): GPUBuffer {
    const make = ["append-job", 4 * words.length, USAGE.STORAGE | USAGE.COPY_DST] as const;
    const job = forget === undefined ? this.#workspace.buffer(...make) : this.#workspace.keep(...make, forget);
    this.#device.queue.writeBuffer(job, 0, Uint32Array.from(words));
    return job;
  }

  #group(job: GPUBuffer, incoming: GPUBuffer): GPUBindGroup {
    return this.#device.createBindGroup({
      label: "webgpu-token-sampler.appending",
      layout: this.#pipelines.layouts.appending,
      entries: [job, incoming, this.buffer].map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
  }
}
