/** Sweeps how the kernels are cut: one field after the other away from the adapter's row, each beside the read limit. */
import { createSampler, type Sampler, type Tuning } from "../src/index.ts";
import { type AdapterClass, adapterClass, TUNINGS } from "../src/webgpu/tuning.ts";
import { batch as makeLogits } from "../test/support/inputs.ts";
import {
  type Adapter,
  type BenchOptions,
  MODE_LABELS,
  type ModeName,
  MODES,
  type Progress,
  type Summary,
} from "./cases.ts";
import { Clock, type Record as Recording } from "./clock.ts";
import { type Copies, upload } from "./copies.ts";
import { ReadLimit } from "./limit.ts";
import { markdownTable } from "./report/text.ts";
import type { BenchDevice } from "./run.ts";
import { summarize } from "./statistics.ts";
import { spread } from "./table.ts";

/** Values to try, field by field. */
export type Candidates = { readonly [Field in keyof Tuning]: readonly Tuning[Field][] };

/**
 * What is tried on which class of adapter; a field that has no line here does not compile. A CPU that runs shaders needs
 * seconds to compile a variant, and wide workgroups are hopeless there, so it tries less.
 */
export const CANDIDATES: Readonly<Record<AdapterClass, Candidates>> = {
  swiftshader: {
    streamWorkgroup: [32, 64, 128, 256],
    drawWorkgroup: [4, 16, 64],
    lanes: [1, 4],
    quads: [8, 16, 32],
    subgroups: [false, true],
  },
  llvmpipe: {
    streamWorkgroup: [16, 32, 64],
    drawWorkgroup: [128, 256],
    lanes: [1, 4],
    quads: [8, 16, 32],
    subgroups: [false],
  },
  gpu: {
    streamWorkgroup: [32, 64, 128, 256],
    drawWorkgroup: [64, 128, 256],
    lanes: [1, 4, 8, 16, 32],
    quads: [4, 8, 16, 32, 64],
    subgroups: [false, true],
  },
};

/** A field with another value than the row has. */
export interface Variant {
  /** Absent: the row itself. */
  readonly field?: keyof Tuning;
  readonly tuning: Tuning;
}

/** The class's row, then every value that it does not have, field by field. */
export function variantsOf(adapter: AdapterClass): Variant[] {
  const row = TUNINGS[adapter];
  const variants: Variant[] = [{ tuning: row }];
  for (const field of Object.keys(CANDIDATES[adapter]) as (keyof Tuning)[]) {
    for (const value of CANDIDATES[adapter][field]) {
      if (value !== row[field]) variants.push({ field, tuning: { ...row, [field]: value } });
    }
  }
  return variants;
}

export interface TuneRow {
  readonly variant: Variant;
  /** × the read limit, mode by mode. */
  readonly figures: Partial<Record<ModeName, Summary>>;
  /** Why the adapter cannot run it. */
  readonly refused?: string;
}

export interface TuneCase {
  readonly name: string;
  readonly rows: readonly TuneRow[];
}

export interface TuneOutcome {
  readonly adapter: Adapter;
  readonly row: string;
  readonly cases: readonly TuneCase[];
}

/** @throws Error where a variant draws other tokens than the row */
export async function tune(
  { device, adapter, errors }: BenchDevice,
  options: BenchOptions,
  progress: Progress,
): Promise<TuneOutcome> {
  const row = adapterClass((device as { adapterInfo?: GPUAdapterInfo }).adapterInfo);
  const clock = new Clock(device);
  const limit = new ReadLimit(device);
  const cases: TuneCase[] = [];
  for (const input of options.inputs) {
    for (const { vocab, batch } of options.shapes) {
      const name = `${input} rows, vocabulary ${vocab.toLocaleString("en")}, batch ${batch}`;
      const copies = upload(device, makeLogits([input], vocab, batch, 1), false);
      const run = { device, clock, limit, options, progress, name, copies, vocab, batch };
      cases.push({ name, rows: await sweep(variantsOf(row), run) });
      copies.destroy();
      if (errors.length > 0) throw new Error(`tune: the GPU refused something: ${errors.join("\n")}`);
    }
  }
  clock.destroy();
  limit.destroy();
  return { adapter, row, cases };
}

interface Run {
  readonly device: GPUDevice;
  readonly clock: Clock;
  readonly limit: ReadLimit;
  readonly options: BenchOptions;
  readonly progress: Progress;
  readonly name: string;
  readonly copies: Copies;
  readonly vocab: number;
  readonly batch: number;
}

