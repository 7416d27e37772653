/**
 * Random calls on Dawn for Node, compared with the reference. A failing one is made small and printed as a line.
 *
 *   npm run fuzz                              one minute, a seed of the day's
 *   npm run fuzz -- --minutes 60 --seed 7
 *   npm run fuzz -- --tuning 0 --type float32 one of the tunings and types: a short run spends less on compiling
 *   npm run fuzz -- --replay '{"vocabSize":…}'
 */
import { parseArgs } from "node:util";
import { runnerImport } from "vite";
import { dawnDevice } from "./dawn.mjs";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    tuning: { type: "string" },
    type: { type: "string" },
    replay: { type: "string" },
    hardware: { type: "boolean", default: false },
  },
});
const numbers = { minutes: Number(values.minutes), seed: Number(values.seed), tuning: Number(values.tuning ?? 0) };
for (const [name, value] of Object.entries(numbers)) {
  const allowed = name === "minutes" ? value > 0 && value < Infinity : Number.isInteger(value) && value >= 0;
  if (!allowed) {
    const expected = name === "minutes" ? "a number above 0" : "an integer, 0 or more";
    console.error(`--${name}: expected ${expected}, got "${values[name]}"`);
    process.exit(2);
  }
}
const device = await dawnDevice(values.hardware);
const load = async (file) => (await runnerImport(file, { configFile: false, logLevel: "error" })).module;
const { fuzz, replay } = await load("./test/fuzz/fuzz.ts");
const { tunings } = await load("./test/fuzz/case.ts");
if (numbers.tuning >= tunings.length) {
  console.error(`--tuning: expected 0 to ${tunings.length - 1}, got ${numbers.tuning}`);
  process.exit(2);
}

if (values.replay === undefined) {
  const { seed, minutes: budget } = numbers;
  console.log(`Fuzzing for ${values.minutes} minute(s) with --seed ${seed}`);
  const began = performance.now();
  const minutes = () => ((performance.now() - began) / 60_000).toFixed(1);
  const { cases, rows, failure } = await fuzz(device, {
    seed,
    milliseconds: 60_000 * budget,
    narrow: (value) => ({
      ...value,
      ...(values.tuning !== undefined && { tuning: numbers.tuning }),
      ...(values.type !== undefined && { logitsType: values.type }),
    }),
    log: (cases, rows) => console.log(`  ${minutes()} min: ${cases} cases, ${rows} rows, all equal`),
  });
  const verdict = failure !== undefined ? "DIFFERENT" : cases === 0 ? "NOTHING WAS RUN" : "all equal";
  console.log(`${cases} cases, ${rows} rows in ${minutes()} min: ${verdict}`);
  if (failure !== undefined) console.log(`${failure.difference}\nnpm run fuzz -- --replay '${failure.line}'`);
  process.exit(verdict === "all equal" ? 0 : 1);
}
const difference = await replay(device, values.replay);
console.log(difference ?? "equal");
process.exit(difference === undefined ? 0 : 1);
