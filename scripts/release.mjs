/**
 * Releases the version that package.json names: checks, runs everything that CI runs, and rehearses the publication. Only
 * with --publish is it real, and then only where npm can prove which commit and which build it comes from.
 *
 *   npm run release                rehearses
 *   npm run release -- --publish   publishes
 */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { commandLine } from "./command-line.mjs";

/**
 * What stands in the way of a release, in words.
 *
 * @param {{ manifest: { version: string, private?: boolean, repository?: unknown }, changelog: string, status: string,
 *   tags: string, publish: boolean, env: Record<string, string | undefined> }} state
 *   `status`: of `git status --porcelain`; `tags`: of `git tag --list`
 * @returns {string[]}
 */
export function obstacles({ manifest, changelog, status, tags, publish, env }) {
  const { version } = manifest;
  const found = [];
  if (status.trim() !== "") found.push(`the working tree is not clean:\n${status.trimEnd()}`);
  if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) found.push(`package.json: "${version}" is not a version`);
  if (tags.split("\n").includes(`v${version}`))
    found.push(`the tag v${version} is already there: choose a new version`);
  const section = changelog.split(/^## /m).find((text) => text.split(/\s/)[0] === version);
  if (section === undefined) found.push(`CHANGELOG.md has no section "## ${version}"`);
  else if (!/^- /m.test(section)) found.push(`CHANGELOG.md says nothing below "## ${version}"`);
  if (manifest.private === true) found.push("package.json is private");
  if (publish) {
    // Without these, npm has nothing to sign: it must run in a public CI job that may ask for an identity token.
    if (manifest.repository === undefined) found.push("package.json names no repository, which provenance needs");
    if (env.ACTIONS_ID_TOKEN_REQUEST_URL === undefined && env.SIGSTORE_ID_TOKEN === undefined) {
      found.push("there is no identity token for provenance: publish from the CI job, not from a desk");
    }
  }
  return found;
}

/**
 * What `npm audit --json` has against a release, in words, or undefined.
 *
 * @param {number | null} status
 * @param {string} output
 * @returns {string | undefined}
 */
export function auditObstacle(status, output) {
  let report;
  try {
    report = JSON.parse(output);
  } catch {
    return `npm audit ended with status ${status} and without a report`;
  }
  // A registry that keeps no advisories answers with an error, which says nothing about the dependencies.
  if (report.error !== undefined || report.message !== undefined) {
    const why = report.message ?? [report.error.code, report.error.summary].filter(Boolean).join(" ");
    return `the registry refused the audit (${why}), so nothing is known: ask one that has advisories, npm audit --registry=<url>`;
  }
  const { total, ...levels } = report.metadata?.vulnerabilities ?? {};
  if (total === undefined) return "npm audit gave a report without counts";
  if (total === 0) return undefined;
  const counts = Object.entries(levels).filter(([, count]) => count > 0);
  return `npm audit found ${total} vulnerabilities (${counts.map(([level, count]) => `${count} ${level}`).join(", ")})`;
}

function main() {
  const { publish } = commandLine(import.meta.filename, { publish: { type: "boolean", default: false } }).values;
  const git = (...args) => execFileSync("git", args, { encoding: "utf8" });
  const found = obstacles({
    manifest: JSON.parse(readFileSync("package.json", "utf8")),
    changelog: readFileSync("CHANGELOG.md", "utf8"),
    status: git("status", "--porcelain"),
    tags: git("tag", "--list"),
    publish,
    env: process.env,
  });
  for (const obstacle of found) console.error(`release: ${obstacle}`);
  if (found.length > 0) return 1;

  const audit = spawnSync("npm", ["audit", "--json"], { encoding: "utf8" });
  console.log("release: npm audit");
  const unsafe = auditObstacle(audit.status, audit.stdout ?? "");
  if (unsafe !== undefined) {
    console.error(`release: ${unsafe}`);
    return 1;
  }

  const steps = [
    [".ci/run"],
    ["npm", "publish", "--provenance", "--access", "public", ...(publish ? [] : ["--dry-run"])],
  ];
  for (const [command, ...args] of steps) {
    console.log(`release: ${[command, ...args].join(" ")}`);
    const { status, error } = spawnSync(command, args, { stdio: "inherit" });
    if (status !== 0) {
      console.error(`release: ${command} failed${error === undefined ? "" : `: ${error.message}`}`);
      return 1;
    }
  }
  console.log(publish ? "release: published; tag this commit" : "release: a rehearsal; nothing was published");
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main();
