/** Trains the model of the demos; see demo/model/train.ts. Arguments go on to it. */
import { pathToFileURL } from "node:url";
import { build } from "vite";

await build({
  configFile: false,
  logLevel: "error",
  build: {
    ssr: "demo/model/train.ts",
    outDir: ".start",
    emptyOutDir: false,
    target: "node20",
    rollupOptions: { output: { entryFileNames: "train.mjs" } },
  },
  // TensorFlow.js keeps its gradients in modules that only a bundler can resolve.
  ssr: { noExternal: ["@tensorflow/tfjs-core"] },
});
await import(pathToFileURL(".start/train.mjs").href);
