/** Asks for a device of our own, with no more than the kernels need. Undefined where there is no adapter. */
export async function requestDevice(): Promise<GPUDevice | undefined> {
  const gpu = (globalThis.navigator as Navigator | undefined)?.gpu;
  const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return undefined;
  const subgroups = "subgroups" as GPUFeatureName;
  return adapter.requestDevice({
    label: "webgpu-token-sampler.device",
    requiredFeatures: adapter.features.has(subgroups) ? [subgroups] : [],
  });
}
