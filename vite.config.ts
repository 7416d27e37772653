import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";
import { chromiumFlags } from "./scripts/browser.mjs";
import { compactShaders } from "./scripts/compact-shaders.mjs";

export default defineConfig({
  plugins: [compactShaders()],
  build: {
    lib: {
      entry: {
        index: "src/index.ts",
        reference: "src/reference/index.ts",
        onnxruntime: "src/integrations/onnxruntime.ts",
        stream: "src/integrations/stream.ts",
        transformers: "src/integrations/transformers.ts",
        webllm: "src/integrations/webllm.ts",
      },
      formats: ["es"],
    },
    target: "es2022",
    sourcemap: true,
    minify: false,
  },
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    fileParallelism: false,
    projects: [
      {
        extends: true,
        test: {
          name: "node",
          include: ["test/**/*.test.ts"],
          exclude: ["test/gpu/**", "test/integrations/**", "test/package/**", "test/page/**"],
          environment: "node",
        },
      },
      {
        extends: true,
        test: {
          name: "page",
          include: ["test/page/**/*.test.ts"],
          environment: "node",
          expect: { poll: { timeout: 30_000 } },
        },
      },
      {
        extends: true,
        test: {
          name: "package",
          include: ["test/package/**/*.test.ts"],
          environment: "node",
          globalSetup: "test/package/support/setup.ts",
        },
      },
      {
        extends: true,
        // The examples import the package by its name.
        resolve: {
          alias: [
            {
              find: /^webgpu-token-sampler\/(\w+)$/,
              replacement: new URL("src/integrations/$1.ts", import.meta.url).pathname,
            },
            { find: /^webgpu-token-sampler$/, replacement: new URL("src/index.ts", import.meta.url).pathname },
          ],
        },
        // ONNX Runtime finds its wasm files beside its own module, so it must stay where it is.
        optimizeDeps: {
          exclude: ["onnxruntime-web", "@huggingface/transformers"],
          include: ["@huggingface/tokenizers", "@huggingface/jinja", "onnxruntime-common", "onnx-proto"],
        },
        test: {
          name: "gpu",
          include: ["test/gpu/**/*.test.ts", "test/integrations/**/*.test.ts"],
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            // One page for all, so that they share a device: see test/support/device.ts. Said of the browser only, because
            // projects of which one says it as a whole run one after the other.
            isolate: false,
            provider: playwright({
              launchOptions: {
                ...(process.env["WTS_BROWSER"] === undefined ? {} : { executablePath: process.env["WTS_BROWSER"] }),
                args: chromiumFlags(process.env["WTS_GPU"] === "hardware"),
              },
            }),
            instances: [{ browser: "chromium" }],
          },
        },
      },
    ],
  },
});
