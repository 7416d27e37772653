/**
 * The test command: finds a browser, runs the unit tests in Node and the GPU tests in the browser, and ends with the
 * line "N passed, N failed". Arguments go on to vitest.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findBrowser } from "./browser.mjs";

const args = process.argv.slice(2);
const browser = findBrowser();
console.log(`Browser for the GPU tests: ${browser.path} (from ${browser.from})`);

const folder = mkdtempSync(join(tmpdir(), "wts-test-"));
const report = join(folder, "report.json");
const { status } = spawnSync(
  process.execPath,
  [
    "node_modules/vitest/vitest.mjs",
    "run",
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${report}`,
    ...args,
  ],
  { stdio: "inherit", env: { ...process.env, WTS_BROWSER: browser.path } },
);

let passed = 0;
let failed = 0;
const ran = { node: 0, package: 0, gpu: 0, page: 0 };
try {
  for (const file of JSON.parse(readFileSync(report, "utf8")).testResults) {
    // A file that cannot even be loaded has no tests, and has failed all the same.
    if (file.status === "failed" && file.assertionResults.every((test) => test.status === "passed")) failed++;
    for (const test of file.assertionResults) {
      if (test.status === "passed") passed++;
      else failed++; // a skipped or pending test counts as a failure: nothing here may be passed over
      const folder = /[\\/]test[\\/](gpu|integrations|package|page)[\\/]/.exec(file.name)?.[1] ?? "node";
      ran[folder === "integrations" ? "gpu" : folder]++;
    }
  }
} catch (error) {
  console.error(`There is no test report: ${error.message}`);
  failed++;
}
rmSync(folder, { recursive: true, force: true });
if (args.length === 0) {
  for (const [project, count] of Object.entries(ran)) {
    if (count > 0) continue;
    console.error(`No test ran in the project "${project}".`);
    failed++;
  }
}
if (status !== 0 && failed === 0) {
  console.error(`vitest ended with status ${status}.`);
  failed++;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
