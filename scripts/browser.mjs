/** Finds a Chromium for GPU tests and benches; installs one where that is possible. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chromium } from "playwright";
import { onPath } from "./drivers.mjs";

const SYSTEM = ["google-chrome-stable", "google-chrome", "chromium", "chromium-browser"];
const MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

/**
 * Flags for headless WebGPU. Chromium answers requestAdapter() without a GPU only when asked to: SwiftShader then runs
 * the shaders on the CPU. The rest keeps it quiet on a closed network.
 *
 * @param {boolean} hardware use the GPU, not the software adapter
 */
export function chromiumFlags(hardware) {
  return [
    "--enable-unsafe-webgpu",
    hardware ? "--enable-features=Vulkan" : "--use-webgpu-adapter=swiftshader",
    "--enable-webgpu-developer-features",
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
  ];
}

/**
 * @returns {{ path: string, from: string }} the browser's executable, and where it comes from
 */
export function findBrowser() {
  const found = fromEnvironment() ?? fromSystem() ?? fromPlaywright();
  if (found !== undefined) return found;
  install();
  const installed = fromSystem() ?? fromPlaywright();
  if (installed === undefined) {
    throw new Error(
      "No Chrome or Chromium found, and none could be installed. Install one, or set WTS_BROWSER to its executable.",
    );
  }
  return installed;
}

function fromEnvironment() {
  const path = process.env.WTS_BROWSER;
  if (path === undefined) return undefined;
  if (!existsSync(path)) throw new Error(`WTS_BROWSER: there is no ${path}`);
  return { path, from: "WTS_BROWSER" };
}

function fromSystem() {
  for (const name of SYSTEM) {
    const path = onPath(name);
    if (path !== undefined) return { path, from: "the system" };
  }
  return existsSync(MAC) ? { path: MAC, from: "the system" } : undefined;
}

function fromPlaywright() {
  const path = chromium.executablePath();
  return existsSync(path) ? { path, from: "Playwright" } : undefined;
}

function install() {
  const run = (command, args) => execFileSync(command, args, { stdio: ["ignore", "inherit", "inherit"] });
  if (existsSync("/etc/debian_version") && process.getuid?.() === 0) {
    console.log("No browser found: installing Debian's chromium.");
    run("apt-get", ["update", "-q"]);
    run("apt-get", ["install", "-y", "-q", "--no-install-recommends", "chromium"]);
    return;
  }
  console.log("No browser found: letting Playwright install its Chromium.");
  try {
    run("npx", ["playwright", "install", "chromium"]);
  } catch {
    // said by findBrowser
  }
}
