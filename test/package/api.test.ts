/** What the package exports, written down: a change of the interface must touch `api/`, where a reviewer sees it. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { apiReports, REFRESH } from "../../scripts/api-report.mjs";
import { entriesOf } from "./support/entries.ts";

const reports = apiReports(entriesOf("package.json"));

test("every entry has a report, and there is none without an entry", () => {
  expect(
    readdirSync("api").map((file) => `api/${file}`),
    `run \`${REFRESH}\``,
  ).toEqual(Object.keys(reports).sort());
});

test.each(Object.entries(reports))("%s is what the build exports", (file, text) => {
  expect(readFileSync(file, "utf8"), `${file} is stale: run \`${REFRESH}\` and commit it`).toBe(text);
});

test.each(Object.entries(reports))("%s: the compiler and the extractor have nothing to complain of", (_, text) => {
  expect(text.match(/^.*Warning: .*$/gm)).toBeNull();
});
