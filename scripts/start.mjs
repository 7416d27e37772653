/** Builds the library and the terminal demo, quietly, and runs the demo. Arguments go on to it. */
import { spawnSync } from "node:child_process";

const quiet = [
  ["node_modules/vite/bin/vite.js", "build", "--logLevel", "error"],
  ["node_modules/vite/bin/vite.js", "build", "--config", "vite.start.config.ts", "--logLevel", "error"],
];
for (const args of quiet) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status !== 0) {
    process.stderr.write(stdout + stderr);
    process.exit(status ?? 1);
  }
}
const { status } = spawnSync(process.execPath, [".start/main.mjs", ...process.argv.slice(2)], { stdio: "inherit" });
process.exit(status ?? 1);
