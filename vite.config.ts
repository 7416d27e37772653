import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";
import { chromiumFlags } from "./scripts/browser.mjs";

export default defineConfig({
  build: {
    lib: {
      entry: { index: "src/index.ts", reference: "src/reference/index.ts" },
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
          exclude: ["test/gpu/**", "test/package/**"],
          environment: "node",
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
        test: {
          name: "gpu",
          include: ["test/gpu/**/*.test.ts"],
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
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
