/** Waits for the news that a device was lost: it may come a moment after that has made something fail. */
export async function newsOfLoss({ lost }: GPUDevice): Promise<void> {
  await Promise.race([lost, new Promise((resolve) => setTimeout(resolve, 200))]);
}

/**
 * Asks for a device of our own: buffers as large as the adapter allows, and else no more than the kernels need.
 *
 * @returns undefined where there is no adapter, or where asking for it or for a device is refused
 * @throws Error instead of the latter, if the device is `required`
 */
export async function requestDevice(required: boolean): Promise<GPUDevice | undefined> {
  const gpu = (globalThis.navigator as Navigator | undefined)?.gpu;
  const subgroups = "subgroups" as GPUFeatureName;
  let refused = "WebGPU gave no adapter";
  try {
    const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) return undefined;
    refused = "the adapter gave no device";
    return await adapter.requestDevice({
      label: "webgpu-token-sampler.device",
      requiredFeatures: adapter.features.has(subgroups) ? [subgroups] : [],
      requiredLimits: {
        maxBufferSize: adapter.limits.maxBufferSize,
        maxStorageBufferBindingSize: adapter.limits.maxStorageBufferBindingSize,
      },
    });
  } catch (error) {
    if (!required) return undefined;
    throw new Error(`webgpu-token-sampler: ${refused}. ${String(error)}`, { cause: error });
  }
}

/** A device that the kernels cannot be trusted to: it does not compile them, or draws, or is known to draw, other tokens than the reference. */
export class UnfitDeviceError extends Error {}

const losses = new WeakMap<GPUDevice, { info?: GPUDeviceLostInfo }>();

/**
 * Whether a device was lost, and why. There is one listener a device: one a sampler would keep every sampler that was ever
 * made in memory for as long as the device lives.
 */
export function lossOf(device: GPUDevice): { readonly info?: GPUDeviceLostInfo } {
  let loss = losses.get(device);
  if (loss === undefined) {
    const made: { info?: GPUDeviceLostInfo } = {};
    void device.lost.then((info) => (made.info = info));
    losses.set(device, (loss = made));
  }
  return loss;
}
