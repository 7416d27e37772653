import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const LICENCES = [
  "../../THIRD-PARTY.md",
  "../../node_modules/@fontsource/newsreader/LICENSE",
  "../../node_modules/@huggingface/tokenizers/LICENSE",
];
/** Its package has no file of that name. */
const ONNX_RUNTIME =
  "onnxruntime-web: MIT License, Copyright (c) Microsoft Corporation; the text of the licence is above.\n";

/** The site carries the licences of what others made of it. */
function licences(): Plugin {
  return {
    name: "licences",
    generateBundle() {
      const texts = LICENCES.map((file) => readFileSync(at(file), "utf8"));
      const source = [...texts, ONNX_RUNTIME].join("\n---\n\n");
      this.emitFile({ type: "asset", fileName: "licences.txt", source });
    },
  };
}

const TALES = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "onnx/model.onnx"];

/** The neural model lies beside the page, as `tales/`. */
function tales(): Plugin {
  const read = (file: string): Buffer => readFileSync(at(`../model/tales/${file}`));
  return {
    name: "tales",
    generateBundle() {
      for (const file of TALES) this.emitFile({ type: "asset", fileName: `tales/${file}`, source: read(file) });
    },
    configureServer({ middlewares }) {
      middlewares.use("/tales/", (request, response, next) => {
        const file = request.url!.slice(1);
        if (!TALES.includes(file)) return next();
        response.setHeader("Content-Type", file.endsWith(".json") ? "application/json" : "application/octet-stream");
        response.end(read(file));
      });
    },
  };
}

/** The page: `npm run demo` serves it, `npm run build:demo` writes it as a static site that works from any folder. */
export default defineConfig({
  root: at("."),
  base: "./",
  resolve: {
    // The package's names, from its sources: the page needs no build of the package first.
    alias: [
      { find: /^webgpu-token-sampler\/reference$/, replacement: at("../../src/reference/index.ts") },
      { find: /^webgpu-token-sampler$/, replacement: at("../../src/index.ts") },
    ],
  },
  plugins: [licences(), tales()],
  // It looks for its WebAssembly beside its own file.
  optimizeDeps: { exclude: ["onnxruntime-web"] },
  server: { fs: { allow: [at("../..")] } },
  build: { outDir: "dist", emptyOutDir: true, target: "es2022", assetsInlineLimit: 0, reportCompressedSize: false },
});
