/** What the built package may do in a page, and what the repository trusts. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { expect, inject, test } from "vitest";

const { project } = inject("installed");
const installed = join(project, "node_modules/webgpu-token-sampler");
const scripts = readdirSync(join(installed, "dist"), { recursive: true, encoding: "utf8" }).filter((file) =>
  file.endsWith(".js"),
);

/** Ways out of the page, and ways to run text as code. */
const FORBIDDEN = new Set(
  (
    "eval Function AsyncFunction GeneratorFunction importScripts WebAssembly Worker SharedWorker serviceWorker " +
    "fetch XMLHttpRequest WebSocket WebTransport EventSource RTCPeerConnection sendBeacon " +
    "document localStorage sessionStorage indexedDB caches cookie require"
  ).split(" "),
);

/** Whether a name may stand for what the platform gives: it does not where it only names a member of something else. */
function isGlobal(name: ts.Identifier): boolean {
  const { parent } = name;
  if (ts.isPropertyAccessExpression(parent) && parent.name === name) {
    return /^(globalThis|window|self|navigator)$/.test(parent.expression.getText());
  }
  return !(
    (ts.isPropertyAssignment(parent) || ts.isMethodDeclaration(parent) || ts.isPropertyDeclaration(parent)) &&
    parent.name === name
  );
}

/** The forbidden names that a script uses, and what it imports from elsewhere. */
function offences(code: string): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && FORBIDDEN.has(node.text) && isGlobal(node)) found.push(node.text);
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) found.push("import()");
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier !== undefined) {
      const { text } = node.moduleSpecifier as ts.StringLiteral;
      if (!text.startsWith("./")) found.push(`import "${text}"`);
    }
    // A timer that is given text runs it.
    if (ts.isCallExpression(node) && /^set(Timeout|Interval)$/.test(node.expression.getText())) {
      if (node.arguments[0] === undefined || ts.isStringLiteralLike(node.arguments[0])) found.push("a timer with text");
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("built.js", code, ts.ScriptTarget.Latest, true));
  return found;
}

test("the check finds what it looks for", () => {
  const bad =
    'import "x"; eval("1"); new Function(""); globalThis.fetch(u); import(u); setTimeout("f()"); plan.fetch(); ({ fetch: 1 });';
  expect(offences(bad)).toEqual(['import "x"', "eval", "Function", "fetch", "import()", "a timer with text"]);
});

test.each(scripts)("dist/%s runs no text as code, and reaches for nothing outside of the page", (file) => {
  expect(offences(readFileSync(join(installed, "dist", file), "utf8"))).toEqual([]);
});

test("the package installs nothing else, and runs nothing when it is installed", () => {
  const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as {
    dependencies?: object;
    scripts?: Record<string, string>;
  };
  expect(manifest.dependencies ?? {}).toEqual({});
  const automatic = /^(pre|post)?(install|prepare|uninstall)$/;
  expect(Object.keys(manifest.scripts ?? {}).filter((name) => automatic.test(name))).toEqual([]);
});

test("the repository's dependencies are pinned to one version each, and the lock has a hash for all of them", () => {
  const { devDependencies } = JSON.parse(readFileSync("package.json", "utf8")) as {
    devDependencies: Record<string, string>;
  };
  const loose = Object.entries(devDependencies).filter(
    ([, version]) => !/^(npm:.+@)?\d+\.\d+\.\d+(-[\w.]+)?$/.test(version),
  );
  expect(loose).toEqual([]);
  const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8")) as {
    packages: Record<string, { integrity?: string; link?: boolean }>;
  };
  const unhashed = Object.entries(packages).filter(([path, entry]) => path !== "" && entry.integrity === undefined);
  expect(unhashed.map(([path]) => path)).toEqual([]);
});
