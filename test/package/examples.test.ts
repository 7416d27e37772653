/** Every example of README.md and docs/ compiles against the installed package, and runs in a browser where it can. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { type Browser, chromium, type Page } from "playwright";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { chromiumFlags, findBrowser } from "../../scripts/browser.mjs";
import { complaints, examples, freeNames, importsOf, textOf } from "./support/examples.ts";
import { serve } from "./support/serve.ts";

const { project } = inject("installed");
const folder = join(project, "examples");
const all = examples();
const files = all.map(({ file }) => file);
for (const { file, code } of all) writeFileSync(join(folder, file), code);
const alone = complaints(folder, files);
for (const { file, code } of all) {
  const names = freeNames(alone.get(file)!);
  const world = names.length === 0 ? "" : `import { ${names.join(", ")} } from "./world";\n`;
  writeFileSync(join(folder, file), world + code);
}
const inTheWorld = complaints(folder, files);

test("there are examples", () => {
  expect(files.length).toBeGreaterThan(10);
});

test.each(all)("$at compiles", ({ file }) => {
  expect(inTheWorld.get(file)!.map(textOf)).toEqual([]);
});

/** Where an example imports something else than the package, it needs what that needs: a model, a framework. */
const runnable = all.filter(({ code }) => importsOf(code).every((name) => name.startsWith("webgpu-token-sampler")));

let browser: Browser;
let server: Awaited<ReturnType<typeof serve>>;
let tab: Page;
beforeAll(async () => {
  const out = join(folder, "out");
  for (const { file } of runnable) {
    const main = `import "./${file}";\nimport { settled } from "./world";\nawait settled();\n`;
    writeFileSync(join(folder, `run-${file}`), main);
  }
  await build({
    absWorkingDir: folder,
    // One that does not compile is reported above, and must not keep the others from running.
    entryPoints: runnable.flatMap(({ file }) => (inTheWorld.get(file)!.length > 0 ? [] : [`run-${file}`])),
    outdir: out,
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2022",
    logLevel: "silent",
  });
  writeFileSync(join(out, "index.html"), '<!doctype html><link rel="icon" href="data:," />');
  server = await serve(out);
  browser = await chromium.launch({
    executablePath: findBrowser().path,
    args: chromiumFlags(process.env["WTS_GPU"] === "hardware"),
  });
  tab = await browser.newPage();
  await tab.goto(`${server.origin}/index.html`);
});
afterAll(async () => {
  await browser.close();
  server.close();
});

test.each(runnable)("$at runs", async ({ file }) => {
  // As text: a function would be rewritten on its way through Vitest.
  await tab.evaluate(`import("./run-${file.replace(".ts", ".js")}")`);
});
