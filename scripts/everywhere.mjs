/**
 * Asks the same fixed calls of every engine in every runtime, and compares the digests of all tokens, kept sets and
 * masses with the committed one.
 *
 *   npm run test:everywhere
 *   npm run test:everywhere -- --only deno-swiftshader,chromium --configuration "draw 4" --rounds 10
 *   npm run test:everywhere -- --update        writes the reference's digests into test/everywhere/digest.json
 *   npm run test:everywhere -- --brief --jobs 2 --require dawn,chromium,deno-swiftshader
 *
 *   --only NAME,…          these runtimes (all)
 *   --require NAME,…       these must be there, and right
 *   --configuration WORDS  configurations with these words in their name (all)
 *   --brief                a few configurations
 *   --rounds N             as many times (1)
 *   --jobs N               runtimes that run side by side (1)
 *   --timeout SECONDS      for one runtime (900)
 *   --json FILE            write the results there
 *   --hardware             leave the adapter to the runtime
 *
 * A runtime that is not installed is reported, and is a failure if it is required.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir, type as systemName } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright";
import { launch } from "puppeteer-core";
import { chromiumFlags, findBrowser } from "./browser.mjs";
import { commandLine, count, refuse } from "./command-line.mjs";
import { lavapipe, onPath, swiftShader } from "./drivers.mjs";
import { BUNDLE, bundle } from "./everywhere-bundle.mjs";

const DIGEST = "test/everywhere/digest.json";
const RUNNER = "scripts/everywhere-run.mjs";

/** Thrown where a runtime cannot run here; the message says why. */
class Missing extends Error {}

const { values: options } = commandLine(import.meta.filename, {
  only: { type: "string" },
  require: { type: "string" },
  configuration: { type: "string" },
  brief: { type: "boolean", default: false },
  rounds: { type: "string", default: "1" },
  jobs: { type: "string", default: "1" },
  timeout: { type: "string", default: "900" },
  json: { type: "string" },
  hardware: { type: "boolean", default: false },
  update: { type: "boolean", default: false },
});
const jobs = count("jobs", options.jobs);
const timeout = 1000 * count("timeout", options.timeout);
const listed = (text) => text?.split(",").map((name) => name.trim());
const asked = { only: options.configuration, rounds: count("rounds", options.rounds), brief: options.brief };

/** Every runtime: how it is called, and how the suite is run in it. */
const runtimes = {
  reference: (log) => inProcess(log, process.execPath, [RUNNER, JSON.stringify({})], {}),
  dawn: (log) =>
    inProcess(log, process.execPath, [RUNNER, JSON.stringify({ dawn: true, ...asked })], software(swiftShader)),
  chromium: (log) => inChromium(log),
  "deno-swiftshader": (log) => inDeno(log, swiftShader),
  "deno-lavapipe": (log) => inDeno(log, lavapipe),
  "firefox-swiftshader": (log) => inFirefox(log, swiftShader),
  "firefox-lavapipe": (log) => inFirefox(log, lavapipe),
};

const names = options.update ? ["reference"] : (listed(options.only) ?? Object.keys(runtimes));
const required = listed(options.require) ?? [];
for (const name of [...names, ...required]) {
  if (!Object.hasOwn(runtimes, name)) {
    refuse(`There is no runtime "${name}"; there are ${Object.keys(runtimes).join(", ")}`);
  }
}

await bundle();
// Installs one where there is none: it also brings the software driver that others use.
if (names.some((name) => /chromium|dawn|swiftshader/.test(name))) console.log(`Browser: ${findBrowser().path}`);

const rows = [];
const waiting = [...names.entries()];
await Promise.all(Array.from({ length: jobs }, oneAfterTheOther));
for (const name of required) {
  if (!names.includes(name)) rows.push({ name, version: "", adapter: "", verdict: "FAILED", details: ["left out"] });
}

console.log(`\n| runtime | version | adapter | rows compared | result |\n| --- | --- | --- | --- | --- |`);
for (const { name, version, adapter, compared, verdict, details } of rows) {
  const why = verdict === "not run" ? `: ${details[0]}` : "";
  console.log(`| ${name} | ${version} | ${adapter} | ${compared?.toLocaleString("en") ?? ""} | ${verdict}${why} |`);
}
if (options.json !== undefined) {
  const run = { date: new Date().toISOString(), system: systemName(), rows };
  writeFileSync(options.json, `${JSON.stringify(run, undefined, 1)}\n`);
}
const failed = rows.filter(({ verdict }) => verdict === "FAILED").length;
const passed = rows.filter(({ verdict }) => verdict === "exact").length;
console.log(`\n${passed} exact, ${failed} failed, ${rows.length - passed - failed} not run`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);

/** Runs what is waiting, until nothing is. */
async function oneAfterTheOther() {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const [index, name] = next;
    rows[index] = await rowOf(name);
  }
}

async function rowOf(name) {
  // Others may be running, so each line says whose it is.
  const log = (line) => console.log(`${name}: ${line.trim()}`);
  let row;
  try {
    const { version, report } = await runtimes[name](log);
    if (options.update) update(report.reference);
    row = { name, version, ...judge(report) };
  } catch (error) {
    const missing = error instanceof Missing;
    const verdict = missing && !required.includes(name) ? "not run" : "FAILED";
    row = { name, version: "", adapter: "", verdict, details: [error.message] };
  }
  for (const line of row.details) log(line);
  return row;
}

