/**
 * The sampler's GPU memory. Every buffer has one owner, this; `destroy` frees them all.
 */
import { callBytes, RECORD_WORDS } from "./pack.ts";
import type { Pipelines } from "./pipelines.ts";
import { OWN_CALLS, sameWords, type Slot, SlotUses, UNUSED, WAITING_CALLS } from "./slots.ts";

export const USAGE = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, STORAGE: 128 } as const;

/** Records into the caller's encoder, or into one that is submitted at once. */
export function recorded(
  device: GPUDevice,
  encoder: GPUCommandEncoder | undefined,
  noun: string,
  record: (encoder: GPUCommandEncoder) => void,
): void {
  if (encoder !== undefined) return record(encoder);
  const own = device.createCommandEncoder({ label: `webgpu-token-sampler.${noun}` });
  record(own);
  device.queue.submit([own.finish()]);
}

/** What the GPU has against some work. */
export interface Refusal {
  /** The first thing, which may come of a want of memory. */
  readonly error: GPUError;
  readonly noMemory: GPUError | undefined;
}

/** Does what makes buffers or sends work; `refusal` is what the GPU says against it, later. A lost device says nothing. */
export function scoped<T>(
  device: GPUDevice,
  work: () => T,
): { readonly value: T; readonly refusal: Promise<Refusal | undefined> } {
  device.pushErrorScope("out-of-memory");
  device.pushErrorScope("validation");
  const refusalOf = async (): Promise<Refusal | undefined> => {
    const scopes = await Promise.allSettled([device.popErrorScope(), device.popErrorScope()]);
    const [invalid, noMemory] = scopes.map((scope) => (scope.status === "fulfilled" && scope.value) || undefined);
    const error = invalid ?? noMemory;
    return error && { error, noMemory };
  };
  let value: T;
  try {
    value = work();
  } catch (error) {
    void refusalOf();
    throw error;
  }
  return { value, refusal: refusalOf() };
}

/** Bytes of a group's mass and marks (`masses` in `bindings.wgsl`). */
export const MASS_BYTES = 16;

/** Sizes that a workspace is made for. */
export interface WorkspaceShape {
  readonly maxBatch: number;
  /** Rows of one dispatch at most. */
  readonly chunkRows: number;
  /** Groups of a row. */
  readonly groups: number;
}

/** Which calls a ring is for. */
export interface RingKind {
  /** Plans have stages, and so are longer. */
  readonly staged: boolean;
  /** Calls wait in encoders of the caller's; the others are submitted before the next call is put down. */
  readonly waits: boolean;
}

function isOf({ staged, waits }: RingKind, ring: RingKind): boolean {
  return ring.staged === staged && ring.waits === waits;
}

/** Bytes of the places that are made at once, where one call does not take more. */
const MOST_RING = 16 * 2 ** 20;

/** Buffers for reading back that are kept for the next call, and their bytes together. */
const MOST_IDLE = 4;
const MOST_IDLE_BYTES = 2 ** 20;

/** Buffers that are kept from call to call, and how whoever keeps one forgets it. */
export type KeptBuffers = ReadonlyMap<GPUBuffer, () => void>;

export class Workspace {
  readonly #device: GPUDevice;
  readonly #pipelines: Pipelines;
  readonly #shape: WorkspaceShape;
  readonly #buffers: Set<GPUBuffer>;
  readonly #idle: GPUBuffer[] = [];
  readonly #onForget: () => void;
  #madeToKeep = new Map<GPUBuffer, () => void>();
  #heeding = true;
  /** How often buffers to keep have been let go of. */
  forgotten = 0;
  /** A change that came to nothing, of which nobody was told. */
  #failure: Error | undefined;
  /** What comes of the changes of which that is not known yet. */
  readonly #changes = new Set<Promise<Error | undefined>>();
  /** Stands where a read-only binding is not used. */
  readonly nothing: GPUBuffer;
  readonly #delegates: GPUBuffer;
  readonly #noMasses: GPUBuffer;
  #masses: GPUBuffer | undefined;
  #upload: GPUBuffer | undefined;
  readonly #groups = new Map<CallRing, { lean?: GPUBindGroup; full?: GPUBindGroup; look?: GPUBindGroup }>();
  #look: GPUBuffer | undefined;
  /** The newest one comes first: the others are full, or have been. */
  readonly #rings: CallRing[] = [];
  readonly #uses = { waiting: new SlotUses(WAITING_CALLS), own: new SlotUses(0) };
  readonly records: GPUBuffer;
  readonly tokens: GPUBuffer;

