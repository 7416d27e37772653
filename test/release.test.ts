import { expect, test } from "vitest";
import { auditObstacle, obstacles } from "../scripts/release.mjs";

const ready = {
  manifest: { version: "1.2.3", repository: { type: "git" } },
  changelog: "# Changelog\n\n## Unreleased\n\n## 1.2.3\n\n- Something new.\n\n## 1.2.2\n\n- Something old.\n",
  status: "",
  tags: "v1.2.1\nv1.2.2\n",
  publish: false,
  env: {},
};

test("a release that is ready", () => {
  expect(obstacles(ready)).toEqual([]);
  expect(obstacles({ ...ready, publish: true, env: { SIGSTORE_ID_TOKEN: "a token" } })).toEqual([]);
});

test.each<[string, Partial<typeof ready> | object, RegExp]>([
  ["a change that is not committed", { status: " M src/index.ts\n" }, /not clean:\n M src\/index\.ts/],
  ["no version", { manifest: { version: "next" } }, /"next" is not a version/],
  ["a version that is out", { tags: "v1.2.3\n" }, /v1\.2\.3 is already there/],
  [
    "no word in the changelog",
    { changelog: "# Changelog\n\n## Unreleased\n\n- Something.\n" },
    /no section "## 1\.2\.3"/,
  ],
  ["an empty section", { changelog: "# Changelog\n\n## 1.2.3\n\n## 1.2.2\n\n- Something.\n" }, /says nothing/],
  ["a private package", { manifest: { version: "1.2.3", private: true } }, /is private/],
  ["a desk", { publish: true }, /no identity token/],
  [
    "no repository",
    { publish: true, env: { SIGSTORE_ID_TOKEN: "a token" }, manifest: { version: "1.2.3" } },
    /names no repository/,
  ],
])("%s stands in the way", (_, change, message) => {
  const found = obstacles({ ...ready, ...change });
  expect(found.filter((text) => message.test(text))).toHaveLength(1);
  if (!message.source.includes("version")) expect(found).toHaveLength(1);
});

test.each<[string, number, object | string, RegExp | undefined]>([
  ["nothing", 0, { metadata: { vulnerabilities: { low: 0, high: 0, total: 0 } } }, undefined],
  ["a hole", 1, { metadata: { vulnerabilities: { low: 1, high: 2, total: 3 } } }, /found 3 .*\(1 low, 2 high\)/],
  [
    "a registry without advisories",
    1,
    { statusCode: 405, message: "405 Method Not Allowed" },
    /refused the audit \(405 Method/,
  ],
  ["an error of npm's", 1, { error: { code: "ENOLOCK", summary: "no lockfile" } }, /refused .*ENOLOCK no lockfile/],
  ["a report that says nothing", 0, {}, /without counts/],
  ["no report", 1, "npm error", /status 1 and without a report/],
])("the audit says: %s", (_, status, report, message) => {
  const found = auditObstacle(status, typeof report === "string" ? report : JSON.stringify(report));
  if (message === undefined) expect(found).toBeUndefined();
  else expect(found).toMatch(message);
});
