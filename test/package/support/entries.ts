import { readFileSync } from "node:fs";

/** One way into the package, as `exports` of package.json has it. */
export interface Entry {
  /** `"."`, `"./reference"`, … */
  readonly path: string;
  /** What a program imports. */
  readonly specifier: string;
  readonly types: string;
  readonly code: string;
}

interface Manifest {
  readonly name: string;
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
}

/** The entries that hold code: everything in `exports` but package.json. Tests take their tables from here. */
export function entriesOf(manifest: string): Entry[] {
  const { name, exports } = JSON.parse(readFileSync(manifest, "utf8")) as Manifest;
  return Object.entries(exports).flatMap(([path, target]) =>
    typeof target === "string"
      ? []
      : [{ path, specifier: name + path.slice(1), types: target.types, code: target.default }],
  );
}
