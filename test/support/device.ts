/** The device under test. No adapter is a failure, and so is any error that a test does not expect. */
import { afterAll, afterEach, expect } from "vitest";

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

/**
 * Writes down what a device compiles from now on, or, given the prototype of all, any device.
 *
 * @param only of which device, and under which label
 */
export function recorded(
  device: GPUDevice,
  only: (device: GPUDevice, label: string) => boolean = () => true,
): { readonly codes: string[]; readonly constants: unknown[] } {
  const codes: string[] = [];
  const constants: unknown[] = [];
  type Descriptor = Partial<GPUShaderModuleDescriptor & GPUComputePipelineDescriptor>;
  for (const name of ["createShaderModule", "createComputePipeline", "createComputePipelineAsync"] as const) {
    const original = device[name] as (this: GPUDevice, descriptor: Descriptor) => unknown;
    Object.defineProperty(device, name, {
      configurable: true,
      writable: true,
      value(this: GPUDevice, descriptor: Descriptor) {
        const { label = "", code, compute } = descriptor;
        if (only(this, label)) {
          if (code !== undefined) codes.push(code);
          constants.push(...Object.values(compute?.constants ?? {}));
        }
        return original.call(this, descriptor);
      },
    });
  }
  return { codes, constants };
}

let shared: GPUDevice | undefined;

/** What samplers have compiled on the shared device. On the prototype, so that tests may watch the device itself. */
export const compiled: ReturnType<typeof recorded> = recorded(
  GPUDevice.prototype,
  (device, label) => device === shared && label.startsWith("webgpu-token-sampler."),
);

/** A device for the tests of all files, which run in one page, so that what one has compiled is there for the next. */
export async function sharedDevice(): Promise<GPUDevice> {
  shared ??= await requestDevice();
  failOnErrors(shared);
  return shared;
}

/** A device for all tests of a file, which may change it. */
export async function ownDevice(): Promise<GPUDevice> {
  const device = await requestDevice();
  failOnErrors(device);
  return device;
}

/** Errors that nobody caught fail the test they came in, of this file. */
function failOnErrors(device: GPUDevice): void {
  const uncaught: string[] = [];
  const note = (event: GPUUncapturedErrorEvent): void => void uncaught.push(event.error.message);
  device.addEventListener("uncapturederror", note);
  afterAll(() => {
    device.removeEventListener("uncapturederror", note);
  });
  afterEach(async () => {
    await device.queue.onSubmittedWorkDone();
    expect(uncaught.splice(0)).toEqual([]);
  });
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
