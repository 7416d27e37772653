/**
 * The bench for plain Node and Dawn, bundled into one file by `npm run bench:bundle`: checks every kernel path against
 * the reference, then measures. Ends with exit code 1 on any difference.
 */
import { writeFileSync } from "node:fs";
import { cpus, type as systemName } from "node:os";
import { basename } from "node:path";
import { create, globals } from "webgpu";
import { version } from "../package.json";
import type { BenchResult } from "./cases.ts";
import { checkAll } from "./check.ts";
import { prepareControls } from "./controls.ts";
import { HELP, parseCommandLine, UsageError } from "./options.ts";
import { bench, requestBenchDevice } from "./run.ts";
import { markdown } from "./table.ts";

const USAGE = `Usage: node ${basename(process.argv[1] ?? "bench.mjs")} [options]

Checks that the kernels draw what the CPU reference draws, then times them beside the read limit of the adapter.

${HELP}
  --check-only     check, measure nothing
  --no-check       measure only; every case's tokens are still compared`;

async function main(): Promise<number> {
  const { options, json, help, rest } = parseCommandLine(process.argv.slice(2), {
    "check-only": { type: "boolean" },
    "no-check": { type: "boolean" },
  });
  if (help) {
    console.log(USAGE);
    return 0;
  }
  Object.assign(globalThis, globals);
  const gpu = create(["enable-dawn-features=allow_unsafe_apis", "disable-dawn-features=timestamp_quantization"]);
  // Dawn crashes at random once this object is garbage: a global keeps it for the life of the process.
  Object.defineProperty(globalThis, "navigator", { value: { gpu }, configurable: true });

  const found = await requestBenchDevice(gpu, options.shapes);
  const { adapter, device } = found;
  console.log(`Adapter: ${[adapter.vendor, adapter.architecture, adapter.description].filter(Boolean).join(" ")}`);
  if (rest["no-check"] !== true) {
    const { calls, rows, differences } = await checkAll(gpu, device, adapter.software, console.log);
    for (const line of differences) console.error(`DIFFERENT: ${line}`);
    console.log(`check: ${calls} calls with ${rows} rows compared to the reference, ${differences.length} different`);
    if (differences.length > 0) return 1;
    if (rest["check-only"] === true) return 0;
  }
  const outcome = await bench(found, options, console.log, options.controls === true ? prepareControls : undefined);
  const result: BenchResult = {
    version: 1,
    date: new Date().toISOString(),
    command: ["node", basename(process.argv[1] ?? "bench.mjs"), ...process.argv.slice(2)].join(" "),
    package: version,
    machine: { cpu: cpus()[0]?.model.trim() ?? "unknown", cores: cpus().length, system: systemName() },
    runtime: `Node ${process.version} with Dawn`,
    options,
    ...outcome,
  };
  for (const line of outcome.mismatches) console.error(`DIFFERENT: ${line}`);
  console.log(`\n${markdown(result)}`);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(result, undefined, 1)}\n`);
  return outcome.mismatches.length === 0 ? 0 : 1;
}

main().then(
  // Dawn keeps the process alive otherwise.
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof UsageError ? `${error.message}\n\n${USAGE}` : error);
    process.exit(1);
  },
);
