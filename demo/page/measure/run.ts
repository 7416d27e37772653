/** What the page measures: the project's bench over one buffer of logits, and what the way over the CPU costs. */
import { createSampler } from "webgpu-token-sampler";
import { type BenchOptions, type BenchResult, MODES, type ModeName, type Summary } from "../../../bench/cases.ts";
import { Readback } from "../../../bench/readback.ts";
import { bench, requestBenchDevice } from "../../../bench/run.ts";
import { summarize } from "../../../bench/statistics.ts";
import { version } from "../../../package.json";
import { batch as makeLogits } from "../../../test/support/inputs.ts";

export interface MeasureOptions {
  readonly vocab: number;
  readonly batch: number;
  readonly rounds: number;
}

/** The mode whose way over the CPU is shown. */
export const CPU_MODE: ModeName = "top-k+top-p";
const INPUT = "peaked";
const MODE_NAMES = Object.keys(MODES) as ModeName[];
/** Rows that the CPU engine samples per round where there is no GPU. */
const CPU_ROWS = 4;

/** Steps of the work: `done` of `total` are over; the first is what comes before the first round. */
export type Report = (done: number, total: number) => void;

export interface GpuMeasures {
  readonly kind: "webgpu";
  readonly result: BenchResult;
  /** All logits, until they can be read in CPU memory. */
  readonly copy: Summary;
}

export interface CpuMeasures {
  readonly kind: "cpu";
  /** One row in every mode. */
  readonly modes: readonly { readonly mode: ModeName; readonly time: Summary }[];
}

const ended = (signal: AbortSignal): void => {
  if (signal.aborted) throw signal.reason;
};

/** @throws the signal's reason when it is aborted */
export async function measureOnGpu(
  gpu: GPU,
  { vocab, batch, rounds }: MeasureOptions,
  report: Report,
  signal: AbortSignal,
): Promise<GpuMeasures> {
  const options: BenchOptions = {
    shapes: [{ vocab, batch }],
    inputs: [INPUT],
    modes: MODE_NAMES,
    rounds,
    targetMs: 20,
    cold: false,
  };
  const opened = await requestBenchDevice(gpu, options.shapes);
  const { device, errors } = opened;
  try {
    // The bench says a line when the tokens are compared, and one when a round begins; then comes the copy.
    const total = rounds + 3;
    let done = 0;
    const outcome = await bench(opened, options, () => {
      ended(signal);
      report(++done, total);
    });
    ended(signal);
    report(rounds + 2, total);
    const copy = await copyTime(device, 4 * vocab * batch, rounds, signal);
    if (errors.length > 0) throw new Error(errors.join("\n"));
    return { kind: "webgpu", result: { ...about(options), ...outcome }, copy };
  } finally {
    device.destroy();
  }
}

/** The bytes of the logits, from GPU memory until JavaScript can read them where they are mapped. */
async function copyTime(device: GPUDevice, bytes: number, rounds: number, signal: AbortSignal): Promise<Summary> {
  const source = device.createBuffer({ label: "page.copy", size: bytes, usage: GPUBufferUsage.COPY_SRC });
  const readback = new Readback(device);
  const times: number[] = [];
  for (let round = -1; round < 3 * rounds; round++) {
    ended(signal);
    const started = performance.now();
    const mapped = await readback.read(source, bytes, () => performance.now());
    // In the first one buffers are made.
    if (round >= 0) times.push(mapped - started);
  }
  return summarize(times);
}

/** Without a GPU: the CPU engine, a row at a time. */
export async function measureOnCpu(
  { vocab, rounds }: MeasureOptions,
  report: Report,
  signal: AbortSignal,
): Promise<CpuMeasures> {
  const sampler = await createSampler({ vocabSize: vocab, engine: "cpu" });
  const row = makeLogits([INPUT], vocab, 1, 1);
  const times = new Map<ModeName, number[]>(MODE_NAMES.map((mode) => [mode, []]));
  // The first time is none of the rounds: memory is touched, and code compiled.
  for (let round = -1; round < rounds; round++) {
    if (round >= 0) report(round + 2, rounds + 2);
    for (const mode of MODE_NAMES) {
      for (let call = 0; call < CPU_ROWS; call++) {
        const started = performance.now();
        await sampler.sample(row, { ...MODES[mode], seed: 7n });
        if (round >= 0) times.get(mode)!.push(performance.now() - started);
      }
      await new Promise((resolve) => setTimeout(resolve));
      ended(signal);
    }
  }
  return { kind: "cpu", modes: MODE_NAMES.map((mode) => ({ mode, time: summarize(times.get(mode)!) })) };
}

/** What a result says of where it was made: as much as a browser tells. */
function about(
  options: BenchOptions,
): Pick<BenchResult, "version" | "date" | "command" | "package" | "machine" | "runtime" | "options"> {
  const { vocab, batch } = options.shapes[0]!;
  return {
    version: 1,
    date: new Date().toISOString(),
    command: `the page: measure ${vocab} × ${batch}, ${options.rounds} rounds`,
    package: version,
    machine: { cpu: "CPU not told by the browser", cores: navigator.hardwareConcurrency, system: systemName() },
    runtime: navigator.userAgent,
    options,
  };
}

function systemName(): string {
  const { userAgentData } = navigator as { userAgentData?: { platform?: string } };
  return userAgentData?.platform ?? navigator.platform;
}