  /**
   * @param buffers where those are written down that are there
   * @param onForget called when buffers have been let go of that bind groups made elsewhere may have in them
   */
  constructor(
    device: GPUDevice,
    pipelines: Pipelines,
    shape: WorkspaceShape,
    buffers: Set<GPUBuffer>,
    onForget: () => void,
  ) {
    this.#buffers = buffers;
    this.#onForget = onForget;
    this.#device = device;
    this.#pipelines = pipelines;
    this.#shape = shape;
    const { STORAGE, COPY_SRC, COPY_DST } = USAGE;
    this.nothing = this.buffer("nothing", 16, STORAGE);
    this.#delegates = this.buffer("delegates", 4 * shape.chunkRows * shape.groups, STORAGE);
    this.#noMasses = this.buffer("no-masses", 8, STORAGE);
    this.records = this.buffer("records", 4 * RECORD_WORDS * shape.maxBatch, STORAGE | COPY_SRC | COPY_DST);
    this.tokens = this.buffer("tokens", 4 * shape.maxBatch, STORAGE | COPY_SRC);
    this.ring({ staged: false, waits: false });
  }

  /** A ring of the kind, for what is the same for all of them. */
  ring(kind: RingKind): CallRing {
    return this.#rings.find((ring) => isOf(kind, ring)) ?? this.#makeRing(kind, 0);
  }

  /**
   * Puts the dispatches of a call where the GPU finds them when `encoder` runs. There are more rings of a kind than one only if
   * too many of the first one's slots are in use: by encoders with many calls, or since calls take more of them than it was made for.
   *
   * @returns where: all in one ring, and the slots' offsets in bytes
   */
  place(
    encoder: GPUCommandEncoder,
    kind: RingKind,
    calls: readonly Uint32Array<ArrayBuffer>[],
  ): { readonly ring: CallRing; readonly offsets: readonly number[] } {
    this.#uses[kind.waits ? "waiting" : "own"].begin(encoder);
    for (const ring of this.#rings) {
      const offsets = isOf(kind, ring) ? ring.place(calls) : undefined;
      if (offsets !== undefined) return { ring, offsets };
    }
    const ring = this.#makeRing(kind, calls.length);
    return { ring, offsets: ring.place(calls)! };
  }

  #makeRing({ staged, waits }: RingKind, calls: number): CallRing {
    const { maxBatch, chunkRows } = this.#shape;
    const { minStorageBufferOffsetAlignment: alignment, maxBufferSize } = this.#device.limits;
    const slotBytes = Math.ceil(callBytes(chunkRows, staged) / alignment) * alignment;
    // Processed rows may come in smaller chunks, and so in more of them.
    const call = Math.max(Math.ceil(maxBatch / chunkRows), calls);
    const several = Math.min(call * (waits ? WAITING_CALLS : OWN_CALLS), Math.floor(MOST_RING / slotBytes));
    const slots = Math.max(calls, Math.min(Math.max(call, several), Math.floor(maxBufferSize / slotBytes)));
    const buffer = this.keep("calls", slotBytes * slots, USAGE.STORAGE | USAGE.COPY_DST, () => {
      this.#rings.splice(this.#rings.indexOf(ring), 1);
      this.#groups.delete(ring);
    });
    const uses = this.#uses[waits ? "waiting" : "own"];
    const ring = new CallRing(this.#device, buffer, uses, { staged, waits, slotBytes, slots });
    this.#rings.unshift(ring);
    return ring;
  }

