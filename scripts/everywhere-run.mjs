/**
 * Runs the bundled suite in the runtime that runs this file, and prints its report as the last line. Node (the
 * reference alone, or with --dawn) and Deno.
 */
import { run } from "../test/everywhere/dist/suite.mjs";

const deno = globalThis.Deno;
const args = deno?.args ?? process.argv.slice(2);
const { dawn = false, ...options } = JSON.parse(args[0] ?? "{}");

let gpu;
if (dawn) {
  const { create, globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  gpu = create([]);
  // Dawn crashes at random once this object is garbage.
  globalThis.dawn = gpu;
} else if (deno !== undefined) gpu = navigator.gpu;

const report = await run({ gpu, ...options, log: (line) => console.log(`  ${line}`) });
console.log(JSON.stringify(report));
(deno ?? process).exit(0);
