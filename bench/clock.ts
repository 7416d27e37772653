/** Times GPU work that is recorded into command buffers. */

/** Records one call. */
export type Record = (encoder: GPUCommandEncoder) => void;

/** Milliseconds per call. */
export interface Timing {
  readonly wall: number;
  readonly gpu: number | undefined;
}

/** Passes of one call at most. */
const MOST_PASSES = 8;
const MOST_CALLS = 256;
const RECORDINGS = 50;
/** A beginning and an end for every pass of the first and of the last call. */
const QUERIES = 4 * MOST_PASSES;

export class Clock {
  readonly #device: GPUDevice;
  readonly #queries: GPUQuerySet | undefined;
  readonly #resolved: GPUBuffer | undefined;
  readonly #mapped: GPUBuffer | undefined;

  constructor(device: GPUDevice) {
    this.#device = device;
    if (!device.features.has("timestamp-query")) return;
    this.#queries = device.createQuerySet({ label: "bench.timestamps", type: "timestamp", count: QUERIES });
    this.#resolved = device.createBuffer({ label: "bench.timestamps", size: 8 * QUERIES, usage: 0x0200 | 0x0004 });
    this.#mapped = device.createBuffer({ label: "bench.timestamps-map", size: 8 * QUERIES, usage: 0x0001 | 0x0008 });
  }

  /** Runs `count` calls in one submit. */
  async time(record: Record, count: number): Promise<Timing> {
    const encoder = this.#device.createCommandEncoder({ label: "bench" });
    const stamps = new Stamps(this.#queries);
    const watched = stamps.watch(encoder);
    for (let index = 0; index < count; index++) {
      record(index === 0 || index === count - 1 ? watched : encoder);
    }
    if (this.#queries !== undefined) {
      encoder.resolveQuerySet(this.#queries, 0, stamps.used, this.#resolved!, 0);
      encoder.copyBufferToBuffer(this.#resolved!, 0, this.#mapped!, 0, 8 * stamps.used);
    }
    const commands = encoder.finish();
    const submitted = performance.now();
    this.#device.queue.submit([commands]);
    await this.#device.queue.onSubmittedWorkDone();
    const done = performance.now();
    return {
      wall: (done - submitted) / count,
      gpu: this.#mapped === undefined ? undefined : (await this.#span(this.#mapped, stamps.used)) / count,
    };
  }

  /** Microseconds that JavaScript needs to record a call. Nothing runs. */
  recording(record: Record): number {
    const encoder = this.#device.createCommandEncoder({ label: "bench.recording" });
    const started = performance.now();
    for (let index = 0; index < RECORDINGS; index++) record(encoder);
    return (1000 * (performance.now() - started)) / RECORDINGS;
  }

  /** How many calls make a submit of about `targetMs`. */
  async calibrate(record: Record, targetMs: number): Promise<number> {
    await this.time(record, 1);
    const { wall } = await this.time(record, 2);
    return Math.min(MOST_CALLS, Math.max(2, Math.round(targetMs / Math.max(wall, 1e-4))));
  }

  /** Milliseconds from the earliest to the latest timestamp. */
  async #span(mapped: GPUBuffer, used: number): Promise<number> {
    await mapped.mapAsync(1, 0, 8 * used);
    const stamps = [...new BigUint64Array(mapped.getMappedRange(0, 8 * used))];
    mapped.unmap();
    let [earliest, latest] = [stamps[0]!, stamps[0]!];
    for (const stamp of stamps) {
      if (stamp < earliest) earliest = stamp;
      if (stamp > latest) latest = stamp;
    }
    return Number(latest - earliest) / 1e6;
  }

  destroy(): void {
    this.#queries?.destroy();
    this.#resolved?.destroy();
    this.#mapped?.destroy();
  }
}

/** Hands out timestamp queries to the compute passes of the first and the last call, whoever records them. */
class Stamps {
  readonly #queries: GPUQuerySet | undefined;
  #used = 0;

  constructor(queries: GPUQuerySet | undefined) {
    this.#queries = queries;
  }

  get used(): number {
    return this.#used;
  }

  /** The encoder, but that its compute passes leave timestamps. */
  watch(encoder: GPUCommandEncoder): GPUCommandEncoder {
    const querySet = this.#queries;
    if (querySet === undefined) return encoder;
    const begin = (descriptor: GPUComputePassDescriptor = {}): GPUComputePassEncoder => {
      if (this.#used + 2 > QUERIES) throw new Error(`clock: a call records more than ${MOST_PASSES} passes`);
      const beginningOfPassWriteIndex = this.#used++;
      const endOfPassWriteIndex = this.#used++;
      const timestampWrites = { querySet, beginningOfPassWriteIndex, endOfPassWriteIndex };
      return encoder.beginComputePass({ ...descriptor, timestampWrites });
    };
    return new Proxy(encoder, {
      get(target, name) {
        if (name === "beginComputePass") return begin;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
  }
}
