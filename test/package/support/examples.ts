import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

/** An example of the documentation. */
export interface Example {
  /** `docs/guide.md:12` */
  readonly at: string;
  /** Name of a module file. */
  readonly file: string;
  readonly code: string;
}

/** The ```ts blocks of README.md and of everything in docs/. */
export function examples(): Example[] {
  const pages = readdirSync("docs", { recursive: true, encoding: "utf8" })
    .filter((page) => page.endsWith(".md"))
    .map((page) => `docs/${page}`)
    .sort();
  return ["README.md", ...pages].flatMap((page) => {
    const text = readFileSync(page, "utf8");
    return [...text.matchAll(/^```ts\n([^]*?)^```$/gm)].map(({ index, 1: code }) => {
      const line = text.slice(0, index).split("\n").length + 1;
      return { at: `${page}:${line}`, file: `${page.replaceAll(/\W/g, "-")}-${line}.ts`, code: code! };
    });
  });
}

/** What the compiler says of files in `folder`, by file. */
export function complaints(folder: string, files: readonly string[]): Map<string, ts.Diagnostic[]> {
  const program = ts.createProgram(
    files.map((file) => join(folder, file)),
    {
      strict: true,
      noEmit: true,
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      moduleDetection: ts.ModuleDetectionKind.Force,
      lib: ["lib.es2022.d.ts", "lib.esnext.disposable.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"],
      types: ["@webgpu/types"],
      typeRoots: [join(folder, "../node_modules")],
    },
  );
  return new Map(
    files.map((file) => {
      const source = program.getSourceFile(join(folder, file));
      return [file, [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]];
    }),
  );
}

/** The names that a module uses and does not declare, as the compiler's complaints have them. */
export function freeNames(diagnostics: readonly ts.Diagnostic[]): string[] {
  const unknown = new Set([2304, 2552, 18_004]); // cannot find name; … did you mean; no value for a shorthand property
  const names = diagnostics
    .filter(({ code }) => unknown.has(code))
    .map(({ file, start, length }) => file!.text.slice(start, start! + length!));
  return [...new Set(names)].sort();
}

/** A complaint as text. */
export function textOf({ messageText, file, start }: ts.Diagnostic): string {
  const line =
    file === undefined ? "" : file.text.slice(0, start).split("\n").at(-1)! + file.text.slice(start).split("\n")[0]!;
  return `${ts.flattenDiagnosticMessageText(messageText, "\n")}\n    ${line.trim()}`;
}

/** What a module imports. */
export function importsOf(code: string): string[] {
  return ts.preProcessFile(code).importedFiles.map(({ fileName }) => fileName);
}
