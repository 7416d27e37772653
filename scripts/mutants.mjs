/**
 * Plants faults one at a time, in shaders, host and reference, and reports which ones the suite does not find.
 *
 *   npm run mutants
 *   npm run mutants -- --only carry          those whose name or file holds "carry"
 *   npm run mutants -- --list
 *   npm run mutants -- --from 20 --to 40     a slice
 *   npm run mutants -- --json found.json     writes every result down at once, and goes on where the file ends
 *   npm run mutants -- --limit 60            begins with so many seconds for a step, and not with a run without a mutant
 *   npm run mutants -- --summary found.json  says what the file holds, and runs nothing; fails if a mutant is not in it
 *
 * A pattern that does not occur exactly once in its file is an error: the list has to follow the code.
 *
 * What becomes of a mutant:
 *
 *   found      a digest or a row is another one
 *   throws     the suite ends with an error that is no difference, twice
 *   crashes    the process ends, twice
 *   hangs      one step takes many times as long as the longest does without it, on the machine as busy as it then is
 *   invalid    it does not load or compile, so that nothing was tested: the mutant has to be another one
 *   survives   nobody has noticed
 */
import { execFileSync, fork } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { mutants } from "../test/mutants/mutants.mjs";
import { swiftShader } from "./drivers.mjs";

/** How many times as long as the longest step without a mutant a step may take, and the most seconds without one. */
const PATIENCE = 6;
const CLEAN_LIMIT = 300;

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    from: { type: "string", default: "0" },
    to: { type: "string", default: String(mutants.length) },
    list: { type: "boolean", default: false },
    json: { type: "string" },
    limit: { type: "string" },
    summary: { type: "string" },
  },
});

const identity = ({ file, search, replace }) => JSON.stringify([file, search, replace]);
const stale = mutants.filter(({ file, search }) => readFileSync(file, "utf8").split(search).length !== 2);
for (const { name, file, search } of stale) {
  console.error(`stale: "${name}": the pattern must occur exactly once in ${file}:\n${search}`);
}
const names = new Set(mutants.map(({ name }) => name)).size;
const faults = new Set(mutants.map(identity)).size;
if (names !== mutants.length) console.error("two mutants have the same name");
if (faults !== mutants.length) console.error("two mutants are the same");
if (stale.length > 0 || names + faults !== 2 * mutants.length) process.exit(2);

const chosen = mutants
  .slice(Number(values.from), Number(values.to))
  .filter(({ name, file }) => `${file}: ${name}`.includes(values.only));
if (chosen.length === 0) throw new Error("there is no such mutant");
if (values.list) {
  for (const { name, file } of chosen) console.log(`${file}: ${name}`);
  process.exit(0);
}
if (values.summary !== undefined && !existsSync(values.summary)) {
  throw new Error(`--summary: there is no file ${values.summary}`);
}

/** By identity. Survivors and what is invalid are tried again. */
const file = values.summary ?? values.json;
const results = new Map((file === undefined ? [] : readResults(file)).map((r) => [identity(r), r]));
if (values.summary !== undefined) process.exit(summarize());
const settled = (result) => result !== undefined && result.verdict !== "invalid" && result.verdict !== "survives";
const open = chosen.filter((mutant) => !settled(results.get(identity(mutant))));
if (open.length < chosen.length) console.log(`${chosen.length - open.length} of ${chosen.length} are known already`);

