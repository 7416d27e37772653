/**
 * The bench. Opens a page in a headless Chromium that measures, or runs the same code in Node with Dawn, shows progress
 * and prints a table.
 *
 *   npm run bench -- --vocab 128256 --batch 1,8,32 --mode greedy,top-k --input peaked --json FILE
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { cpus, type as systemName } from "node:os";
import { dirname, extname, join, normalize } from "node:path";
import { chromium } from "playwright";
import { build, runnerImport } from "vite";
import { chromiumFlags, findBrowser } from "./browser.mjs";

const load = async (file) => (await runnerImport(file, { configFile: false, logLevel: "error" })).module;
const { HELP, parseCommandLine, UsageError } = await load("./bench/options.ts");
const { markdown } = await load("./bench/table.ts");

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
  const found = findBrowser();
  console.log(`Browser: ${found.path} (from ${found.from})`);
  await build({
    configFile: false,
    root: "bench",
    base: "./",
    logLevel: "error",
    build: {
      outDir: "dist/page",
      emptyOutDir: true,
      target: "es2022",
      minify: false,
      chunkSizeWarningLimit: 1e6,
      rollupOptions: { input: "bench/browser.html" },
    },
  });
  const server = await serve("bench/dist/page");
  const browser = await chromium.launch({
    executablePath: found.path,
    args: chromiumFlags(hardware),
  });
  try {
    const tab = await browser.newPage();
    tab.on("console", (message) => console.log(message.text()));
    tab.on("pageerror", (error) => console.error(error));
    await tab.goto(`http://localhost:${server.address().port}/browser.html`);
    await tab.waitForFunction(() => globalThis.bench !== undefined);
    const outcome = await tab.evaluate((given) => globalThis.bench(given), options);
    const result = {
      version: 1,
      date: new Date().toISOString(),
      command: ["npm run bench", ...(given.length > 0 ? ["--", ...given] : [])].join(" "),
      package: JSON.parse(readFileSync("package.json", "utf8")).version,
      machine: { cpu: cpus()[0]?.model.trim() ?? "unknown", cores: cpus().length, system: systemName() },
      runtime: `Chromium ${browser.version()}`,
      options,
      ...outcome,
    };
    for (const line of result.mismatches) console.error(`DIFFERENT: ${line}`);
    console.log(`\n${markdown(result)}`);
    if (json !== undefined) writeFileSync(json, `${JSON.stringify(result, undefined, 1)}\n`);
    return result.mismatches.length === 0 ? 0 : 1;
  } finally {
    await browser.close();
    server.close();
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

/** Serves a folder on localhost, isolated from other origins: that makes the browser's clock finer. */
function serve(root) {
  const types = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
  };
  const server = createServer((request, response) => {
    const path = join(root, normalize(decodeURIComponent(new URL(request.url, "http://localhost").pathname)));
    if (!existsSync(path)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, {
      "Content-Type": types[extname(path)] ?? "application/octet-stream",
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
    });
    response.end(readFileSync(path));
  });
  return new Promise((resolve) => server.listen(0, "localhost", () => resolve(server)));
}
