/**
 * Writes api/: what the built declarations export, one report per entry of package.json. A change of the public interface
 * shows there as a diff, and a test fails as long as a report is stale.
 *
 *   npm run api
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Extractor, ExtractorConfig } from "@microsoft/api-extractor";

/** The command that refreshes the reports. */
export const REFRESH = "npm run api";

/**
 * The reports as they should be.
 *
 * @param {readonly { path: string, types: string }[]} entries the package's entries, built
 * @returns {Record<string, string>} text by file
 */
export function apiReports(entries) {
  const folder = mkdtempSync(join(tmpdir(), "wts-api-"));
  try {
    return Object.fromEntries(
      entries.map(({ path, types }) => {
        const file = `${path === "." ? "index" : path.slice(2).replaceAll("/", "-")}.api.md`;
        return [`api/${file}`, report(resolve(types), folder, file)];
      }),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function report(entry, folder, file) {
  const off = { logLevel: "none" };
  const inReport = { logLevel: "warning", addToApiReportFile: true };
  const config = ExtractorConfig.prepare({
    configObject: {
      projectFolder: resolve("."),
      mainEntryPointFilePath: entry,
      newlineKind: "lf",
      // The repository's own compiler: its DOM library has no WebGPU, so the package's names for it stay as they are.
      compiler: {
        overrideTsconfig: {
          compilerOptions: {
            target: "ES2022",
            module: "ESNext",
            moduleResolution: "bundler",
            lib: ["ES2022", "DOM"],
            types: [],
            strict: true,
          },
          files: [entry],
        },
      },
      apiReport: {
        enabled: true,
        reportFolder: folder,
        reportTempFolder: join(folder, "temp"),
        reportFileName: basename(file, ".api.md"),
        includeForgottenExports: true,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        compilerMessageReporting: { default: inReport },
        extractorMessageReporting: {
          default: inReport,
          // Everything that is exported is public, and what is reachable is in the report.
          "ae-missing-release-tag": off,
          "ae-forgotten-export": off,
          // TypeDoc checks these, see typedoc.config.mjs.
          "ae-undocumented": off,
          "ae-unresolved-link": off,
        },
        tsdocMessageReporting: { default: off },
      },
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: resolve("package.json"),
  });
  mkdirSync(join(folder, "temp"), { recursive: true });
  Extractor.invoke(config, {
    localBuild: true,
    typescriptCompilerFolder: resolve("node_modules/typescript"),
    messageCallback: (message) => (message.handled = true),
  });
  return readFileSync(join(folder, file), "utf8");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { name, exports } = JSON.parse(readFileSync("package.json", "utf8"));
  const entries = Object.entries(exports).flatMap(([path, { types }]) =>
    types === undefined ? [] : [{ path, types }],
  );
  mkdirSync("api", { recursive: true });
  for (const [file, text] of Object.entries(apiReports(entries))) {
    writeFileSync(file, text);
    console.log(`${name}: ${file}`);
  }
}
