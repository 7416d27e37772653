/**
 * Runs mutants one by one for scripts/mutants.mjs: the modules are loaded anew for each, with one file changed on the
 * way, so that nothing on disk is touched.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { runnerImport } from "vite";
import { create, globals } from "webgpu";

Object.assign(globalThis, globals);
// Dawn crashes at random once this object is garbage.
globalThis.dawn = create([]);

process.on("message", (mutant) => {
  run(mutant).then(
    (killedBy) => process.send({ killedBy }),
    (error) => process.send({ killedBy: `error: ${String(error.message ?? error).slice(0, 300)}` }),
  );
});
process.send({ ready: true });

async function run(mutant) {
  const { module } = await runnerImport("./test/mutants/kill.ts", {
    configFile: false,
    logLevel: "silent",
    plugins: mutant === null ? [] : [plant(mutant)],
  });
  const adapter = await globalThis.dawn.requestAdapter();
  const device = await adapter.requestDevice({
    requiredFeatures: adapter.features.has("subgroups") ? ["subgroups"] : [],
  });
  const uncaught = [];
  device.addEventListener("uncapturederror", ({ error }) => uncaught.push(error.message));
  const killedBy = await module.kill(device, mutant?.file.endsWith(".wgsl") === true);
  device.destroy();
  return killedBy ?? uncaught[0] ?? null;
}

/** Hands out the mutated text of one file. */
function plant({ file, search, replace }) {
  const path = resolve(file);
  return {
    name: "mutant",
    enforce: "pre",
    load(id) {
      const [name, query] = id.split("?");
      if (name !== path) return undefined;
      const text = readFileSync(path, "utf8").replace(search, () => replace);
      return query === "raw" ? `export default ${JSON.stringify(text)};` : text;
    },
  };
}
