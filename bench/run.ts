/** Runs the cases: checks tokens first, then times everyone in turn, with the read limit beside each. */
import { createSampler } from "../src/index.ts";
import { adapterClass } from "../src/webgpu/tuning.ts";
import { batch as makeLogits, type InputName } from "../test/support/inputs.ts";
import {
  type Adapter,
  type BenchOptions,
  type BenchOutcome,
  type Case,
  type Figure,
  MODE_LABELS,
  MODE_NAMES,
  type ModeName,
  MODES,
  type Progress,
  type Shape,
} from "./cases.ts";
import { Clock, type Record } from "./clock.ts";
import { type Copies, upload } from "./copies.ts";
import { ReadLimit } from "./limit.ts";
import { failure, IN_FLIGHT, isCalled, isInFlight, type Pace, Paces, stopwatch, warmUp } from "./pace.ts";
import { Readback } from "./readback.ts";
import { summarizeSome } from "./statistics.ts";

/** Logits of one case, in both memories. */
export interface Logits {
  readonly input: InputName;
  readonly vocab: number;
  readonly batch: number;
  /** `[batch, vocab]` */
  readonly data: Float32Array<ArrayBuffer>;
  readonly device: GPUDevice;
  /** The same on the GPU. */
  readonly copies: Copies;
}

/** Someone who samples in one mode. What is absent is not measured. */
export interface Contender {
  readonly who: string;
  readonly mode: ModeName;
  /** Records one call. */
  readonly record?: Record;
  /** Makes some independent calls, logits on the GPU, all begun before the first one ends, and waits for their tokens. */
  readonly tokens?: (calls: number) => Promise<unknown>;
  /** Samples one row in CPU memory. */
  readonly row?: (row: number) => unknown;
  readonly checkedRows?: number;
  readonly notes?: readonly string[];
  /** Not ours: if it fails, that is noted, and it is left out. */
  readonly isPeer?: boolean;
}

const SEED = 7n;
/** Rows a CPU contender samples per round. */
const ROWS_PER_ROUND = 4;
/** Calls that end with tokens in JavaScript, timed one by one in a round at most. */
const CALLS_PER_ROUND = 5;

/** Others that sample the same logits. */
export interface Others {
  readonly contenders: readonly Contender[];
  release(): void;
}

export interface BenchDevice {
  readonly device: GPUDevice;
  readonly adapter: Adapter;
  /** Errors that nobody caught; a run that has any is worth nothing. */
  readonly errors: string[];
}

/** A device with the features that the bench uses, and room for the largest buffer. */
export async function requestBenchDevice(gpu: GPU, shapes: readonly Shape[]): Promise<BenchDevice> {
  const found = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (found === null) throw new Error("bench: there is no WebGPU adapter");
  const bytes = Math.max(2 ** 27, ...shapes.map(({ vocab, batch }) => 4 * vocab * batch));
  const most = Math.min(found.limits.maxBufferSize, found.limits.maxStorageBufferBindingSize);
  if (bytes > most) throw new Error(`bench: the largest case has ${bytes} bytes of logits; the adapter binds ${most}`);
  const device = await found.requestDevice({
    label: "bench.device",
    requiredFeatures: (["timestamp-query", "subgroups"] as GPUFeatureName[]).filter((name) => found.features.has(name)),
    requiredLimits: {
      maxStorageBufferBindingSize: bytes,
      maxBufferSize: Math.max(bytes, 2 ** 28),
      // The widest of the kernels that only read; the sampler is cut for the default.
      ...Object.fromEntries(
        (["maxComputeInvocationsPerWorkgroup", "maxComputeWorkgroupSizeX"] as const).map((name) => [
          name,
          Math.min(512, found.limits[name]),
        ]),
      ),
    },
  });
  const errors: string[] = [];
  device.addEventListener("uncapturederror", (event) => errors.push(event.error.message));
  const { vendor, architecture, device: product, description } = found.info;
  return {
    device,
    errors,
    adapter: {
      vendor,
      architecture,
      device: product,
      description,
      software: adapterClass(found.info) !== "gpu",
      timestamps: device.features.has("timestamp-query"),
      subgroups: device.features.has("subgroups"),
    },
  };
}

/**
 * The bench. Stops before the first figure of a case whose tokens are not the reference's.
 *
 * @param others prepares who else samples a case's logits
 * @param paces who turned out to be slow, for runs that belong together
 */
