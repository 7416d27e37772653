/** The command lines of scripts: no mistake in one starts anything. */
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

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