  /**
   * Makes a buffer for one call and those after it. That there was no room for it only turns out later, hence `forget`.
   *
   * @param instead a smaller one, which is freed
   * @throws RangeError for one that is larger than the device has any; `instead` stays then
   */
  keep(noun: string, size: number, usage: number, forget: () => void, instead?: GPUBuffer): GPUBuffer {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#device.limits;
    const most = noun === "calls" ? maxBufferSize : Math.min(maxBufferSize, maxStorageBufferBindingSize);
    if (size > most) {
      throw new RangeError(
        `params: what is asked of these rows takes ${size} bytes (${noun}), and this device gives ${most} at most; ask it of fewer rows at a time`,
      );
    }
    if (instead !== undefined) this.release(instead);
    if (this.#heeding) {
      const buffer = this.buffer(noun, size, usage);
      this.#madeToKeep.set(buffer, forget);
      return buffer;
    }
    const { value: buffer, refusal } = scoped(this.#device, () => this.buffer(noun, size, usage));
    void refusal.then((refused) => refused && this.forget(new Map([[buffer, forget]])));
    return buffer;
  }

  /** Does what makes buffers to keep and nobody watches: each of them is looked after by itself. */
  unwatched(work: () => void): void {
    this.#heeding = false;
    try {
      work();
    } finally {
      this.#heeding = true;
    }
  }

  /** Buffers to keep that were made since this was asked last. */
  takeKept(): KeptBuffers {
    const made = this.#madeToKeep;
    if (made.size > 0) this.#madeToKeep = new Map();
    return made;
  }

  /** Lets go of buffers that may not be there, so that the next call makes new ones. */
  forget(buffers: KeptBuffers): void {
    if (buffers.size === 0) return;
    this.forgotten++;
    this.#onForget();
    for (const [buffer, forget] of buffers) {
      if (!this.#buffers.has(buffer)) continue;
      forget();
      this.release(buffer);
    }
  }

  /**
   * Does what changes histories, and does not wait: that there was no memory for it turns out later.
   *
   * @param done what has not been done then
   */
  change(done: string, work: () => void): void {
    const { refusal } = scoped(this.#device, work);
    const outcome = refusal.then((refused) => {
      this.#changes.delete(outcome);
      if (refused === undefined) return undefined;
      return (this.#failure = new Error(
        `webgpu-token-sampler: histories were not ${done} before this call, since there was no memory. ${refused.error.message}`,
      ));
    });
    this.#changes.add(outcome);
  }

  /** @throws Error for a change that came to nothing, once: whoever calls next is told */
  tellFailure(failure: Error | undefined = this.#failure): void {
    if (failure === this.#failure) this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  /** What a call comes to that was made just now: nothing, if a change before it did not. */
  async afterChanges<T>(call: Promise<T>): Promise<T> {
    const changes = [...this.#changes];
    const value = await call;
    const failure = (await Promise.all(changes)).find((each) => each !== undefined);
    if (failure !== undefined) this.tellFailure(failure);
    return value;
  }

  /** Makes a buffer that lives until `release` or `destroy`. */
  buffer(noun: string, size: number, usage: number): GPUBuffer {
    const label = `webgpu-token-sampler.${noun}`;
    const buffer = this.#device.createBuffer({ label, size: Math.max(4, Math.ceil(size / 4) * 4), usage });
    this.#buffers.add(buffer);
    return buffer;
  }

  /** Frees one buffer early. */
  release(buffer: GPUBuffer): void {
    if (this.#buffers.delete(buffer)) buffer.destroy();
  }

  /** A buffer to upload logits into; the same one from call to call, since the queue keeps their order. */
  upload(bytes: number): GPUBuffer {
    if (this.#upload === undefined || this.#upload.size < bytes) {
      const forget = (): void => {
        this.#upload = undefined;
      };
      this.#upload = this.keep("logits", bytes, USAGE.STORAGE | USAGE.COPY_DST, forget, this.#upload);
    }
    return this.#upload;
  }

  /** The workspace bind group; with room for the masses of groups, which is made when first needed. */
  bindGroup(withMasses: boolean, ring: CallRing): GPUBindGroup {
    let groups = this.#groups.get(ring);
    if (groups === undefined) this.#groups.set(ring, (groups = {}));
    if (!withMasses && groups.full === undefined) {
      return (groups.lean ??= this.makeBindGroup(ring.buffer, ring.slotBytes, this.records, false));
    }
    return (groups.full ??= this.makeBindGroup(ring.buffer, ring.slotBytes, this.records, true));
  }

  /** The workspace bind group of calls that only look, with {@link look} for records. */
  lookGroup(ring: CallRing): GPUBindGroup {
    let groups = this.#groups.get(ring);
    if (groups === undefined) this.#groups.set(ring, (groups = {}));
    return (groups.look ??= this.makeBindGroup(ring.buffer, ring.slotBytes, this.look, true));
  }

  /** Records for calls that only look at what would be kept: no counter moves. */
  get look(): GPUBuffer {
    const bytes = 4 * RECORD_WORDS * this.#shape.maxBatch;
    return (this.#look ??= this.keep("records", bytes, USAGE.STORAGE | USAGE.COPY_DST, () => {
      this.#look = undefined;
      this.#groups.clear();
    }));
  }

  /** A workspace bind group with calls and records of one's own. */
  makeBindGroup(calls: GPUBuffer, callSize: number, records: GPUBuffer, withMasses: boolean): GPUBindGroup {
    if (withMasses) {
      this.#masses ??= this.keep(
        "masses",
        MASS_BYTES * this.#shape.chunkRows * this.#shape.groups,
        USAGE.STORAGE,
        () => {
          this.#masses = undefined;
          this.#groups.clear();
        },
      );
    }
    const resources: GPUBindingResource[] = [
      { buffer: calls, size: callSize },
      { buffer: this.#delegates },
      { buffer: this.#masses ?? this.#noMasses },
      { buffer: records },
    ];
    return this.#device.createBindGroup({
      label: "webgpu-token-sampler.workspace",
      layout: this.#pipelines.layouts.workspace,
      entries: resources.map((resource, binding) => ({ binding, resource })),
    });
  }

  /** A mappable buffer of at least so many bytes, out of a pool. */
  takeReadback(bytes: number): GPUBuffer {
    const index = this.#idle.findIndex((buffer) => buffer.size >= bytes);
    if (index >= 0) return this.#idle.splice(index, 1)[0]!;
    return this.buffer("readback", bytes, USAGE.MAP_READ | USAGE.COPY_DST);
  }

  /** Gives a buffer of `takeReadback` back, unmapped. The pool keeps a few, those that tokens come back in. */
  giveReadback(buffer: GPUBuffer): void {
    const bytes = this.#idle.reduce((sum, { size }) => sum + size, buffer.size);
    if (this.#idle.length < MOST_IDLE && bytes <= MOST_IDLE_BYTES) this.#idle.push(buffer);
    else this.release(buffer);
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
    this.#buffers.clear();
    this.#idle.length = 0;
  }
}

/**
 * Parameters on their way to the GPU: one buffer, one slot per dispatch, used in turn. A call whose parameters are still
 * in a slot uses that one, so a decoding loop with steady parameters writes nothing.
 */
export class CallRing implements RingKind {
  readonly #device: GPUDevice;
  readonly #slots: readonly (Slot & { readonly offset: number })[];
  readonly buffer: GPUBuffer;
  readonly uses: SlotUses;
  readonly staged: boolean;
  readonly waits: boolean;
  readonly slotBytes: number;

  constructor(
    device: GPUDevice,
    buffer: GPUBuffer,
    uses: SlotUses,
    { staged, waits, slotBytes, slots }: RingKind & { readonly slotBytes: number; readonly slots: number },
  ) {
    this.#device = device;
    this.buffer = buffer;
    this.uses = uses;
    this.staged = staged;
    this.waits = waits;
    this.slotBytes = slotBytes;
    this.#slots = Array.from({ length: slots }, (_, index) => ({ ...UNUSED, offset: index * slotBytes }));
  }

  /** As {@link Workspace.place}, or undefined if there is no room for all of them. */
  place(calls: readonly Uint32Array<ArrayBuffer>[]): number[] | undefined {
    const known = calls.map((call) => this.#slots.find(({ words }) => sameWords(words, call)));
    const missing = known.filter((slot) => slot === undefined).length;
    const free = missing === 0 ? [] : this.uses.free(this.#slots).filter((slot) => !known.includes(slot));
    if (free.length < missing) return undefined;
    let taken = 0;
    return calls.map((call, index) => {
      const slot = known[index] ?? free[taken++]!;
      if (known[index] === undefined) {
        this.uses.put(slot, call);
        this.#device.queue.writeBuffer(this.buffer, slot.offset, call);
      } else this.uses.use(slot);
      return slot.offset;
    });
  }
}