export async function bench(
  { device, adapter, errors }: BenchDevice,
  options: BenchOptions,
  progress: Progress,
  others?: (logits: Logits, modes: readonly ModeName[]) => Promise<Others>,
  paces = new Paces(),
): Promise<BenchOutcome> {
  const clock = new Clock(device);
  const limit = new ReadLimit(device);
  const cases: Case[] = [];
  const mismatches: string[] = [];
  const total = options.inputs.length * options.shapes.length;
  for (const input of options.inputs) {
    for (const vocab of new Set(options.shapes.map((shape) => shape.vocab))) {
      const batches = options.shapes.filter((shape) => shape.vocab === vocab).map((shape) => shape.batch);
      // Row r is the same in every batch.
      const data = makeLogits([input], vocab, Math.max(...batches), 1);
      for (const batch of batches) {
        const copies = upload(device, data.subarray(0, batch * vocab), options.cold);
        const logits = { input, vocab, batch, data: data.subarray(0, batch * vocab), device, copies };
        const name = `[${cases.length + 1}/${total}] ${input}, vocabulary ${vocab}, batch ${batch}`;
        const ours = await prepareOurs(logits, options.modes);
        try {
          mismatches.push(...ours.mismatches.map((line) => `${name.slice(name.indexOf(" ") + 1)}: ${line}`));
          if (mismatches.length > 0) return { adapter, cases, mismatches };
          progress(`${name}: tokens equal on GPU and CPU in ${options.modes.length} modes × ${batch} rows`);
          const more = await others?.(logits, options.modes);
          try {
            // Rows in CPU memory are read again and again, which a cold run is not to do.
            const all = [...ours.contenders, ...(more?.contenders ?? [])].filter(({ row }) => !options.cold || !row);
            const contenders = byMode(all);
            cases.push(await runCase(logits, contenders, { clock, limit, options, progress, name, paces }));
          } finally {
            more?.release();
          }
          if (errors.length > 0) throw new Error(`bench: the GPU refused something: ${errors.join("\n")}`);
        } finally {
          ours.release();
          copies.destroy();
        }
      }
    }
  }
  clock.destroy();
  limit.destroy();
  return { adapter, cases, mismatches };
}

/** Everyone in one mode, then in the next: who is compared is measured side by side. */
function byMode(contenders: readonly Contender[]): Contender[] {
  return MODE_NAMES.flatMap((name) => contenders.filter(({ mode }) => mode === name));
}

/** Both engines in every mode, and where their tokens differ. */
async function prepareOurs(
  { vocab, batch, data, device, copies }: Logits,
  modes: readonly ModeName[],
): Promise<{ contenders: Contender[]; mismatches: string[]; release(): void }> {
  const gpu = await createSampler({ vocabSize: vocab, maxBatch: batch, device });
  const cpu = await createSampler({ vocabSize: vocab, maxBatch: 1, engine: "cpu" });
  const tokens = device.createBuffer({ label: "bench.tokens", size: 4 * batch, usage: 0x0080 | 0x0008 | 0x0004 });
  const readback = new Readback(device);
  const row = (index: number): Float32Array<ArrayBuffer> => data.subarray(index * vocab, (index + 1) * vocab);
  const next = (): { buffer: GPUBuffer; rows: number } => ({ buffer: copies.next(), rows: batch });
  const contenders: Contender[] = [];
  const mismatches: string[] = [];
  for (const mode of modes) {
    const params = { ...MODES[mode], seed: SEED };
    const first = { ...params, position: 0n };
    const expected = await Promise.all(Array.from({ length: batch }, (_, index) => cpu.sample(row(index), first)));
    const compare = (how: string, actual: ArrayLike<number>): void => {
      const at = expected.findIndex((one, index) => actual[index] !== one.tokens[0]);
      if (at < 0) return;
      mismatches.push(
        `${MODE_LABELS[mode]}, ${how}: row ${at}: token ${actual[at]}, the reference's is ${expected[at]!.tokens[0]}`,
      );
    };
    const logits = { buffer: copies.first, rows: batch };
    compare("sample", (await gpu.sample(logits, first)).tokens);
    // What is timed on the GPU is recorded by encode.
    const record: Record = (encoder) => gpu.encode(encoder, { logits, tokens }, first);
    compare("encode", await readback.recorded(record, tokens, batch));
    contenders.push(
      {
        who: "webgpu-token-sampler",
        mode,
        record: (encoder) => gpu.encode(encoder, { logits: next(), tokens }, params),
        tokens: (calls) => Promise.all(Array.from({ length: calls }, () => gpu.sample(next(), params))),
        checkedRows: batch,
      },
      { who: "webgpu-token-sampler, CPU engine", mode, row: (index) => cpu.sample(row(index), params) },
    );
  }
  return {
    contenders,
    mismatches,
    release: () => {
      gpu.destroy();
      cpu.destroy();
      readback.destroy();
      tokens.destroy();
    },
  };
}

export interface Run {
  readonly clock: Clock;
  readonly limit: ReadLimit;
  readonly options: BenchOptions;
  readonly progress: Progress;
  readonly name: string;
  readonly paces: Paces;
}

