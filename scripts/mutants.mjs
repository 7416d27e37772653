/**
 * Plants faults one at a time, in shaders, host and reference, and reports which ones the suite does not find.
 *
 *   npm run mutants
 *   npm run mutants -- --only carry          those whose name holds "carry"
 *   npm run mutants -- --list
 *   npm run mutants -- --from 20 --to 40 --skip-clean     a slice, without the run that plants nothing
 *
 * A pattern that does not occur exactly once in its file is an error: the list has to follow the code.
 */
import { fork } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { mutants } from "../test/mutants/mutants.mjs";
import { swiftShader } from "./drivers.mjs";

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    from: { type: "string", default: "0" },
    to: { type: "string", default: String(mutants.length) },
    list: { type: "boolean", default: false },
    "skip-clean": { type: "boolean", default: false },
    json: { type: "string" },
  },
});

const stale = mutants.filter(({ file, search }) => readFileSync(file, "utf8").split(search).length !== 2);
for (const { name, file, search } of stale) {
  console.error(`stale: "${name}": the pattern must occur exactly once in ${file}:\n${search}`);
}
const names = new Set(mutants.map(({ name }) => name));
if (names.size !== mutants.length) console.error("two mutants have the same name");
if (stale.length > 0 || names.size !== mutants.length) process.exit(2);

const chosen = mutants.slice(Number(values.from), Number(values.to)).filter(({ name }) => name.includes(values.only));
if (values.list) {
  for (const { name, file } of chosen) console.log(`${file}: ${name}`);
  process.exit(0);
}

let worker;
const seconds = (since) => (performance.now() - since) / 1000;

let began = performance.now();
// A fault may make a loop endless. What takes many times as long as everything together will not end.
let patience = 45;
if (!values["skip-clean"]) {
  const found = await test(null, 900);
  if (found !== null) {
    console.error(`Without a mutant the suite must find nothing, but it found: ${found}`);
    process.exit(2);
  }
  patience = Math.max(60, 5 * seconds(began));
  console.log(`without a mutant: nothing found, ${seconds(began).toFixed(1)} s`);
}

const results = [];
for (const mutant of chosen) {
  began = performance.now();
  const killedBy = await test(mutant, patience);
  results.push({ ...mutant, killedBy, seconds: seconds(began) });
  const verdict =
    killedBy === null ? (mutant.equivalent ? "survives, as it must" : "SURVIVES") : `found by ${killedBy}`;
  console.log(`${mutant.name} (${mutant.file}): ${verdict.slice(0, 160)}, ${seconds(began).toFixed(1)} s`);
}
stop();

const survivors = results.filter(({ killedBy, equivalent }) => killedBy === null && !equivalent);
const same = results.filter(({ killedBy, equivalent }) => killedBy === null && equivalent);
const wrong = results.filter(({ killedBy, equivalent }) => killedBy !== null && equivalent);
for (const { name, file } of survivors) console.log(`survivor: ${name} (${file})`);
for (const { name, equivalent } of same) console.log(`equivalent: ${name}: ${equivalent}`);
for (const { name } of wrong) console.log(`said to be equivalent, but found: ${name}`);
const found = results.length - survivors.length - same.length;
console.log(`${results.length} mutants: ${found} found, ${same.length} equivalent, ${survivors.length} survive`);
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, undefined, 1)}\n`);
process.exit(survivors.length + wrong.length === 0 ? 0 : 1);

/** What found the mutant, or null; in a process of its own that may be ended. */
async function test(mutant, limit) {
  worker ??= await start();
  return new Promise((resolve) => {
    const timer = setTimeout(() => done(`time-out after ${Math.round(limit)} s`, true), 1000 * limit);
    const onMessage = ({ killedBy }) => done(killedBy, false);
    const onExit = (status, signal) => done(`crash (${signal ?? status})`, true);
    const done = (killedBy, lost) => {
      clearTimeout(timer);
      worker.off("message", onMessage);
      worker.off("exit", onExit);
      if (lost) stop();
      resolve(killedBy);
    };
    worker.on("message", onMessage);
    worker.on("exit", onExit);
    worker.send(mutant);
  });
}

function start() {
  const driver = swiftShader();
  const software = process.env.VK_ICD_FILENAMES === undefined && driver !== undefined;
  const env = software ? { VK_ICD_FILENAMES: driver, LD_LIBRARY_PATH: dirname(driver) } : {};
  const child = fork("scripts/mutants-worker.mjs", {
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  return new Promise((resolve) => {
    child.once("message", () => resolve(child));
  });
}

function stop() {
  worker?.kill("SIGKILL");
  worker = undefined;
}
