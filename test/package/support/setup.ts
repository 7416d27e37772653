/** Before the tests of the package: builds it, packs it, and installs the tarball into a project outside the repository. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { TestProject } from "vitest/node";

/** What the tests of the package are given. */
export interface Installed {
  /** The tarball. */
  readonly tarball: string;
  /** A project that has the tarball installed, and nothing else but the peers that it names. */
  readonly project: string;
}

declare module "vitest" {
  export interface ProvidedContext {
    installed: Installed;
  }
}

export default function setup(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), "wts-package-"));
  // npm tells its scripts about itself in variables; an npm inside must not take them for its own settings.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("npm_")));
  const npm = (args: string[], cwd: string): string =>
    execFileSync("npm", [...args, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd,
      env,
      encoding: "utf8",
    });
  npm(["run", "build"], ".");
  npm(["pack", "--pack-destination", folder], ".");
  const tarball = join(
    folder,
    readdirSync(folder).find((name) => name.endsWith(".tgz"))!,
  );

  const consumer = join(folder, "consumer");
  cpSync("test/package/consumer", consumer, { recursive: true });
  writeFileSync(join(consumer, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }));
  npm(["install", "--offline", tarball], consumer);
  const { peerDependencies = {} } = JSON.parse(readFileSync("package.json", "utf8")) as {
    peerDependencies?: Record<string, string>;
  };
  for (const name of ["@webgpu/types", ...Object.keys(peerDependencies)]) {
    const link = join(consumer, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(resolve("node_modules", name), link);
  }
  project.provide("installed", { tarball, project: consumer });
  return () => rmSync(folder, { recursive: true, force: true });
}