type Samples = {
  -readonly [K in "gpu" | "wall" | "overLimit" | "tokens" | "inFlight" | "cpu" | "recordMicroseconds"]: number[];
};

/** One case: everyone is warmed up, then timed in turn. */
export async function runCase(logits: Logits, contenders: readonly Contender[], run: Run): Promise<Case> {
  const { clock, options, progress, name } = run;
  const { kernel, record: readAll } = await run.limit.fastest(logits.copies, clock, options.targetMs);
  const limitCount = await clock.calibrate(readAll, options.targetMs);
  const limit = { gpu: [] as number[], wall: [] as number[] };
  const counts = new Map<Contender, number>();
  const samples = new Map<Contender, Samples>();
  const paces = new Map<Contender, Pace>();
  const notes = new Map<Contender, string[]>();
  for (const contender of contenders) {
    if (contender.record) counts.set(contender, await clock.calibrate(contender.record, options.targetMs));
    notes.set(contender, [...(contender.notes ?? [])]);
    const times: Samples = {
      gpu: [],
      wall: [],
      overLimit: [],
      tokens: [],
      inFlight: [],
      cpu: [],
      recordMicroseconds: [],
    };
    samples.set(contender, times);
    const { pace, notes: found, time } = await warmUp(contender, logits, run.paces);
    paces.set(contender, pace);
    notes.get(contender)!.push(...found);
    if (time !== undefined) times.tokens.push(time);
  }
  for (let round = 0; round < options.rounds; round++) {
    progress(`${name}: round ${round + 1} of ${options.rounds}`);
    // Every other round goes backwards, so that nobody always comes after the same neighbour.
    for (const contender of round % 2 === 0 ? contenders : [...contenders].reverse()) {
      const times = samples.get(contender)!;
      if (contender.record) {
        const read = await clock.time(readAll, limitCount);
        const call = await clock.time(contender.record, counts.get(contender)!);
        limit.wall.push(read.wall);
        times.wall.push(call.wall);
        times.recordMicroseconds.push(logits.copies.unread(() => clock.recording(contender.record!)));
        if (read.gpu !== undefined && call.gpu !== undefined) {
          limit.gpu.push(read.gpu);
          times.gpu.push(call.gpu);
          times.overLimit.push(call.gpu / read.gpu);
        } else {
          times.overLimit.push(call.wall / read.wall);
        }
      }
      const pace = paces.get(contender)!;
      if (contender.tokens && isCalled(pace, round)) {
        try {
          await timeTokens(contender.tokens, pace, logits.batch, options.targetMs, times);
        } catch (error) {
          notes.get(contender)!.push(failure(contender, `in round ${round + 1}`, error));
          paces.set(contender, "stopped");
          [times.tokens, times.inFlight] = [[], []];
        }
      }
      for (let at = 0; contender.row && at < ROWS_PER_ROUND; at++) {
        const index = (round * ROWS_PER_ROUND + at) % logits.batch;
        times.cpu.push(await stopwatch(() => contender.row!(index)));
      }
    }
  }
  for (const contender of contenders) run.paces.learn(contender, logits, samples.get(contender)!.tokens);
  const figures = contenders.map((contender): Figure => {
    const { who, mode, checkedRows } = contender;
    const summaries = Object.entries(samples.get(contender)!).map(([key, times]) => [key, summarizeSome(times)]);
    return {
      who,
      mode,
      ...(Object.fromEntries(summaries.filter(([, summary]) => summary !== undefined)) as Partial<Figure>),
      ...(checkedRows !== undefined && { checkedRows }),
      ...(notes.get(contender)!.length > 0 && { notes: notes.get(contender)! }),
    };
  });
  const gpu = summarizeSome(limit.gpu);
  return {
    input: logits.input,
    vocab: logits.vocab,
    batch: logits.batch,
    bytes: logits.data.byteLength,
    limit: { kernel, wall: summarizeSome(limit.wall)!, ...(gpu && { gpu }) },
    figures,
  };
}

/** Times calls one by one, and several in flight where there is a single row. */
async function timeTokens(
  tokens: (calls: number) => Promise<unknown>,
  pace: Pace,
  batch: number,
  targetMs: number,
  times: Samples,
): Promise<void> {
  let spent = 0;
  for (let call = 0; call < CALLS_PER_ROUND && (call === 0 || spent < targetMs); call++) {
    const time = await stopwatch(() => tokens(1));
    times.tokens.push(time);
    spent += time;
  }
  if (!isInFlight(pace, batch, times.tokens.at(-1)!)) return;
  times.inFlight.push((await stopwatch(() => tokens(IN_FLIGHT))) / IN_FLIGHT);
}
