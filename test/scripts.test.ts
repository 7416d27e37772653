/** The command lines of scripts: no mistake in one starts anything, and what would have tested nothing fails. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { mutants } from "./mutants/mutants.mjs";
import { plot } from "./soak/plot.ts";
import { growth, type SoakResult } from "./soak/soak.ts";

const run = (script: string, ...args: string[]) =>
  spawnSync(process.execPath, [`scripts/${script}.mjs`, ...args], { encoding: "utf8", timeout: 60_000 });

const commands = {
  "bench-onnxruntime": "bench:onnxruntime",
  "bench-report": "bench:report",
  everywhere: "test:everywhere",
  release: "release",
};

test.each(Object.entries(commands))("%s --help says how it is called, and does nothing", (script, command) => {
  const { status, stdout, stderr } = run(script, "--help");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toContain(`npm run ${command}`);
  expect(stdout).not.toContain("*");
});

test.each([
  ...Object.keys(commands).map((script) => [script, "--nonsense", "--nonsense"]),
  ["release", "publish", "publish"],
  ["everywhere", "--jobs=0", '--jobs: expected a whole number, 1 or more, got "0"'],
  ["everywhere", "--only=netscape", 'no runtime "netscape"'],
  ["bench-onnxruntime", "--batch=1,-8", '--batch: expected a whole number, 1 or more, got "-8"'],
  ["bench-report", "nowhere.json", "nowhere.json"],
])("%s %s is refused in one line", (script, argument, message) => {
  const { status, stdout, stderr } = run(script, argument);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(stderr.trim().split("\n")).toHaveLength(1);
  expect(stderr).toContain(message);
});

const folder = mkdtempSync(join(tmpdir(), "wts-scripts-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** What a script says, in all. */
function said(script: string, ...args: string[]): { readonly said: string; readonly status: number | null } {
  const { status, stdout, stderr } = run(script, ...args);
  return { said: stdout + stderr, status };
}

test("mutants: a summary of some of them is none", () => {
  const all = mutants.map((mutant) => ({ ...mutant, verdict: mutant.equivalent === undefined ? "found" : "survives" }));
  const file = join(folder, "found.json");
  const summary = (results: readonly object[], ...args: string[]): ReturnType<typeof said> => {
    writeFileSync(file, JSON.stringify(results));
    return said("mutants", "--summary", file, ...args);
  };
  const { length } = mutants;
  expect(summary(all)).toMatchObject({ status: 0, said: expect.stringContaining(`${length} of ${length} mutants`) });
  expect(summary([])).toMatchObject({ status: 1, said: expect.stringContaining(`0 of ${length} mutants`) });
  expect(summary(all.slice(1))).toMatchObject({
    status: 1,
    said: expect.stringContaining(`without a verdict: ${mutants[0]!.name}`),
  });
  expect(summary(all.slice(0, 1), "--to", "1")).toMatchObject({ status: 0, said: expect.stringContaining("1 of 1") });
});

test("fuzz: no time is an error", () => {
  expect(said("fuzz", "--minutes", "0")).toEqual({
    status: 2,
    said: '--minutes: expected a number above 0, got "0"\n',
  });
});

test("soak: without readings nothing can be said of growth, and the picture says what has grown", () => {
  const reading = { calls: 16, buffers: 30, bytes: 1e6, bindGroups: 20, listeners: 1, heap: 5e6 };
  const of = (readings: SoakResult["readings"]): SoakResult => {
    return { calls: 16, rows: 1, samplers: 3, readings, left: { buffers: 0, listeners: 1 }, different: [] };
  };
  expect(growth(of([]))).toEqual(["0 readings: too few to tell what grows"]);
  expect(growth(of(Array.from({ length: 6 }, () => reading)))).toEqual([]);
  const picture = (grew: string[]): string => plot(of([reading]), grew, []);
  expect(picture([])).toContain("stay flat");
  expect(picture(["heap: 1, then 2"])).not.toContain("stay flat");
  expect(picture(["heap: 1, then 2"])).toContain("heap: 1, then 2");
});
