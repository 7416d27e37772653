/**
 * The bench: opens bench/index.html in a headless Chromium, and prints what it measured.
 *
 *   npm run bench -- --batch 1,8,32 --vocab 128256 --input peaked,flat --mode "greedy,top-k 50" --rounds 9 --json FILE
 */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { chromium } from "playwright";
import { createServer } from "vite";
import { findBrowser } from "./browser.mjs";

const { values } = parseArgs({
  options: {
    batch: { type: "string", default: "1,8,32" },
    vocab: { type: "string", default: "128256" },
    input: { type: "string", default: "peaked,flat,equal" },
    mode: { type: "string", default: "all" },
    rounds: { type: "string", default: "7" },
    json: { type: "string" },
    hardware: { type: "boolean", default: false },
  },
});
const list = (text) => text.split(",").map((item) => item.trim());
const numbers = (name) =>
  list(values[name]).map((text) => {
    const number = Number(text);
    if (!Number.isInteger(number) || number < 1) throw new RangeError(`--${name}: expected whole numbers, got ${text}`);
    return number;
  });

const found = findBrowser();
const server = await createServer({
  configFile: false,
  root: ".",
  logLevel: "error",
  server: { host: "localhost", port: 0 },
});
await server.listen();
const browser = await chromium.launch({
  executablePath: found.path,
  args: [
    "--enable-unsafe-webgpu",
    ...(values.hardware ? ["--enable-features=Vulkan"] : ["--use-webgpu-adapter=swiftshader"]),
    "--enable-webgpu-developer-features",
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
  ],
});
try {
  const page = await browser.newPage();
  page.on("console", (message) => console.log(message.text()));
  page.on("pageerror", (error) => console.error(error));
  await page.goto(new URL("bench/index.html", server.resolvedUrls.local[0]).href);
  await page.waitForFunction(() => globalThis.bench !== undefined);
  const modes = await page.evaluate(() => globalThis.modes);
  const mode =
    values.mode === "all"
      ? modes
      : list(values.mode.replaceAll("50, top-p", "50; top-p")).map((m) => m.replace(";", ","));
  const unknown = mode.filter((name) => !modes.includes(name));
  if (unknown.length > 0) throw new RangeError(`--mode: expected some of ${modes.join(" | ")}, got ${unknown.join()}`);
  const options = {
    vocab: numbers("vocab"),
    batch: numbers("batch"),
    input: list(values.input),
    mode,
    rounds: numbers("rounds")[0],
  };
  const { adapter, figures } = await page.evaluate((given) => globalThis.bench(given), options);
  const machine = {
    date: new Date().toISOString().slice(0, 10),
    browser: `Chromium ${browser.version()}`,
    adapter,
    cpu: cpus()[0].model.trim(),
    cores: cpus().length,
    rounds: options.rounds,
  };
  console.log(
    `\n${Object.entries(machine)
      .map(([name, value]) => `${name}: ${value}`)
      .join("; ")}\n`,
  );
  console.log(table(figures));
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify({ ...machine, figures }, null, 2)}\n`);
    writeFileSync(
      values.json.replace(/(\.json)?$/, ".md"),
      `${Object.entries(machine)
        .map(([name, value]) => `- ${name}: ${value}`)
        .join("\n")}\n\n${table(figures)}\n`,
    );
  }
} finally {
  await browser.close();
  await server.close();
}

function table(figures) {
  const ms = ({ median, low, high }) => `${median.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;
  const rows = figures.map((f) => [
    f.vocab,
    f.batch,
    f.input,
    f.mode,
    ms(f.limit),
    ms(f.encoded),
    f.timesLimit.median.toFixed(1),
    ((4 * f.vocab * f.batch) / f.encoded.median / 1e6).toFixed(2),
    ms(f.sampled),
    f.cpuRow.median.toFixed(2),
  ]);
  const head = [
    "vocabulary",
    "batch",
    "input",
    "mode",
    "read limit, ms",
    "encode, ms",
    "× limit",
    "GB/s",
    "sample, ms",
    "CPU engine, ms a row",
  ];
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}
