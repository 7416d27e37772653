/** The logits are copied to the CPU, and JavaScript samples them there. */
import { MODE_NAMES, MODES, type ModeName } from "../cases.ts";
import { JavaScriptSampler } from "./javascript.ts";
import type { Calls, LoadedPeer, Peer, Rows } from "./peer.ts";

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

/** Logits in a buffer of a device, to be copied out and read. */
export function uploadRows(device: GPUDevice, { data }: Rows): GPUBuffer {
  const buffer = device.createBuffer({
    label: "bench.peer-logits",
    size: data.byteLength,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(buffer, 0, data);
  return buffer;
}

export function copyPeer(device: GPUDevice): Peer {
  return {
    name: "copy + JavaScript",
    version: "",
    how: "copied to a mapped buffer and sampled there by hand-written JavaScript",
    load: async (rows): Promise<LoadedPeer> => {
      const { vocab, batch, data } = rows;
      const buffer = uploadRows(device, rows);
      const readback = new Readback(device);
      const sampler = new JavaScriptSampler(vocab);
      const call = (mode: ModeName): Promise<Uint32Array> =>
        readback.read(buffer, data.byteLength, (mapped) => {
          const logits = new Float32Array(mapped);
          const tokens = new Uint32Array(batch);
          for (let row = 0; row < batch; row++) {
            tokens[row] = sampler.sample(logits.subarray(row * vocab, (row + 1) * vocab), MODES[mode], Math.random());
          }
          return tokens;
        });
      const calls =
        (mode: ModeName): Calls =>
        (count) =>
          Promise.all(Array.from({ length: count }, () => call(mode)));
      return {
        modes: Object.fromEntries(MODE_NAMES.map((mode) => [mode, calls(mode)])),
        release: () => {
          readback.destroy();
          buffer.destroy();
        },
      };
    },
  };
}
