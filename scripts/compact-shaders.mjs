import { readFileSync } from "node:fs";

/**
 * Leaves comments, indentation and empty lines of shaders out of what is built; they are for readers of `shaders/`.
 *
 * @returns {import("vite").Plugin}
 */
export function compactShaders() {
  return {
    name: "compact-shaders",
    apply: "build",
    enforce: "pre",
    load(id) {
      const [file, query] = id.split("?");
      if (query !== "raw" || !file?.endsWith(".wgsl")) return undefined;
      const lines = readFileSync(file, "utf8")
        .split("\n")
        .map((line) => line.replace(/\/\/.*/u, "").trim())
        .filter((line) => line !== "");
      return `export default ${JSON.stringify(lines.join("\n"))};`;
    },
  };
}
