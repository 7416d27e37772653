/** Bundles the suite: the one file that every runtime loads. */
import { build } from "vite";

export const BUNDLE = "test/everywhere/dist/suite.mjs";

export async function bundle() {
  await build({
    configFile: false,
    logLevel: "error",
    build: {
      lib: { entry: "test/everywhere/suite.ts", formats: ["es"], fileName: () => "suite.mjs" },
      outDir: "test/everywhere/dist",
      target: "es2022",
      minify: false,
    },
  });
}