/** Compares a report with the committed digests. */
function judge({ reference, device }) {
  const committed = JSON.parse(readFileSync(DIGEST, "utf8"));
  const details = [];
  const compare = (whose, digests) => {
    for (const [section, digest] of Object.entries(committed.sections)) {
      if (digests.sections[section] === digest) continue;
      details.push(`${whose}: "${section}" has another digest than ${DIGEST}`);
    }
    if (digests.digest !== committed.digest) details.push(`${whose}: digest ${digests.digest}`);
  };
  compare("the reference", reference);
  if (device === undefined) {
    return { adapter: "none: the CPU engine", verdict: details.length === 0 ? "exact" : "FAILED", details };
  }
  // One configuration alone may leave out the one as it comes, whose digests are the committed ones.
  if (options.configuration === undefined || device.digests.digest !== "") compare("the device", device.digests);
  if (device.configurations === 0) details.push("no configuration ran");
  details.push(...device.differences);
  const more = device.differing - device.differences.length;
  if (more > 0) details.push(`and ${more} more rows`);
  const verdict = details.length === 0 ? "exact" : "FAILED";
  const ran = `${device.configurations} configurations, ${device.calls} calls, ${device.seconds} s`;
  details.push(
    `${ran}, subgroups ${device.subgroups ? "available" : "not available"}, digest ${committed.digest.slice(0, 16)}…`,
  );
  return { adapter: device.adapter, compared: device.rows, verdict, details };
}

function update(reference) {
  writeFileSync(DIGEST, `${JSON.stringify(reference, undefined, 2)}\n`);
  console.log(`  wrote ${DIGEST}: ${reference.digest}`);
}

/** Environment that makes a Vulkan loader take a driver that runs on the CPU; nothing with --hardware. */
function software(find) {
  if (options.hardware) return {};
  const driver = find();
  if (driver === undefined) throw new Missing(`there is no ${find === lavapipe ? "lavapipe" : "SwiftShader"} here`);
  const libraries = [find === swiftShader ? dirname(driver) : undefined, process.env.LD_LIBRARY_PATH];
  return { VK_ICD_FILENAMES: driver, LD_LIBRARY_PATH: libraries.filter(Boolean).join(":") };
}

/** Runs a command whose last line of output is the report. */
function inProcess(log, command, args, environment) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
      timeout,
    });
    let report;
    const said = [];
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.startsWith("{")) report = line;
      else log(line);
    });
    createInterface({ input: child.stderr }).on("line", (line) => said.push(line));
    child.on("error", reject);
    child.on("close", (status, signal) => {
      if (report !== undefined) resolve({ version: versionOf(command, args), report: JSON.parse(report) });
      else reject(new Error(`ended with ${signal ?? `status ${status}`}: ${said.slice(-5).join(" / ")}`));
    });
  });
}

function versionOf(command, args) {
  if (command !== process.execPath) return "Deno";
  const node = `Node ${process.versions.node}`;
  if (!args[1].includes("dawn")) return node;
  return `${node}, webgpu ${JSON.parse(readFileSync("node_modules/webgpu/package.json", "utf8")).version}`;
}

async function inDeno(log, driver) {
  const binary = join("node_modules", ".bin", "deno");
  if (!existsSync(binary)) throw new Missing("the npm package deno is not installed");
  const args = ["run", "-A", "--unstable-webgpu", RUNNER, JSON.stringify(asked)];
  const { report } = await inProcess(log, binary, args, software(driver));
  return { version: `Deno ${JSON.parse(readFileSync("node_modules/deno/package.json", "utf8")).version}`, report };
}

async function inChromium(log) {
  const { path } = findBrowser();
  const browser = await chromium.launch({ executablePath: path, args: chromiumFlags(options.hardware) });
  try {
    const page = await browser.newPage();
    return { version: `Chromium ${browser.version()}`, report: await inTime(inPage(log, page)) };
  } finally {
    await browser.close();
  }
}

async function inFirefox(log, driver) {
  const path = process.env.WTS_FIREFOX ?? onPath("firefox-esr") ?? onPath("firefox");
  if (path === undefined) throw new Missing("there is no Firefox here (WTS_FIREFOX names its executable)");
  const env = { ...process.env, ...software(driver) };
  const profile = mkdtempSync(join(tmpdir(), "wts-firefox-"));
  let browser;
  try {
    browser = await launch({
      browser: "firefox",
      executablePath: path,
      headless: true,
      userDataDir: profile,
      protocolTimeout: timeout,
      env,
      extraPrefsFirefox: { "dom.webgpu.enabled": true, "gfx.webgpu.ignore-blocklist": true },
    });
    const page = await browser.newPage();
    page.setDefaultTimeout(timeout);
    return { version: await browser.version(), report: await inPage(log, page) };
  } finally {
    await browser?.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

/** Playwright itself waits for a page's work as long as it takes. */
async function inTime(work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${timeout / 1000} s`)), timeout);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs the suite in a page of either driver library; both have `goto`, `on` and `evaluate`. */
async function inPage(log, page) {
  const server = createServer((request, response) => {
    const script = request.url === "/suite.mjs";
    response.writeHead(200, { "Content-Type": script ? "text/javascript" : "text/html" });
    response.end(script ? readFileSync(BUNDLE) : "<!doctype html><title>webgpu-token-sampler</title>");
  });
  await new Promise((resolve) => {
    server.listen(0, "localhost", resolve);
  });
  try {
    page.on("console", (message) => log(message.text()));
    await page.goto(`http://localhost:${server.address().port}/`);
    const report = await page.evaluate(
      async (given) => {
        if (navigator.gpu === undefined) throw new Error("navigator.gpu is undefined");
        const { run } = await import(given.url);
        return JSON.stringify(await run({ gpu: navigator.gpu, ...given, log: (line) => console.log(`  ${line}`) }));
      },
      { ...JSON.parse(JSON.stringify(asked)), url: "/suite.mjs" },
    );
    return JSON.parse(report);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}
