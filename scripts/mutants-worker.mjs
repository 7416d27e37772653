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
  void run(mutant).then((outcome) => process.send(outcome));
});
process.send({ ready: true });

async function run(mutant) {
  let suite;
  try {
    const options = { configFile: false, logLevel: "silent", plugins: mutant === null ? [] : [plant(mutant)] };
    suite = (await runnerImport("./test/mutants/kill.ts", options)).module;
  } catch (error) {
    return { verdict: "invalid", by: `does not load: ${text(error)}` };
  }
  const adapter = await globalThis.dawn.requestAdapter();
  const device = await adapter.requestDevice({
    requiredFeatures: adapter.features.has("subgroups") ? ["subgroups"] : [],
  });
  const uncaught = [];
  device.addEventListener("uncapturederror", ({ error }) => uncaught.push(error.message));
  const modules = watchModules(device);
  let outcome;
  try {
    const found = await suite.kill(device, mutant?.file ?? "", () => process.send({ step: true }));
    if (found !== undefined) outcome = { verdict: "found", by: found };
    else if (uncaught.length > 0) outcome = { verdict: "throws", by: uncaught[0] };
    else outcome = { verdict: "survives" };
  } catch (error) {
    outcome = { verdict: "throws", by: text(error) };
  }
  const broken = await firstError(modules);
  device.destroy();
  return broken === undefined ? outcome : { verdict: "invalid", by: `does not compile: ${broken}` };
}

const text = (error) => String(error?.message ?? error).slice(0, 300);

/** The shader modules that a device will make. */
function watchModules(device) {
  const modules = [];
  const create = device.createShaderModule.bind(device);
  device.createShaderModule = (descriptor) => {
    const module = create(descriptor);
    modules.push(module);
    return module;
  };
  return modules;
}

async function firstError(modules) {
  for (const module of modules) {
    const { messages } = await module.getCompilationInfo();
    const error = messages.find(({ type }) => type === "error");
    if (error !== undefined) return text(error);
  }
  return undefined;
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
      const mutated = readFileSync(path, "utf8").replace(search, () => replace);
      return query === "raw" ? `export default ${JSON.stringify(mutated)};` : mutated;
    },
  };
}
