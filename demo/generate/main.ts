/** The program behind `npm start`: text, or random logits, sampled on both engines. */
import { createSampler, type Sampler } from "webgpu-token-sampler";
import guide from "../../docs/guide.md?raw";
import rules from "../../docs/rules.md?raw";
import essay from "../../docs/sampling.md?raw";
import { findGpu, type Gpu } from "./adapter.ts";
import { Lockstep } from "./lockstep.ts";
import { LanguageModel, proseOf } from "./model.ts";
import { HELP, type Options, parseOptions, UsageError } from "./options.ts";
import { paramsFor, ROWS } from "./rows.ts";
import { Screen } from "./screen.ts";
import { SyntheticLogits } from "./synthetic.ts";

/** Lets the eight texts grow. */
async function sampleText(model: LanguageModel, engines: Lockstep, { steps, seed }: Options): Promise<void> {
  const { tokenizer, vocabSize } = model;
  const texts = ROWS.map(({ prompt }) => tokenizer.encode(prompt));
  const params = paramsFor(ROWS.length, seed);
  const logits = new Float32Array(ROWS.length * vocabSize);
  const screen = new Screen(process.stdout);
  const lines = () => ROWS.map(({ label }, row) => ({ label, text: tokenizer.decode(texts[row]!) }));

  for (let step = 1; step <= steps && engines.difference === undefined; step++) {
    for (const [row, text] of texts.entries()) {
      model.logits(text, logits.subarray(row * vocabSize, (row + 1) * vocabSize));
    }
    const { tokens } = await engines.sample(logits, params);
    for (const [row, text] of texts.entries()) text.push(tokens[row]!);
    screen.grow(lines(), step, steps);
  }
  screen.finish(lines());
}

async function sampleSynthetic(vocab: number, engines: Lockstep, { steps, seed, batch }: Options): Promise<void> {
  const source = new SyntheticLogits(vocab, seed);
  const params = paramsFor(batch, seed);
  const logits = new Float32Array(batch * vocab);
  for (let step = 1; step <= steps && engines.difference === undefined; step++) {
    source.fill(logits);
    await engines.sample(logits, params);
  }
}

/** A sampler on the GPU, or why there is none. */
async function onGpu(gpu: Gpu | string, vocabSize: number, maxBatch: number): Promise<Sampler | string> {
  if (typeof gpu === "string") return gpu;
  try {
    return await createSampler({ vocabSize, maxBatch, engine: "webgpu", device: gpu.device });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Says what ran, how fast, and whether the engines agree. Returns whether they do. */
function report(
  engines: Lockstep,
  samplers: readonly Sampler[],
  gpu: string | undefined,
  drawn: number,
  seconds: number,
): boolean {
  const [first, second] = samplers.map(({ engine }) => engine);
  const rates = engines.rates();
  console.log(`\nengine:    ${first}`);
  if (gpu !== undefined) console.log(`adapter:   ${gpu}`);
  if (engines.timedTokens > 0) {
    const each = samplers.map(({ engine }, index) => `${engine} ${show(rates[index]!)}`).join(", ");
    console.log(`sampling:  ${each} tokens/s, from logits in CPU memory; the first step is left out`);
  }
  const share = second === undefined ? "and output" : "both engines and output";
  console.log(`in all:    ${show(drawn / seconds)} tokens/s, ${seconds.toFixed(2)} s with start-up, logits, ${share}`);

  if (second === undefined) {
    console.log("identical: not checked, only one engine was available");
    return true;
  }
  if (engines.difference === undefined) {
    console.log(`identical: ${engines.compared} of ${engines.compared} tokens (${first} === ${second})`);
    return true;
  }
  const { step, row, tokens } = engines.difference;
  console.error(`DIFFERENT: step ${step}, row ${row}: ${first} drew ${tokens[0]}, ${second} drew ${tokens[1]}`);
  return false;
}

function show(rate: number): string {
  return Math.round(rate).toLocaleString("en-US");
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    console.log(HELP);
    return;
  }
  const gpu = await findGpu();
  const start = performance.now();
  const model =
    options.vocab === undefined ? new LanguageModel([essay, guide, rules].map(proseOf).join("\n\n")) : undefined;
  const vocabSize = options.vocab ?? model!.vocabSize;
  const rows = model === undefined ? options.batch : ROWS.length;
  console.log(`${rows} rows, ${options.steps} tokens each, a vocabulary of ${vocabSize} tokens`);
  const webgpu = await onGpu(gpu, vocabSize, rows);
  if (typeof webgpu === "string") {
    if (options.engine === "webgpu") throw new UsageError(`--engine webgpu: ${webgpu}`);
    console.log(`Running on the CPU engine only: ${webgpu}.`);
  }
  const cpu = await createSampler({ vocabSize, maxBatch: rows, engine: "cpu" });
  // The one that was asked for, and the other one where there is one.
  const both = options.engine === "cpu" ? ([cpu, webgpu] as const) : ([webgpu, cpu] as const);
  const samplers = both.filter((each) => typeof each !== "string") as [Sampler] | [Sampler, Sampler];
  const engines = new Lockstep(samplers);

  if (model === undefined) await sampleSynthetic(vocabSize, engines, options);
  else await sampleText(model, engines, options);

  const name = typeof gpu === "string" || typeof webgpu === "string" ? undefined : gpu.name;
  const agreed = report(engines, samplers, name, rows * engines.steps, (performance.now() - start) / 1000);
  for (const sampler of samplers) sampler.destroy();
  if (typeof gpu !== "string") gpu.device.destroy();
  if (!agreed) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\nTry --help.`);
  process.exitCode = 1;
}
