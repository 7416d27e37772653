/** What the bench commands share: a page that is built, served and opened, and a result that is printed and written. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { cpus, type as systemName } from "node:os";
import { dirname, extname, join, normalize, parse } from "node:path";
import { chromium } from "playwright";
import { build, runnerImport } from "vite";
import { chromiumFlags, findBrowser } from "./browser.mjs";

/** Imports a TypeScript file of the bench. */
export const load = async (file) => (await runnerImport(file, { configFile: false, logLevel: "error" })).module;

/**
 * Builds a page of the bench and opens it in a headless Chromium.
 *
 * @param {object} page
 * @param {string} page.html the page's file
 * @param {string} page.ready name of the global function that it defines
 * @param {boolean} page.hardware whether to use the machine's GPU
 * @param {import("vite").AliasOptions} [page.alias]
 * @param {Readonly<Record<string, string>>} [page.folders] folders served beside the page, by the first part of the path
 */
export async function openPage({ html, ready, hardware, alias = [], folders = {} }) {
  const found = findBrowser();
  console.log(`Browser: ${found.path} (from ${found.from})`);
  const { name } = parse(html);
  await build({
    configFile: false,
    root: "bench",
    base: "./",
    logLevel: "error",
    resolve: { alias },
    build: {
      outDir: `dist/${name}`,
      emptyOutDir: true,
      target: "es2022",
      minify: false,
      chunkSizeWarningLimit: 1e6,
      rollupOptions: { input: html },
    },
  });
  const server = await serve(`bench/dist/${name}`, folders);
  const browser = await chromium.launch({ executablePath: found.path, args: chromiumFlags(hardware) });
  const close = async () => {
    await browser.close();
    server.close();
  };
  try {
    const tab = await browser.newPage();
    const started = Date.now();
    const elapsed = () => new Date(Date.now() - started).toISOString().slice(14, 19);
    tab.on("console", (message) => console.log(`${elapsed()} ${message.text()}`));
    tab.on("pageerror", (error) => console.error(error));
    await tab.goto(`http://localhost:${server.address().port}/${name}.html`);
    await tab.waitForFunction((global) => globalThis[global] !== undefined, ready);
    return { tab, runtime: `Chromium ${browser.version()}`, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Makes a result of what a run measured, prints it, and writes it where that is asked for.
 *
 * @returns {Promise<number>} the exit code: 1 where a token differed
 */
export async function finish({ command, given, runtime, options, outcome, json }) {
  const { markdown } = await load("./bench/table.ts");
  // Where the result goes says nothing about it.
  const shown = given.filter((arg, at) => !arg.startsWith("--json") && given[at - 1] !== "--json");
  const result = {
    version: 1,
    date: new Date().toISOString(),
    command: [command, ...(shown.length > 0 ? ["--", ...shown] : [])].join(" "),
    package: JSON.parse(readFileSync("package.json", "utf8")).version,
    machine: { cpu: cpus()[0]?.model.trim() ?? "unknown", cores: cpus().length, system: systemName() },
    runtime,
    options,
    ...outcome,
  };
  for (const line of result.mismatches) console.error(`DIFFERENT: ${line}`);
  console.log(`\n${markdown(result)}`);
  if (json !== undefined) {
    mkdirSync(dirname(json), { recursive: true });
    writeFileSync(json, `${JSON.stringify(result, undefined, 1)}\n`);
    console.log(`Written: ${json}`);
  }
  return result.mismatches.length === 0 ? 0 : 1;
}

/** Serves a folder on localhost, isolated from other origins: that makes the browser's clock finer. */
function serve(root, folders) {
  const types = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
  };
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://localhost").pathname));
    const [, first, ...rest] = path.split("/");
    const file = folders[first] === undefined ? join(root, path) : join(folders[first], ...rest);
    if (!existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, {
      "Content-Type": types[extname(file)] ?? "application/octet-stream",
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
    });
    response.end(readFileSync(file));
  });
  return new Promise((resolve) => server.listen(0, "localhost", () => resolve(server)));
}
