/**
 * The CPU engine beside hand-written JavaScript: bundles bench/cpu.ts and runs it in a Node of its own.
 *
 *   npm run bench:cpu -- --input peaked --mode top-p --rounds 9
 */
import { spawnSync } from "node:child_process";
import { build } from "vite";

await build({
  configFile: false,
  logLevel: "error",
  build: {
    ssr: "bench/cpu.ts",
    outDir: "bench/dist",
    emptyOutDir: false,
    target: "node20",
    minify: false,
    rollupOptions: { output: { entryFileNames: "cpu.mjs", codeSplitting: false } },
  },
});
const { status } = spawnSync(process.execPath, ["bench/dist/cpu.mjs", ...process.argv.slice(2)], { stdio: "inherit" });
process.exitCode = status ?? 1;