let worker;
let limit = Number(values.limit ?? 0);
if (open.length > 0 && limit === 0) {
  const began = performance.now();
  const longest = await stepWithout();
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`without a mutant: nothing found, ${seconds} s, longest step ${longest.toFixed(1)} s`);
  limit = PATIENCE * longest;
}
const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
for (const mutant of open) {
  const began = performance.now();
  const { verdict, by } = await judge(mutant);
  const seconds = (performance.now() - began) / 1000;
  results.set(identity(mutant), { ...mutant, verdict, by, seconds: Math.round(seconds), commit });
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify([...results.values()], undefined, 1)}\n`);
  const how = verdict === "survives" && mutant.equivalent ? "survives, as it must" : verdict;
  const why = by === undefined ? "" : `: ${by.slice(0, 160)}`;
  console.log(`${mutant.name} (${mutant.file}): ${how}${why}, ${seconds.toFixed(1)} s`);
}
stop();
process.exitCode = summarize();

function readResults(file) {
  if (!existsSync(file)) return [];
  const known = new Map(mutants.map((mutant) => [identity(mutant), mutant]));
  // What has left the list leaves the results, and a name or a reason may have changed.
  return JSON.parse(readFileSync(file, "utf8")).flatMap((result) => {
    const mutant = known.get(identity(result));
    return mutant === undefined ? [] : [{ ...result, equivalent: undefined, ...mutant }];
  });
}

/** Prints what became of the chosen mutants; the exit status. */
function summarize() {
  const list = chosen.flatMap((mutant) => results.get(identity(mutant)) ?? []);
  const missing = chosen.filter((mutant) => !results.has(identity(mutant)));
  const of = (verdict) => list.filter((result) => result.verdict === verdict);
  const alive = of("survives");
  const equivalent = alive.filter((result) => result.equivalent);
  const survivors = alive.filter((result) => !result.equivalent);
  const wrong = list.filter((result) => result.equivalent && result.verdict !== "survives");
  const show = (what, results, why) => {
    for (const result of results)
      console.log(`${what}: ${result.name} (${result.file})${why ? `: ${why(result)}` : ""}`);
  };
  for (const verdict of ["throws", "crashes", "hangs", "invalid"]) show(verdict, of(verdict), ({ by }) => by);
  show("equivalent", equivalent, (result) => result.equivalent);
  show("survivor", survivors);
  show("said to be equivalent, but is not", wrong, ({ by }) => by);
  if (list.length > 0) show("without a verdict", missing);
  const counts = ["found", "throws", "crashes", "hangs", "invalid"].map(
    (verdict) => `${of(verdict).length} ${verdict}`,
  );
  console.log(
    `${list.length} of ${chosen.length} mutants: ${counts.join(", ")}, ${equivalent.length} equivalent, ${survivors.length} survive`,
  );
  return survivors.length + wrong.length + missing.length + of("invalid").length === 0 ? 0 : 1;
}

/** What becomes of a mutant. What might also come from a busy machine has to happen again before it counts. */
async function judge(mutant) {
  let before;
  for (;;) {
    const outcome = await test(mutant, limit);
    const { verdict } = outcome;
    if (verdict === "late") {
      const longest = await stepWithout(outcome.steps + 1);
      if (limit >= PATIENCE * longest) {
        const by = `a step is not done after ${Math.round(limit)} s; at that time the longest without it takes ${longest.toFixed(1)} s`;
        return { verdict: "hangs", by };
      }
      limit = PATIENCE * longest;
    } else if ((verdict === "throws" || verdict === "crashes") && before !== verdict) {
      before = verdict;
      stop();
    } else return outcome;
  }
}

/** Seconds of the longest step without a mutant, at this moment and in a new process; of all steps, or of so many. */
async function stepWithout(steps = Infinity) {
  stop();
  const { verdict, by, longest } = await test(null, CLEAN_LIMIT, steps);
  if (verdict !== "survives") {
    console.error(`Without a mutant the suite must find nothing, but: ${verdict}: ${by ?? ""}`);
    stop();
    process.exit(2);
  }
  return longest;
}

/**
 * What one run says, in a process of its own that may be ended: the verdict, or "late" if a step takes longer than so
 * many seconds. With an end, no more than so many steps are run.
 */
async function test(mutant, most, end = Infinity) {
  worker ??= await start();
  return new Promise((resolve) => {
    let longest = 0;
    let steps = 0;
    let since = performance.now();
    let timer = setTimeout(onLate, 1000 * most);
    worker.on("message", onMessage);
    worker.on("exit", onExit);
    worker.send(mutant);

    function onMessage(message) {
      longest = Math.max(longest, (performance.now() - since) / 1000);
      since = performance.now();
      if (!message.step) return done(message, false);
      steps++;
      if (steps === end) return done({ verdict: "survives" }, true);
      clearTimeout(timer);
      timer = setTimeout(onLate, 1000 * most);
    }
    function onLate() {
      done({ verdict: "late" }, true);
    }
    function onExit(status, signal) {
      done({ verdict: "crashes", by: String(signal ?? `status ${status}`) }, true);
    }
    function done(outcome, lost) {
      clearTimeout(timer);
      worker.off("message", onMessage);
      worker.off("exit", onExit);
      if (lost) stop();
      resolve({ ...outcome, longest, steps });
    }
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
  return new Promise((resolve, reject) => {
    child.once("message", () => resolve(child));
    child.once("exit", () => reject(new Error("scripts/mutants-worker.mjs does not start")));
  });
}

function stop() {
  worker?.kill("SIGKILL");
  worker = undefined;
}
