/** WebGPU in Node, through the package `webgpu` (Dawn), where there is an adapter. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname } from "node:path";

export interface Gpu {
  readonly device: GPUDevice;
  /** What the adapter says of itself. */
  readonly name: string;
}

/** Where Chromium and Chrome on Linux keep SwiftShader, a Vulkan driver that runs on the CPU. */
const SOFTWARE_DRIVERS = ["/usr/lib/chromium", "/usr/lib/chromium-browser", "/opt/google/chrome"].map(
  (folder) => `${folder}/vk_swiftshader_icd.json`,
);

/**
 * A device, or why there is none.
 *
 * Without an adapter, and where Chromium's software driver is installed, the program is run again with that driver:
 * where libraries are looked for is read once, when a process starts. This call then does not return.
 */
export async function findGpu(): Promise<Gpu | string> {
  let dawn: typeof import("webgpu");
  try {
    dawn = await import("webgpu");
  } catch {
    return "the npm package webgpu cannot be loaded here";
  }
  Object.assign(globalThis, dawn.globals);
  const gpu = dawn.create([]);
  // Dawn crashes at random once this object is garbage: a global keeps it for the life of the process.
  Object.defineProperty(globalThis, "navigator", { value: { gpu }, configurable: true });

  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) {
    runWithSoftwareDriver();
    return "no WebGPU adapter was found";
  }
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const descriptor: GPUDeviceDescriptor = {
    label: "webgpu-token-sampler.demo",
    requiredFeatures: adapter.features.has("subgroups") ? ["subgroups"] : [],
    // The defaults hold 128 MiB: 32 rows of the largest vocabularies fit, twice as many do not.
    requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
  };
  try {
    return { device: await adapter.requestDevice(descriptor), name: nameOf(adapter.info) };
  } catch (error) {
    return `the WebGPU adapter gave no device (${String(error)})`;
  }
}

function nameOf({ vendor, architecture, device, description }: GPUAdapterInfo): string {
  const name = [vendor, architecture].filter(Boolean).join(" ");
  return `${name} (${description || device || "no description"})`;
}

function runWithSoftwareDriver(): void {
  if (process.platform !== "linux" || process.env["VK_ICD_FILENAMES"] !== undefined) return;
  const driver = SOFTWARE_DRIVERS.find((path) => existsSync(path));
  if (driver === undefined) return;
  console.log(`No GPU found. Using Chromium's software adapter instead (VK_ICD_FILENAMES=${driver}).`);
  // Chromium also brings the Vulkan loader, which a machine without a GPU may lack.
  const libraries = [dirname(driver), process.env["LD_LIBRARY_PATH"]].filter(Boolean).join(":");
  const { status } = spawnSync(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    stdio: "inherit",
    env: { ...process.env, VK_ICD_FILENAMES: driver, LD_LIBRARY_PATH: libraries },
  });
  process.exit(status ?? 1);
}
