/** Vulkan drivers that run on the CPU, and where they are. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Chromium's SwiftShader: its description for the Vulkan loader, or undefined. */
export function swiftShader() {
  const folders = ["/usr/lib/chromium", "/usr/lib/chromium-browser", "/opt/google/chrome"];
  return folders.map((folder) => join(folder, "vk_swiftshader_icd.json")).find(existsSync);
}

/** Mesa's lavapipe. */
export function lavapipe() {
  for (const folder of ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"].filter(existsSync)) {
    const name = readdirSync(folder).find((file) => /^lvp_icd.*\.json$/.test(file));
    if (name !== undefined) return join(folder, name);
  }
  return undefined;
}

/** Where a command is, or undefined. */
export function onPath(name) {
  const { status, stdout } = spawnSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}
