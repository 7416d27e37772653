/** Builds the library and the terminal demo, quietly, and runs the demo. Arguments go on to it. */
import { spawnSync } from "node:child_process";

// The library beside the demo, and not in dist/, which is what `npm run build` has made.
const quiet = [
  ["--config", "vite.start.config.ts"],
  ["--outDir", ".start/package"],
];
for (const args of quiet) {
  const command = ["node_modules/vite/bin/vite.js", "build", ...args, "--logLevel", "error"];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: "utf8" });
  if (status !== 0) {
    process.stderr.write(stdout + stderr);
    process.exit(status ?? 1);
  }
}
const { status } = spawnSync(process.execPath, [".start/main.mjs", ...process.argv.slice(2)], { stdio: "inherit" });
process.exit(status ?? 1);
