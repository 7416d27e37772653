/**
 * Makes the report out of results: bench/results/report.html and report.md, the README's chart (bench/results/chart.svg) and
 * the README's section between its markers. Takes the JSON files given, else all of bench/results.
 *
 *   npm run bench:report [-- FILE…]
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { load } from "./bench-page.mjs";
import { commandLine, refuse } from "./command-line.mjs";

const { positionals: given } = commandLine(import.meta.filename, {}, true);
const missing = given.find((file) => !existsSync(file));
if (missing !== undefined) refuse(`There is no file ${missing}`);

const FOLDER = "bench/results";
const ORDER = ["peers", "limit", "growth"];

const { reportPage } = await load("./bench/report/page.ts");
const { readmeSection, replaceSection, reportMarkdown } = await load("./bench/report/markdown.ts");
const { kindOf } = await load("./bench/report/figures.ts");

const files = given.length > 0 ? given : jsonFiles();
if (files.length === 0) {
  console.error(`There is no result in ${FOLDER}. Make one: npm run bench:peers`);
  process.exitCode = 1;
} else {
  report(files);
}

function jsonFiles() {
  if (!existsSync(FOLDER)) return [];
  return readdirSync(FOLDER)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => join(FOLDER, name))
    .filter((file) => "cases" in JSON.parse(readFileSync(file, "utf8"))); // the soak's figures lie there, too
}

function report(files) {
  const results = files.map((file) => {
    const result = JSON.parse(readFileSync(file, "utf8"));
    if (result.version !== 1) throw new Error(`${file}: expected a result of version 1, got ${result.version}`);
    console.log(`${file}: ${kindOf(result)}, ${result.date}`);
    return result;
  });
  // The newest first: it is the one that the README shows.
  results.sort(
    (a, b) => ORDER.indexOf(kindOf(a)) - ORDER.indexOf(kindOf(b)) || Date.parse(b.date) - Date.parse(a.date),
  );
  mkdirSync(FOLDER, { recursive: true });
  write(join(FOLDER, "report.html"), reportPage(results));
  write(join(FOLDER, "report.md"), reportMarkdown(results));
  const peers = results.find((result) => kindOf(result) === "peers");
  if (peers === undefined) {
    console.log("No run beside peers: the README stays as it is.");
    return;
  }
  const { markdown, svg } = readmeSection(peers, `${FOLDER}/chart.svg`);
  write(join(FOLDER, "chart.svg"), svg);
  write("README.md", replaceSection(readFileSync("README.md", "utf8"), markdown));
}

function write(file, text) {
  writeFileSync(file, text);
  console.log(`Written: ${file}`);
}
