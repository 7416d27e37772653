/**
 * The soak: a hundred thousand calls on one device, in a Chromium that collects garbage when it is asked to.
 *
 *   npm run soak [-- --calls 100000] [--readings 100] [--minutes N] [--hardware] [--json FILE] [--svg FILE]
 */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { chromium } from "playwright";
import { createServer, runnerImport } from "vite";
import { chromiumFlags, findBrowser } from "./browser.mjs";

const { values } = parseArgs({
  options: {
    calls: { type: "string", default: "100000" },
    readings: { type: "string", default: "100" },
    minutes: { type: "string", default: "120" },
    hardware: { type: "boolean", default: false },
    json: { type: "string" },
    svg: { type: "string" },
  },
});
const [calls, readings, minutes] = [Number(values.calls), Number(values.readings), Number(values.minutes)];
if (!(
  Number.isInteger(calls) &&
  Number.isInteger(readings) &&
  readings >= 6 &&
  calls >= 16 * readings &&
  minutes > 0
)) {
  console.error(
    "soak: expected --readings of 6 or more, and --calls of at least 16 for each reading, --minutes above 0",
  );
  process.exit(1);
}
const { plot } = (await runnerImport("./test/soak/plot.ts", { configFile: false, logLevel: "error" })).module;

const server = await createServer({
  configFile: false,
  root: "test/soak",
  logLevel: "error",
  server: { host: "localhost", hmr: false, fs: { allow: [process.cwd()] } },
});
await server.listen();
const browser = await chromium.launch({
  executablePath: findBrowser().path,
  args: [...chromiumFlags(values.hardware), "--js-flags=--expose-gc", "--enable-precise-memory-info"],
});
try {
  const tab = await browser.newPage();
  tab.on("console", (message) => console.log(message.text()));
  tab.on("pageerror", (error) => console.error(error));
  await tab.goto(server.resolvedUrls.local[0]);
  await tab.waitForFunction(() => globalThis.soak !== undefined);
  const outcome = await tab.evaluate((given) => globalThis.soak(...given), [calls, readings, minutes]);
  const where = [
    `Chromium ${browser.version()}, ${outcome.adapter}`,
    `${cpus()[0]?.model.trim()}, ${cpus().length} cores`,
  ];
  const result = {
    date: new Date().toISOString(),
    command: ["npm run soak", ...(process.argv.length > 2 ? ["--", ...process.argv.slice(2)] : [])].join(" "),
    where,
    ...outcome,
  };
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result)}\n`);
  if (values.svg !== undefined) writeFileSync(values.svg, plot(result, outcome.growth, where));
  const { samplers, rows, different, growth } = outcome;
  console.log(
    `${outcome.calls} calls, ${rows} rows, ${samplers} samplers: ${different.length} different, ${growth.length} grew`,
  );
  for (const line of [...different.slice(0, 20), ...growth]) console.error(line);
  const early = outcome.calls < calls;
  if (early) console.error(`the ${minutes} minutes were over before ${calls} calls were made`);
  process.exitCode = different.length + growth.length === 0 && !early ? 0 : 1;
} finally {
  await browser.close();
  await server.close();
}
