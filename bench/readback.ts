import type { Record } from "./clock.ts";

/** Reads buffers back through mapped copies, which are kept for the next time. */
export class Readback {
  readonly #device: GPUDevice;
  /** By size. */
  readonly #idle = new Map<number, GPUBuffer[]>();
  readonly #all: GPUBuffer[] = [];

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** What `use` makes of the mapped bytes, which are gone when it returns. */
  async read<T>(source: GPUBuffer, bytes: number, use: (mapped: ArrayBuffer) => T): Promise<T> {
    const encoder = this.#device.createCommandEncoder({ label: "bench.readback" });
    return this.submit(encoder, source, bytes, use);
  }

  /** The same behind what an encoder has recorded already. */
  async submit<T>(
    encoder: GPUCommandEncoder,
    source: GPUBuffer,
    bytes: number,
    use: (mapped: ArrayBuffer) => T,
  ): Promise<T> {
    let idle = this.#idle.get(bytes);
    if (idle === undefined) this.#idle.set(bytes, (idle = []));
    const staging = idle.pop() ?? this.#create(bytes);
    encoder.copyBufferToBuffer(source, 0, staging, 0, bytes);
    this.#device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ, 0, bytes);
    const result = use(staging.getMappedRange(0, bytes));
    staging.unmap();
    idle.push(staging);
    return result;
  }

  /**
   * The words that a call leaves in a buffer, which has usage `COPY_DST` too: it is filled with ones before, so that nothing
   * old passes for them.
   */
  recorded(record: Record, buffer: GPUBuffer, count: number): Promise<Uint32Array> {
    this.#device.queue.writeBuffer(buffer, 0, new Uint32Array(count).fill(0xffff_ffff));
    const encoder = this.#device.createCommandEncoder({ label: "bench.recorded" });
    record(encoder);
    return this.submit(encoder, buffer, 4 * count, (mapped) => new Uint32Array(mapped.slice(0)));
  }

  #create(bytes: number): GPUBuffer {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const staging = this.#device.createBuffer({ label: "bench.staging", size: bytes, usage });
    this.#all.push(staging);
    return staging;
  }

  destroy(): void {
    for (const staging of this.#all) staging.destroy();
  }
}