async function sweep(variants: readonly Variant[], run: Run): Promise<TuneRow[]> {
  const { device, clock, options, progress, name, copies, vocab, batch } = run;
  const tokens = device.createBuffer({ label: "bench.tokens", size: 4 * batch, usage: 0x0080 });
  const logits = { buffer: copies.first, rows: batch };
  const samplers = new Map<Variant, Sampler>();
  const refused = new Map<Variant, string>();
  for (const variant of variants) {
    progress(`${name}: making ${nameOf(variant)} (${samplers.size + refused.size + 1} of ${variants.length})`);
    try {
      const { tuning } = variant;
      samplers.set(variant, await createSampler({ vocabSize: vocab, maxBatch: batch, device, tuning }));
    } catch (error) {
      if (variant.field === undefined || !(error instanceof RangeError)) throw error;
      refused.set(variant, error.message);
    }
  }
  const { record: readAll } = await run.limit.fastest(copies, clock, options.targetMs);
  const readCount = await clock.calibrate(readAll, options.targetMs);
  const figures = new Map<Variant, Partial<Record<ModeName, Summary>>>(variants.map((variant) => [variant, {}]));
  for (const mode of options.modes) {
    const params = { ...MODES[mode], seed: 7n };
    const runners = [...samplers].map(([variant, sampler]) => {
      const record: Recording = (encoder) => sampler.encode(encoder, { logits, tokens }, params);
      return { variant, sampler, record, count: 0, ratios: [] as number[] };
    });
    const expected = await runners[0]!.sampler.sample(logits, { ...params, position: 0n });
    for (const runner of runners) {
      const { tokens: drawn } = await runner.sampler.sample(logits, { ...params, position: 0n });
      const at = drawn.findIndex((token, row) => token !== expected.tokens[row]);
      if (at >= 0)
        throw new Error(`tune: ${nameOf(runner.variant)} draws another token in row ${at}, ${MODE_LABELS[mode]}`);
      runner.count = await clock.calibrate(runner.record, options.targetMs);
    }
    for (let round = 0; round < options.rounds; round++) {
      progress(`${name}, ${MODE_LABELS[mode]}: round ${round + 1} of ${options.rounds}, ${runners.length} variants`);
      for (const runner of round % 2 === 0 ? runners : [...runners].reverse()) {
        const read = await clock.time(readAll, readCount);
        const call = await clock.time(runner.record, runner.count);
        runner.ratios.push((call.gpu ?? call.wall) / (read.gpu ?? read.wall));
      }
    }
    for (const { variant, ratios } of runners) figures.get(variant)![mode] = summarize(ratios);
  }
  for (const sampler of samplers.values()) sampler.destroy();
  tokens.destroy();
  return variants.map((variant) => {
    const reason = refused.get(variant);
    return { variant, figures: figures.get(variant)!, ...(reason !== undefined && { refused: reason }) };
  });
}

const nameOf = ({ field, tuning }: Variant): string => (field === undefined ? "the row" : `${field} ${tuning[field]}`);

/** A table per case; the best value of each mode is marked. */
export function tuneMarkdown({ adapter, row, cases }: TuneOutcome): string {
  const lines = [
    `Adapter: ${[adapter.vendor, adapter.architecture, adapter.description].filter(Boolean).join(" ")}; row "${row}": ${JSON.stringify(cases[0]?.rows[0]?.variant.tuning)}`,
    "",
  ];
  for (const { name, rows } of cases) {
    const modes = Object.keys(rows[0]!.figures) as ModeName[];
    const best = new Map(
      modes.map((mode) => [mode, Math.min(...rows.map(({ figures }) => figures[mode]?.median ?? Infinity))]),
    );
    const cell = ({ figures }: TuneRow, mode: ModeName): string => {
      const figure = figures[mode];
      return figure === undefined ? "–" : `${figure.median === best.get(mode) ? "best " : ""}${spread(figure)}`;
    };
    lines.push(
      `${name}, × the read limit, median (quartiles):`,
      "",
      ...markdownTable(
        ["variant", ...modes.map((mode) => MODE_LABELS[mode])],
        rows.map((one) => [nameOf(one.variant), ...modes.map((mode) => cell(one, mode))]),
        1,
      ),
      "",
      ...rows.filter(({ refused }) => refused).map(({ variant, refused }) => `- ${nameOf(variant)}: ${refused}`),
    );
  }
  return lines.join("\n");
}
