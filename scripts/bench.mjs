/**
 * The bench. Opens a page in a headless Chromium that measures, or runs the same code in Node with Dawn, shows progress
 * and prints a table.
 *
 *   npm run bench -- --vocab 128256 --batch 1,8,32 --mode greedy,top-k --input peaked --json FILE
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { finish, load, openPage } from "./bench-page.mjs";

const { HELP, parseCommandLine, UsageError } = await load("./bench/options.ts");

const USAGE = `Usage: npm run bench -- [options]

Times the sampler beside the read limit of the adapter: a kernel that only reads the same logits, in the same run.

${HELP}
  --engine NAME    chromium, or node: Dawn for Node, which checks every kernel path first (chromium)
  --hardware       use the GPU, not the software adapter
  --check-only     with --engine node: check, measure nothing
  --no-check       with --engine node: measure only`;

const given = process.argv.slice(2);
try {
  const { options, json, help, rest } = parseCommandLine(given, {
    engine: { type: "string" },
    hardware: { type: "boolean" },
    "check-only": { type: "boolean" },
    "no-check": { type: "boolean" },
  });
  const engine = rest.engine ?? "chromium";
  if (help) console.log(USAGE);
  else if (engine === "node") process.exitCode = inNode(given);
  else if (engine === "chromium") process.exitCode = await inChromium(options, json, rest.hardware === true);
  else throw new UsageError(`--engine: expected chromium or node, got "${engine}"`);
} catch (error) {
  console.error(error instanceof UsageError ? `${error.message}\n\n${USAGE}` : error);
  process.exitCode = 1;
}

async function inChromium(options, json, hardware) {
  const page = await openPage({ html: "bench/browser.html", ready: "bench", hardware });
  try {
    const outcome = await page.tab.evaluate((given) => globalThis.bench(given), options);
    return finish({ command: "npm run bench", given, runtime: page.runtime, options, outcome, json });
  } finally {
    await page.close();
  }
}

/** Bundles, then runs the bundle: where there is no GPU, with Chromium's software driver. */
function inNode(given) {
  const env = { ...process.env };
  const driver = softwareDriver();
  if (driver !== undefined && !given.includes("--hardware") && env.VK_ICD_FILENAMES === undefined) {
    console.log(`Adapter: Chromium's software driver (${driver}); --hardware takes the GPU instead`);
    env.VK_ICD_FILENAMES = driver;
    env.LD_LIBRARY_PATH = [dirname(driver), env.LD_LIBRARY_PATH].filter(Boolean).join(":");
  }
  const own = given.filter(
    (arg, at) => arg !== "--hardware" && !arg.startsWith("--engine") && given[at - 1] !== "--engine",
  );
  for (const command of [["scripts/bench-bundle.mjs"], ["bench/dist/bench.mjs", ...own]]) {
    const { status } = spawnSync(process.execPath, command, { stdio: "inherit", env });
    if (status !== 0) return status ?? 1;
  }
  return 0;
}

function softwareDriver() {
  const folders = ["/usr/lib/chromium", "/usr/lib/chromium-browser", "/opt/google/chrome"];
  return folders.map((folder) => join(folder, "vk_swiftshader_icd.json")).find(existsSync);
}
