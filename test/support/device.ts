/** The device under test. No adapter is a failure, and so is any error that a test does not expect. */
import { afterEach, expect } from "vitest";

/** The usages that tests make buffers with. */
export const STORAGE: number = 128;
export const COPY_SRC: number = 4;
export const COPY_DST: number = 8;

/** Requests a device, with subgroups where the adapter has them. */
export async function requestDevice(): Promise<GPUDevice> {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter)
    throw new Error("no WebGPU adapter: these tests need one (see scripts/test.mjs for the browser's flags)");
  const requiredFeatures = (["subgroups"] as GPUFeatureName[]).filter((feature) => adapter.features.has(feature));
  return adapter.requestDevice({ label: "test", requiredFeatures });
}

/** A device for all tests of a file; errors that nobody caught fail the test they came in. */
export async function sharedDevice(): Promise<GPUDevice> {
  const device = await requestDevice();
  const uncaught: string[] = [];
  device.addEventListener("uncapturederror", (event) => uncaught.push(event.error.message));
  afterEach(async () => {
    await device.queue.onSubmittedWorkDone();
    expect(uncaught.splice(0)).toEqual([]);
  });
  return device;
}

/** A buffer that holds `data`. */
export function bufferOf(
  device: GPUDevice,
  data: Float32Array | Uint32Array | Uint16Array,
  usage: number = STORAGE | COPY_DST | COPY_SRC,
): GPUBuffer {
  const size = Math.ceil(data.byteLength / 4) * 4;
  const buffer = device.createBuffer({ label: "test data", size, usage, mappedAtCreation: true });
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  new Uint8Array(buffer.getMappedRange()).set(bytes);
  buffer.unmap();
  return buffer;
}

/** What a buffer holds, as words. */
export async function wordsOf(device: GPUDevice, buffer: GPUBuffer): Promise<Uint32Array> {
  const copy = device.createBuffer({ label: "test copy", size: buffer.size, usage: 1 | COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(1);
  const words = new Uint32Array(copy.getMappedRange()).slice();
  copy.destroy();
  return words;
}

/** Keeps count of the buffers that a device has made and that are not destroyed. */
export function aliveBuffers(device: GPUDevice): Set<GPUBuffer> {
  const alive = new Set<GPUBuffer>();
  const create = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    alive.add(buffer);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      alive.delete(buffer);
      return destroy();
    };
    return buffer;
  };
  return alive;
}
