/** Bundles the bench into bench/dist/bench.mjs: one file for plain Node with the package `webgpu` beside it. */
import { statSync } from "node:fs";
import { build } from "vite";
import { compactShaders } from "./compact-shaders.mjs";

await build({
  configFile: false,
  plugins: [compactShaders()],
  logLevel: "error",
  build: {
    ssr: "bench/node.ts",
    outDir: "bench/dist",
    emptyOutDir: false,
    target: "node20",
    minify: false,
    rollupOptions: {
      external: ["webgpu"],
      output: { entryFileNames: "bench.mjs", codeSplitting: false },
    },
  },
});
console.log(`bench/dist/bench.mjs: ${Math.round(statSync("bench/dist/bench.mjs").size / 1024)} KiB`);
