/** A device of Dawn for Node; on Chromium's SwiftShader, unless a GPU is asked for. */
import { spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { swiftShader } from "./drivers.mjs";

/**
 * Where libraries are looked for is read once, when a process starts: without the driver in the environment this runs
 * the program again with it, and does not return.
 *
 * @param {boolean} hardware
 * @returns {Promise<GPUDevice>}
 */
export async function dawnDevice(hardware) {
  if (!hardware && process.env.VK_ICD_FILENAMES === undefined) {
    const driver = swiftShader();
    if (driver === undefined) throw new Error("There is no SwiftShader here: install Chromium, or pass --hardware.");
    const libraries = [dirname(driver), process.env.LD_LIBRARY_PATH].filter(Boolean).join(":");
    const { status } = spawnSync(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
      stdio: "inherit",
      env: { ...process.env, VK_ICD_FILENAMES: driver, LD_LIBRARY_PATH: libraries },
    });
    process.exit(status ?? 1);
  }
  const { create, globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  // Dawn crashes at random once this object is garbage: a global keeps it for the life of the process.
  globalThis.dawn = create([]);
  const adapter = await globalThis.dawn.requestAdapter();
  if (adapter === null) throw new Error("There is no WebGPU adapter.");
  const device = await adapter.requestDevice({
    requiredFeatures: adapter.features.has("subgroups") ? ["subgroups"] : [],
  });
  device.addEventListener("uncapturederror", ({ error }) => {
    console.error(`uncaught: ${error.message}`);
    process.exit(1);
  });
  return device;
}
