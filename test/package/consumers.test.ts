/** The packed package, installed where people install it: bundlers, a page without one, Node, TypeScript. */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { type Browser, chromium } from "playwright";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { chromiumFlags, findBrowser } from "../../scripts/browser.mjs";
import { entriesOf } from "./support/entries.ts";
import { serve } from "./support/serve.ts";

const { tarball, project } = inject("installed");
const entries = entriesOf("package.json");
const bin = (path: string): string => resolve("node_modules", path);

/** Runs a program of the repository's node_modules, or Node, in the consumer's project; the output if it fails. */
async function run(cwd: string, file: string, ...args: string[]): Promise<string> {
  try {
    return (await promisify(execFile)(process.execPath, [file, ...args], { cwd })).stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${file} ${args.join(" ")} failed:\n${stdout}${stderr}`, { cause: error });
  }
}

/** A folder of the project with the app in it, which imports every entry as `specifier` says. */
function app(name: string, from: string | undefined, specifier: (entry: (typeof entries)[number]) => string): string {
  const folder = join(project, name);
  mkdirSync(folder);
  if (from !== undefined) cpSync(join(project, from), folder, { recursive: true });
  cpSync(join(project, "app.js"), join(folder, "app.js"));
  writeFileSync(
    join(folder, "entries.js"),
    [
      ...entries.map((entry, index) => `import * as entry${index} from ${JSON.stringify(specifier(entry))};`),
      `export const entries = { ${entries.map(({ path }, index) => `${JSON.stringify(path)}: entry${index}`).join(", ")} };`,
    ].join("\n"),
  );
  return folder;
}
const bare = ({ specifier }: { specifier: string }): string => specifier;

interface Outcome {
  readonly engine: string;
  readonly tokens: readonly number[];
}

async function inNode(): Promise<Outcome> {
  const folder = app("node", undefined, bare);
  writeFileSync(
    join(folder, "main.js"),
    'import { outcome } from "./app.js";\nconsole.log(JSON.stringify(await outcome()));\n',
  );
  return JSON.parse(await run(folder, "main.js")) as Outcome;
}

describe("code", () => {
  let browser: Browser;
  let expected: Outcome;

  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: findBrowser().path,
      args: chromiumFlags(process.env["WTS_GPU"] === "hardware"),
    });
    expected = await inNode();
  });
  afterAll(() => browser.close());

  /** What the app says on both engines, in a page that may log no error and load nothing from elsewhere. */
  async function inBrowser(root: string, page: string, headers: Readonly<Record<string, string>>): Promise<Outcome[]> {
    const server = await serve(root, headers);
    const tab = await browser.newPage();
    const errors: string[] = [];
    tab.on("pageerror", (error) => errors.push(String(error)));
    tab.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    tab.on("request", (request) => {
      if (!/^(data:|http:\/\/localhost:)/.test(request.url())) errors.push(`a request to ${request.url()}`);
    });
    try {
      await tab.goto(`${server.origin}/${page}`);
      await tab.waitForFunction(() => "outcome" in globalThis, undefined, { timeout: 10_000 }).catch(() => undefined);
      const outcomes = await tab.evaluate(() => (globalThis as { outcome?: Promise<Outcome[]> }).outcome);
      expect(errors).toEqual([]);
      return outcomes!;
    } finally {
      await tab.close();
      server.close();
    }
  }

  test("Node without WebGPU takes the CPU, and every entry has what its source exports", async () => {
    expect(expected).toMatchObject({ engine: "cpu", status: ["ok", "ok", "ok"] });
    expect(Object.keys((expected as unknown as { exports: object }).exports)).toEqual(entries.map(({ path }) => path));
    const source = await import("../../src/index.ts");
    expect(expected).toHaveProperty(["exports", "."], Object.keys(source).sort());
  });

  const pages: Readonly<Record<string, () => Promise<{ root: string; page: string }>>> = {
    Vite: async () => {
      const folder = app("vite", "browser", bare);
      await run(folder, bin("vite/bin/vite.js"), "build", "--logLevel", "warn");
      return { root: join(folder, "dist"), page: "index.html" };
    },
    esbuild: async () => {
      const folder = app("esbuild", "browser", bare);
      const { warnings } = await build({
        absWorkingDir: folder,
        entryPoints: ["main.js"],
        bundle: true,
        minify: true,
        format: "esm",
        outdir: "out",
        logLevel: "silent",
      });
      expect(warnings).toEqual([]);
      cpSync(join(folder, "index.html"), join(folder, "out/index.html"));
      return { root: join(folder, "out"), page: "index.html" };
    },
    "a module script without a bundler": async () => {
      app("module", "browser", ({ code }) => new URL(code, "http://x/node_modules/webgpu-token-sampler/").pathname);
      return { root: project, page: "module/index.html" };
    },
  };
  const headers: Readonly<Record<string, string>> = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; img-src data:",
  };
  test.each(Object.keys(pages))("%s, under a strict Content-Security-Policy", async (name) => {
    const { root, page } = await pages[name]!();
    const [gpu, cpu] = await inBrowser(root, page, headers);
    expect(gpu).toEqual({ ...expected, engine: "webgpu" });
    expect(cpu).toEqual(expected);
  });
});

describe("types, strict and without skipLibCheck", () => {
  const compilers = { "5.9": "typescript", "6": "typescript-6", newest: "typescript-newest" } as const;
  const dom = ["ES2022", "DOM"];
  const cases: [compiler: keyof typeof compilers, module: string, lib: string[], types: string[], files: string[]][] = [
    ["5.9", "bundler", dom, ["@webgpu/types"], ["app.ts", "gpu.ts"]],
    ["5.9", "nodenext", dom, [], ["app.ts"]],
    ["5.9", "nodenext", ["ES2022"], [], ["app.ts"]],
    ["6", "bundler", dom, [], ["app.ts", "gpu.ts"]],
    ["6", "nodenext", ["ES2022"], [], ["app.ts"]],
    ["newest", "bundler", dom, [], ["app.ts", "gpu.ts"]],
    ["newest", "nodenext", ["ES2022"], [], ["app.ts"]],
  ];
  test.each(cases)("TypeScript %s, %s, lib %j, types %j", async (compiler, resolution, lib, types, files) => {
    const folder = join(project, "types");
    const every = entries.map(({ specifier }, index) => `export * as entry${index} from "${specifier}";`).join("\n");
    writeFileSync(join(folder, "every.ts"), every);
    const config = `tsconfig.${compiler}-${resolution}-${lib.length}-${types.length}.json`;
    writeFileSync(
      join(folder, config),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          exactOptionalPropertyTypes: true,
          noUncheckedIndexedAccess: true,
          skipLibCheck: false,
          noEmit: true,
          target: "ES2022",
          module: resolution === "bundler" ? "ESNext" : resolution,
          moduleResolution: resolution,
          lib,
          types,
        },
        files: ["every.ts", ...files],
      }),
    );
    await run(folder, bin(`${compilers[compiler]}/bin/tsc`), "-p", config);
  });
});

describe("the tarball", () => {
  test("publint finds nothing", async () => {
    await run(".", bin("publint/src/cli.js"), tarball, "--strict");
  });

  test("attw finds every type where the code is", async () => {
    // CommonJS and Node's resolution of long ago are not served: the package is for import alone.
    await run(".", bin("@arethetypeswrong/cli/dist/index.js"), tarball, "--profile", "esm-only", "--no-emoji");
  });

  test("holds the build, the licence and what a reader needs, and nothing else", async () => {
    const { stdout } = await promisify(execFile)("tar", ["tzf", tarball]);
    const others = stdout
      .split("\n")
      .filter((path) => path !== "" && !/^package\/dist\/.*\.(js|js\.map|d\.ts)$/.test(path));
    const pages = readdirSync("docs").filter((file) => file.endsWith(".md"));
    const files = ["CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "THIRD-PARTY.md", "package.json"];
    expect(others.sort()).toEqual(
      [...files, ...pages.map((file) => `docs/${file}`)].map((name) => `package/${name}`).sort(),
    );
  });
});
