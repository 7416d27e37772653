/** The visitor's GPU. One device serves the whole page; after a loss the next one who asks gets a new one. */
import { messageOf } from "./dom.ts";

export interface Gpu {
  readonly device: GPUDevice;
  readonly name: string;
  /** Why the device was lost; `undefined` while it is there. */
  readonly lost: () => string | undefined;
}

let open: Promise<Gpu | undefined> | undefined;

let tried: (useful: boolean) => void = () => undefined;

/** Lets somebody know whether the GPU was of use, whenever that turns out. */
export function whenTried(listener: (useful: boolean) => void): void {
  tried = listener;
}

/**
 * Makes something on the GPU.
 *
 * @param refused is told why the GPU that there is cannot be used
 * @returns `undefined` where there is none, or it cannot be used
 */
export async function onGpu<T>(
  make: (gpu: Gpu) => Promise<T>,
  refused: (reason: string) => void,
): Promise<T | undefined> {
  try {
    const gpu = await requestGpu();
    const made = gpu && (await make(gpu));
    tried(gpu !== undefined);
    return made;
  } catch (error) {
    tried(false);
    refused(messageOf(error));
    return undefined;
  }
}

/** @returns `undefined` where there is no WebGPU, or no adapter */
function requestGpu(): Promise<Gpu | undefined> {
  open ??= openGpu().catch((error: unknown) => {
    open = undefined;
    throw error;
  });
  return open;
}

async function openGpu(): Promise<Gpu | undefined> {
  const adapter = await findAdapter();
  if (adapter === undefined) return undefined;
  const subgroups = "subgroups" as GPUFeatureName;
  const device = await adapter.requestDevice({
    label: "page.device",
    requiredFeatures: adapter.features.has(subgroups) ? [subgroups] : [],
  });
  let reason: string | undefined;
  void device.lost.then((info) => {
    reason = info.message || info.reason;
    open = undefined;
  });
  return { device, name: adapterName(adapter.info), lost: () => reason };
}

export async function findAdapter(): Promise<GPUAdapter | undefined> {
  const { gpu } = navigator as Partial<Pick<Navigator, "gpu">>;
  return (await gpu?.requestAdapter({ powerPreference: "high-performance" })) ?? undefined;
}

/** What an adapter says of itself, each word once. */
export function adapterName({ vendor, architecture, device, description }: GPUAdapterInfo): string {
  const parts = description === "" ? [vendor, architecture, device] : [vendor, description];
  return [...new Set(parts.filter((part) => part !== ""))].join(" ") || "WebGPU";
}
