import { readdirSync, readFileSync } from "node:fs";
import { shortener } from "./shorten-wgsl.mjs";

const SHADERS = new URL("../shaders/", import.meta.url);

/**
 * Leaves what is for readers of `shaders/` out of what is built: comments, spaces and long names.
 *
 * @returns {import("vite").Plugin}
 */
export function compactShaders() {
  let shorten;
  return {
    name: "compact-shaders",
    apply: "build",
    enforce: "pre",
    buildStart() {
      shorten = shortener(textsOf("."), textsOf("lib"));
    },
    load(id) {
      const [file, query] = id.split("?");
      if (query !== "raw" || !file?.endsWith(".wgsl")) return undefined;
      return `export default ${JSON.stringify(shorten(readFileSync(file, "utf8")))};`;
    },
  };
}

function textsOf(folder) {
  const files = readdirSync(new URL(folder, SHADERS)).filter((file) => file.endsWith(".wgsl"));
  return files
    .sort((a, b) => (a < b ? -1 : 1))
    .map((file) => readFileSync(new URL(`${folder}/${file}`, SHADERS), "utf8"));
}
