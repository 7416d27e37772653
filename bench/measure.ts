/**
 * Times the sampler beside the read limit of the same adapter, in one run, round after round, so that drift of the
 * machine falls on both. Runs in a browser.
 */
import { createSampler, type Sampler, type SamplingParams } from "../src/index.ts";
import { batch, type InputName } from "../test/support/inputs.ts";
import { readLimit } from "./read-limit.ts";

/** What is timed: parameters by the name of the mode. */
export const MODES = {
  greedy: { temperature: 0 },
  "no filter": { temperature: 0.8 },
  "top-k 50": { temperature: 0.8, topK: 50 },
  "top-k 50, top-p 0.9": { temperature: 0.8, topK: 50, topP: 0.9 },
  "top-p 0.9": { temperature: 0.8, topP: 0.9 },
  "min-p 0.05": { temperature: 0.8, minP: 0.05 },
} as const satisfies Record<string, SamplingParams>;

export type Mode = keyof typeof MODES;

export interface BenchOptions {
  readonly vocab: readonly number[];
  readonly batch: readonly number[];
  readonly input: readonly InputName[];
  readonly mode: readonly Mode[];
  /** Counted rounds; one more is run first. */
  readonly rounds: number;
}

/** Milliseconds, from the middle of what was measured: median, and the quartiles as spread. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export interface Figure {
  readonly vocab: number;
  readonly batch: number;
  readonly input: InputName;
  readonly mode: Mode;
  /** One call among several in one submit, tokens staying on the GPU. */
  readonly encoded: Spread;
  /** Logits on the GPU, tokens back in JavaScript. */
  readonly sampled: Spread;
  /** The read limit measured right before each call, and the ratio to it. */
  readonly limit: Spread;
  readonly timesLimit: Spread;
  /** The CPU engine, one row. */
  readonly cpuRow: Spread;
}

/** Calls in one submit. */
const AMORTISED = 4;

/** Runs all cases; `progress` hears of each. */
export async function measure(
  device: GPUDevice,
  options: BenchOptions,
  progress: (line: string) => void,
): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const vocab of options.vocab) {
    for (const rows of options.batch) {
      for (const input of options.input) {
        const logits = batch([input], vocab, rows, 1);
        const buffer = device.createBuffer({ label: "bench logits", size: logits.byteLength, usage: 128 | 8 });
        device.queue.writeBuffer(buffer, 0, logits);
        const tokens = device.createBuffer({ label: "bench tokens", size: 4 * rows, usage: 128 });
        const limit = await readLimit(device, buffer);
        const sampler = await createSampler({ vocabSize: vocab, maxBatch: rows, device });
        const cpu = await createSampler({ vocabSize: vocab, maxBatch: rows, engine: "cpu" });
        for (const mode of options.mode) {
          await check(sampler, cpu, buffer, logits, MODES[mode]);
          const times = { encoded: [], sampled: [], limit: [], timesLimit: [], cpuRow: [] } as Record<string, number[]>;
          for (let round = 0; round <= options.rounds; round++) {
            const read = await limit();
            const encoded = await timed(device, () => {
              const encoder = device.createCommandEncoder();
              for (let i = 0; i < AMORTISED; i++)
                sampler.encode(encoder, { logits: buffer, tokens }, { ...MODES[mode], seed: 1n });
              device.queue.submit([encoder.finish()]);
            });
            const start = performance.now();
            await sampler.sample(buffer, { ...MODES[mode], seed: 1n });
            const sampled = performance.now() - start;
            const row = logits.subarray(0, vocab);
            const before = performance.now();
            for (let i = 0; i < 3; i++) await cpu.sample(row, { ...MODES[mode], seed: 1n });
            const cpuRow = (performance.now() - before) / 3;
            if (round === 0) continue;
            times["limit"]!.push(read);
            times["encoded"]!.push(encoded / AMORTISED);
            times["timesLimit"]!.push(encoded / AMORTISED / read);
            times["sampled"]!.push(sampled);
            times["cpuRow"]!.push(cpuRow);
          }
          const spread = Object.fromEntries(Object.entries(times).map(([name, values]) => [name, spreadOf(values)]));
          const figure = {
            vocab,
            batch: rows,
            input,
            mode,
            ...(spread as Pick<Figure, "encoded" | "sampled" | "limit" | "timesLimit" | "cpuRow">),
          };
          figures.push(figure);
          progress(
            `${vocab} × ${rows}, ${input}, ${mode}: ${figure.encoded.median.toFixed(2)} ms, ${figure.timesLimit.median.toFixed(1)} × the read limit`,
          );
        }
        sampler.destroy();
        cpu.destroy();
        buffer.destroy();
        tokens.destroy();
      }
    }
  }
  return figures;
}

/** A figure of a sampler that draws something else would be worthless. */
async function check(
  gpu: Sampler,
  cpu: Sampler,
  buffer: GPUBuffer,
  logits: Float32Array,
  mode: SamplingParams,
): Promise<void> {
  const params = { ...mode, seed: 5n, position: 1 };
  const [a, b] = [await gpu.sample(buffer, params), await cpu.sample(logits, params)];
  if (a.tokens.some((token, row) => token !== b.tokens[row])) throw new Error("the engines draw different tokens");
}

async function timed(device: GPUDevice, submit: () => void): Promise<number> {
  const start = performance.now();
  submit();
  await device.queue.onSubmittedWorkDone();
  return performance.now() - start;
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.round((sorted.length - 1) * share)]!;
  return { median: at(0.5), low: at(0.25), high: at(0.75) };
}
