/**
 * The bench beside its peers: what a user would take instead, on the same logits, in the same run. Installs the peers into
 * bench/peers on first use, opens a page in a headless Chromium that measures, shows progress and prints a table.
 *
 *   npm run bench:peers -- --batch 8 --mode top-k --peers copy,onnx --json FILE
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { finish, load, openPage } from "./bench-page.mjs";

const { HELP, parseCommandLine, PEERS_DEFAULTS, UsageError } = await load("./bench/options.ts");

const PEERS = ["copy", "transformers", "tensorflow", "onnx", "jax"];
const FOLDER = "bench/peers";
const MODULES = `${FOLDER}/node_modules`;

const USAGE = `Usage: npm run bench:peers -- [options]

Times the sampler beside what one would take instead: a copy to the CPU with hand-written JavaScript (copy),
transformers.js, TensorFlow.js, ONNX Runtime Web and jax-js; all from logits on the GPU to tokens in JavaScript.

${HELP}
  --peers NAME,…   ${PEERS.join(", ")} (all)
  --hardware       use the GPU, not the software adapter

Left out, --rounds is 4 and --json is bench/results/peers.json.`;

const given = process.argv.slice(2);
try {
  const { options, json, help, rest } = parseCommandLine(
    given,
    { peers: { type: "string" }, hardware: { type: "boolean" } },
    PEERS_DEFAULTS,
  );
  const peers = rest.peers?.split(",") ?? PEERS;
  const unknown = peers.find((name) => !PEERS.includes(name));
  if (unknown !== undefined) throw new UsageError(`--peers: expected of ${PEERS.join(", ")}, got "${unknown}"`);
  if (help) console.log(USAGE);
  else process.exitCode = await run(options, peers, json ?? "bench/results/peers.json", rest.hardware === true);
} catch (error) {
  console.error(error instanceof UsageError ? `${error.message}\n\n${USAGE}` : error);
  process.exitCode = 1;
}

async function run(options, peers, json, hardware) {
  install();
  const transformers = `${MODULES}/@huggingface/transformers`;
  const nested = `${transformers}/node_modules/onnxruntime-web/dist`;
  const absent = resolve(`${FOLDER}/absent.ts`);
  const page = await openPage({
    html: "bench/peers.html",
    ready: "benchPeers",
    hardware,
    alias: [
      { find: /^transformers-source\//, replacement: `${resolve(transformers, "src")}/` },
      { find: /^\.\/onnx-node\.js$/, replacement: absent },
      { find: "sharp", replacement: absent },
      { find: /^node:.*$/, replacement: absent },
    ],
    folders: { ort: `${MODULES}/onnxruntime-web/dist`, "ort-transformers": nested },
  });
  try {
    const outcome = await page.tab.evaluate((all) => globalThis.benchPeers(...all), [parts(options), peers]);
    return await finish({ command: "npm run bench:peers", given, runtime: page.runtime, options, outcome, json });
  } finally {
    await page.close();
  }
}

/** Single rows are compared where they are peaked; that a row is flat or equal matters to whole batches. */
function parts(options) {
  const whole = options.shapes.filter(({ batch }) => batch > 1);
  const isOther = (input) => input !== "peaked";
  if (whole.length === 0 || whole.length === options.shapes.length) return [options];
  const all = [
    { ...options, inputs: options.inputs.filter((input) => !isOther(input)) },
    { ...options, inputs: options.inputs.filter(isOther), shapes: whole },
  ];
  return all.filter(({ inputs }) => inputs.length > 0);
}

/** Installs the pinned versions where they are not there yet. */
function install() {
  const { dependencies } = JSON.parse(readFileSync(join(FOLDER, "package.json"), "utf8"));
  const installed = (name) => {
    const file = join(MODULES, name, "package.json");
    return existsSync(file) && JSON.parse(readFileSync(file, "utf8")).version === dependencies[name];
  };
  if (Object.keys(dependencies).every(installed)) return;
  console.log(`Installing the peers into ${FOLDER} (once):`);
  const args = ["ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"];
  const { status } = spawnSync("npm", args, { cwd: FOLDER, stdio: "inherit", shell: process.platform === "win32" });
  if (status !== 0) throw new Error(`bench:peers: npm ci in ${FOLDER} failed`);
}
