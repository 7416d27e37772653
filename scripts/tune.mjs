/**
 * Sweeps the values of src/webgpu/tuning.ts on this machine's adapter and prints × the read limit for each.
 *
 *   npm run tune -- --batch 8 --mode greedy,top-k
 */
import { load, openPage } from "./bench-page.mjs";

const { HELP, parseCommandLine, TUNE_DEFAULTS, UsageError } = await load("./bench/options.ts");
const { tuneMarkdown } = await load("./bench/tune.ts");

const USAGE = `Usage: npm run tune -- [options]

Moves every field of the adapter's tuning, one at a time, and prints the times beside the read limit.

${HELP}
  --hardware       use the GPU, not the software adapter

Left out: batch 8, peaked rows, modes greedy, top-k+top-p and top-p, 5 rounds.`;

try {
  const { options, help, rest } = parseCommandLine(
    process.argv.slice(2),
    { hardware: { type: "boolean" } },
    TUNE_DEFAULTS,
  );
  if (help) console.log(USAGE);
  else {
    const page = await openPage({ html: "bench/browser.html", ready: "tune", hardware: rest.hardware === true });
    try {
      console.log(`\n${tuneMarkdown(await page.tab.evaluate((given) => globalThis.tune(given), options))}`);
    } finally {
      await page.close();
    }
  }
} catch (error) {
  console.error(error instanceof UsageError ? `${error.message}\n\n${USAGE}` : error);
  process.exitCode = 1;
}
