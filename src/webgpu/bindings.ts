/** Bind groups of the caller's buffers, made when a buffer is first seen and forgotten with it. */
import type { Pipelines } from "./pipelines.ts";

/** A range of a buffer, in bytes. */
export interface Range {
  readonly offset: number;
  readonly size: number;
}

/** Buffers of the sampler that are bound beside the caller's. */
export interface OwnBuffers {
  /** Where nothing is to be read. */
  readonly nothing: GPUBuffer;
  /** What is laid over processed logits. */
  readonly overlay: () => GPUBuffer;
}

/** Ranges of one buffer whose groups are kept: a buffer that is too large to be bound whole may be read at any place. */
const MOST_RANGES = 64;

/** The bind groups of one engine. */
export class Bindings {
  readonly #device: GPUDevice;
  readonly #layouts: Pipelines["layouts"];
  readonly #own: OwnBuffers;
  #groups = new WeakMap<GPUBuffer, Map<string, GPUBindGroup>>();

  constructor(device: GPUDevice, { layouts }: Pipelines, own: OwnBuffers) {
    this.#device = device;
    this.#layouts = layouts;
    this.#own = own;
  }

  /**
   * The caller's logits; where they are processed, with what is laid over them.
   *
   * @param quadBytes the bytes of four logits
   */
  logits(buffer: GPUBuffer, range: Range, quadBytes: number, processed: boolean): GPUBindGroup {
    return this.#group(processed ? "processed" : "inputs", buffer, range, (resource) => [
      // Less than a quad cannot be bound as quads, and there is none to read then.
      range.size < quadBytes ? { buffer: this.#own.nothing } : resource,
      processed ? { buffer: this.#own.overlay() } : resource,
    ]);
  }

  /** Where tokens go. */
  tokens(buffer: GPUBuffer, range: Range = { offset: 0, size: buffer.size - (buffer.size % 4) }): GPUBindGroup {
    return this.#group("tokens", buffer, range, (resource) => [resource]);
  }

  /** Where all tokens' logits or probabilities go. */
  output(buffer: GPUBuffer, range: Range): GPUBindGroup {
    return this.#group("output", buffer, range, (resource) => [resource]);
  }

  /** Forgets all of them: one made of a buffer that does not belong here must not be used again. */
  clear(): void {
    this.#groups = new WeakMap();
  }

  #group(
    name: "inputs" | "processed" | "tokens" | "output",
    buffer: GPUBuffer,
    { offset, size }: Range,
    resources: (range: GPUBufferBinding) => readonly GPUBufferBinding[],
  ): GPUBindGroup {
    let groups = this.#groups.get(buffer);
    if (groups === undefined) this.#groups.set(buffer, (groups = new Map()));
    const key = `${name}:${offset}:${size}`;
    let group = groups.get(key);
    if (group === undefined) {
      if (groups.size >= MOST_RANGES) groups.clear();
      group = this.#device.createBindGroup({
        label: `webgpu-token-sampler.${name}`,
        layout: this.#layouts[name],
        entries: resources({ buffer, offset, size }).map((resource, binding) => ({ binding, resource })),
      });
      groups.set(key, group);
    }
    return group;
  }
}
