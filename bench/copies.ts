/** A cold run reads from so many bytes in turn: more than most caches hold. */
export const COLD_BYTES = 2 ** 28;
/** Cases so small that they would need more copies are no cold run. */
const MOST_COPIES = 2 ** 14;

/** One case's logits on the GPU: a buffer, or in a cold run copies that are read in turn, whoever reads. */
export class Copies {
  readonly #buffers: readonly GPUBuffer[];
  #next = 0;

  /** @param buffers the same logits in each */
  constructor(buffers: readonly GPUBuffer[]) {
    this.#buffers = buffers;
  }

  /** One of them, for what is not timed. */
  get first(): GPUBuffer {
    return this.#buffers[0]!;
  }

  /** The one that was read longest ago. */
  next(): GPUBuffer {
    const buffer = this.#buffers[this.#next]!;
    this.#next = (this.#next + 1) % this.#buffers.length;
    return buffer;
  }

  /** Runs what takes copies and does not read them: they are still the next ones. */
  unread<T>(work: () => T): T {
    const next = this.#next;
    const result = work();
    this.#next = next;
    return result;
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }
}

/** @throws Error for a cold run of a case that is too small for one */
export function upload(device: GPUDevice, data: Float32Array<ArrayBuffer>, cold: boolean): Copies {
  const count = cold ? Math.ceil(COLD_BYTES / data.byteLength) : 1;
  if (count > MOST_COPIES) {
    throw new Error(
      `bench: --cold: ${data.byteLength} bytes of logits are too few; ${COLD_BYTES / MOST_COPIES} will do`,
    );
  }
  return new Copies(
    Array.from({ length: count }, () => {
      const buffer = device.createBuffer({
        label: "bench.logits",
        size: Math.ceil(data.byteLength / 16) * 16,
        usage: 0x0080 | 0x0008 | 0x0004,
      });
      device.queue.writeBuffer(buffer, 0, data);
      return buffer;
    }),
  );
}
