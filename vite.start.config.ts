import { defineConfig } from "vite";

/** Bundles the terminal demo for Node. It imports the library by its name, as built, like any other user. */
export default defineConfig({
  build: {
    ssr: "demo/generate/main.ts",
    outDir: ".start",
    target: "node20",
    rollupOptions: {
      external: ["webgpu", "webgpu-token-sampler"],
      output: { entryFileNames: "main.mjs" },
    },
  },
});
