/** Bundles the suite: the one file that every runtime loads, with the shaders as they are shipped. */
import { build } from "vite";
import { compactShaders } from "./compact-shaders.mjs";

export const BUNDLE = "test/everywhere/dist/suite.mjs";

export async function bundle() {
  await build({
    configFile: false,
    plugins: [compactShaders()],
    logLevel: "error",
    build: {
      lib: { entry: "test/everywhere/suite.ts", formats: ["es"], fileName: () => "suite.mjs" },
      outDir: "test/everywhere/dist",
      target: "es2022",
      minify: false,
    },
  });
}
