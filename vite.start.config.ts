import { defineConfig } from "vite";

/** Bundles the terminal demo for Node. It imports the library as built, from beside it: see `scripts/start.mjs`. */
export default defineConfig({
  build: {
    ssr: "demo/generate/main.ts",
    outDir: ".start",
    target: "node20",
    rollupOptions: {
      external: ["webgpu", "webgpu-token-sampler"],
      output: { entryFileNames: "main.mjs", paths: { "webgpu-token-sampler": "./package/index.js" } },
    },
  },
});
