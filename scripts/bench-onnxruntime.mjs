/**
 * Decoding with ONNX Runtime Web in a headless Chromium: logits downloaded and sampled on the CPU, beside logits sampled where they
 * lie. Same models, same run, same tokens; a difference ends it with an error.
 *
 *   npm run bench:onnxruntime -- --steps 48 --rounds 5 --batch 1,8 --vocab 128256 --hardware
 *
 *   --steps N      tokens of a row in a round (48)
 *   --rounds N     measurements of every loop, in turn (5)
 *   --batch N,…    rows (1,8)
 *   --vocab N      tokens of the model with thin matrices (128256)
 *   --hardware     use the GPU, not the software adapter
 */
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright";
import { createServer } from "vite";
import { chromiumFlags, findBrowser } from "./browser.mjs";
import { commandLine, count } from "./command-line.mjs";

const { values } = commandLine(import.meta.filename, {
  steps: { type: "string", default: "48" },
  rounds: { type: "string", default: "5" },
  batch: { type: "string", default: "1,8" },
  vocab: { type: "string", default: "128256" },
  hardware: { type: "boolean", default: false },
});
const options = {
  steps: count("steps", values.steps),
  rounds: count("rounds", values.rounds),
  vocab: count("vocab", values.vocab),
  batches: values.batch.split(",").map((rows) => count("batch", rows)),
};
const source = (path) => fileURLToPath(new URL(`../src/${path}`, import.meta.url));
const server = await createServer({
  configFile: false,
  logLevel: "error",
  server: { host: "localhost", port: 0 },
  resolve: { alias: [{ find: /^webgpu-token-sampler\/(\w+)$/, replacement: source("integrations/$1.ts") }] },
  optimizeDeps: { entries: ["demo/model/bench/index.html"], exclude: ["onnxruntime-web"], include: ["onnx-proto"] },
});
await server.listen();
const browser = await chromium.launch({ executablePath: findBrowser().path, args: chromiumFlags(values.hardware) });
try {
  const tab = await browser.newPage();
  tab.on("console", (message) => message.type() === "log" && console.log(message.text()));
  tab.on("pageerror", (error) => console.error(error));
  await tab.goto(new URL("demo/model/bench/index.html", server.resolvedUrls.local[0]).href);
  await tab.waitForFunction(() => globalThis.bench !== undefined);
  const { results, adapter } = await tab.evaluate((given) => globalThis.bench(given), options);
  console.log(
    `\n${cpus()[0].model.trim()}, ${cpus().length} cores; Chromium ${browser.version()}; adapter: ${adapter}`,
  );
  console.log(
    `${options.steps} steps a round, ${options.rounds} rounds, loops in turn; steps/s: median (least to most)\n`,
  );
  console.log(
    "| model | rows | loop | read back a step | reads a step | steps/s |\n| --- | --- | --- | --- | --- | --- |",
  );
  for (const { model, batch, loop, rates, bytesPerStep, readsPerStep } of results) {
    const sorted = rates.toSorted((a, b) => a - b);
    const [least, median, most] = [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)].map((rate) => rate.toFixed(1));
    const read = `${Math.round(bytesPerStep).toLocaleString("en-US")} B`;
    console.log(
      `| ${model} | ${batch} | ${loop} | ${read} | ${readsPerStep.toFixed(2)} | ${median} (${least} to ${most}) |`,
    );
  }
} finally {
  await browser.close();
  await server.close();
}
