import {
  type Engine,
  type EngineHistory,
  type EngineState,
  isGPUBuffer,
  type LogitsView,
  type OutputType,
  type SampleResult,
  type TokensView,
} from "../engine.ts";
import type { HistoryTokens } from "../history.ts";
import { type OutputPlan, outputsOf } from "../outputs.ts";
import { resultOf } from "../result.ts";
import type { RowPlan } from "../params.ts";
import { append } from "./append.ts";
import { type LogitsType, widen } from "./convert.ts";
import { type RowSample, sampleRow } from "./draw.ts";
import { draws } from "./draws.ts";
import { emptyHistory, type RowHistory, tokenAt } from "./history.ts";
import { list, normalize, type RowCandidates, type RowContext } from "./list.ts";
import { max } from "./max.ts";
import { emptyState, type RowState } from "./stages.ts";
import { narrow, write } from "./write.ts";
import { processed, type ProcessScratch, processScratch } from "./process.ts";
import { needsKept, numbersOf, report, type RowNumbers } from "./report.ts";

/** The `"cpu"` engine: the reference, row after row. */
export class CpuEngine implements Engine {
  readonly kind = "cpu";
  readonly #vocabSize: number;
  readonly #type: LogitsType;
  readonly #seedOf: (row: number) => bigint;
  readonly #positions: bigint[];
  readonly #widened: Float32Array;
  #scratch: ProcessScratch | undefined;
  readonly history: CpuHistory;
  readonly state: CpuState;

  constructor(
    vocabSize: number,
    maxBatch: number,
    type: LogitsType,
    seedOf: (row: number) => bigint,
    maxHistory: number = 0,
  ) {
    this.history = new CpuHistory(maxHistory === 0 ? 0 : maxBatch, maxHistory);
    this.#vocabSize = vocabSize;
    this.#type = type;
    this.#seedOf = seedOf;
    this.#positions = new Array<bigint>(maxBatch).fill(0n);
    this.state = new CpuState(maxBatch);
    this.#widened = new Float32Array(type === "float32" ? 0 : vocabSize);
  }

  usable(): void {}

  // The work is done before the promise is made, so that the caller may reuse the logits at once.
  sample(logits: LogitsView, plans: readonly RowPlan[]): Promise<SampleResult> {
    const all: (readonly RowSample[])[] = [];
    const outputs = outputsOf(plans);
    const told: RowNumbers[] = [];
    for (let row = 0; row < logits.rows; row++) {
      const plan = plans[row]!;
      const context = this.#context(plan, row);
      const { seed, position } = context;
      const asSampled = this.#processed(logits, row, plan);
      const sample = sampleRow(asSampled, plan, seed, position, context.state);
      if (sample.state !== undefined) this.state.rows[row] = sample.state;
      const history = this.history.row(row);
      if (history !== undefined) append(history, [sample.token]);
      this.#positions[row] = BigInt.asUintN(64, position + 1n);
      const asked = outputs?.[row];
      if (plan.draws === 1 && asked === undefined) all.push([sample]);
      else {
        const { samples, numbers } = this.#further(logits, row, asSampled, plan, sample, context, asked);
        all.push(samples);
        if (numbers !== undefined) told.push(numbers);
      }
    }
    return Promise.resolve(resultOf(all, outputs && { rows: told, plans: outputs }));
  }

  /** All draws of a row, and what is told of them besides. */
  #further(
    logits: LogitsView,
    row: number,
    asSampled: Float32Array,
    plan: RowPlan,
    sample: RowSample,
    context: RowContext,
    asked: OutputPlan | undefined,
  ): { readonly samples: readonly RowSample[]; readonly numbers?: RowNumbers } {
    const several = plan.draws > 1;
    const sampled = { logits: asSampled, row: max(asSampled) };
    const needs = several || (asked !== undefined && needsKept(asked, plan));
    const kept = needs ? list(asSampled, plan, sampled.row, context) : undefined;
    const samples = several ? draws(kept!, plan, context.seed, context.position, sample) : [sample];
    if (asked === undefined) return { samples };
    const given = asked.mode === "raw" ? this.#row(logits, row) : asSampled;
    const drawScale = kept?.scale ?? plan.drawScale;
    const input = {
      told: given === asSampled ? sampled : { logits: given, row: max(given) },
      sampled,
      kept,
      drawScale,
      drawn: samples.map(({ token }) => token),
    };
    return { samples, numbers: numbersOf(report(input, asked), asked, samples, drawScale) };
  }

  candidates(logits: LogitsView, plans: readonly RowPlan[]): Promise<RowCandidates[]> {
    const listOf = (plan: RowPlan, row: number): RowCandidates =>
      normalize(list(this.#processed(logits, row, plan), plan, undefined, this.#context(plan, row)));
    return Promise.resolve(plans.map(listOf));
  }

  encode(_encoder: GPUCommandEncoder, _logits: LogitsView, _tokens: TokensView, _plans: readonly RowPlan[]): never {
    throw new Error('encode: this sampler runs on the "cpu" engine, which records no GPU commands; use sample()');
  }

  write(logits: LogitsView, plans: readonly RowPlan[], output: OutputType): Promise<Float32Array | Uint16Array> {
    const what = output === "logits" ? "logits" : "probabilities";
    const type = output === "logits" ? this.#type : output;
    const size = logits.rows * this.#vocabSize;
    const all = type === "float32" ? new Float32Array(size) : new Uint16Array(size);
    for (let row = 0; row < logits.rows; row++) {
      const plan = plans[row]!;
      const processed = this.#processed(logits, row, plan);
      const values = write(processed, list(processed, plan, undefined, this.#context(plan, row)), what);
      all.set(type === "float32" ? values : narrow(values, type), row * this.#vocabSize);
    }
    return Promise.resolve(all);
  }

  encodeWrite(): never {
    throw new Error('encode: this sampler runs on the "cpu" engine, which records no GPU commands');
  }

  destroy(): void {}

  /** What stages look at besides logits and parameters. */
  #context(plan: RowPlan, row: number): RowContext {
    const seed = plan.seed ?? this.#seedOf(row);
    return { seed, position: plan.position ?? this.#positions[row]!, state: this.state.rows[row] };
  }

  /** One row as the filters see it. */
  #processed(logits: LogitsView, row: number, { process }: RowPlan): Float32Array {
    const floats = this.#row(logits, row);
    if (process === undefined) return floats;
    return processed(floats, process, this.history.row(row), (this.#scratch ??= processScratch(this.#vocabSize)));
  }

  /** One row as float32. */
  #row({ source, offset, rowStride, rowMap }: LogitsView, row: number): Float32Array {
    const start = offset + (rowMap?.[row] ?? row) * rowStride;
    if (isGPUBuffer(source)) {
      throw new TypeError('logits: a GPUBuffer needs the "webgpu" engine; this sampler runs on "cpu"');
    }
    if (source instanceof Float32Array) return source.subarray(start, start + this.#vocabSize);
    const bits = source.subarray(start, start + this.#vocabSize);
    return widen(bits, this.#type === "bfloat16" ? "bfloat16" : "float16", this.#widened);
  }
}

/** The rows' tokens, in CPU memory. */
class CpuHistory implements EngineHistory {
  #rows: RowHistory[];

  constructor(rows: number, capacity: number) {
    this.#rows = Array.from({ length: rows }, () => emptyHistory(capacity));
  }

  /** Undefined if there are none. */
  row(row: number): RowHistory | undefined {
    return this.#rows[row];
  }

  set(row: number, prompt: Uint32Array, output: Uint32Array): void {
    const { ring } = this.#rows[row]!;
    ring.set(prompt);
    ring.set(output, prompt.length);
    const length = prompt.length + output.length;
    this.#rows[row] = { ring, first: 0, length, prompt: prompt.length, outputs: output.length };
  }

  append(row: number, tokens: Uint32Array): void {
    append(this.#rows[row]!, tokens);
  }

  reset(rows: readonly number[], encoder?: GPUCommandEncoder): void {
    noEncoder(encoder);
    const none = new Uint32Array(0);
    for (const row of rows) this.set(row, none, none);
  }

  copy(
    pairs: readonly (readonly [from: number, to: number])[],
    encoder?: GPUCommandEncoder,
    emptied: readonly number[] = [],
  ): void {
    noEncoder(encoder);
    const rows = [...this.#rows];
    for (const [from, to] of pairs) rows[to] = { ...this.#rows[from]!, ring: this.#rows[from]!.ring.slice() };
    this.#rows = rows;
    this.reset(emptied);
  }

  read(row: number): Promise<HistoryTokens> {
    const history = this.#rows[row]!;
    const tokens = Uint32Array.from({ length: history.length }, (_, index) => tokenAt(history, index));
    return Promise.resolve({ prompt: tokens.slice(0, history.prompt), output: tokens.slice(history.prompt) });
  }
}

/** What stages know of the rows, in CPU memory. */
class CpuState implements EngineState {
  rows: RowState[];

  constructor(rows: number) {
    this.rows = Array.from({ length: rows }, emptyState);
  }

  reset(rows: readonly number[], encoder?: GPUCommandEncoder): void {
    noEncoder(encoder);
    for (const row of rows) this.rows[row] = emptyState();
  }

  copy(pairs: readonly (readonly [from: number, to: number])[], encoder?: GPUCommandEncoder): void {
    noEncoder(encoder);
    const rows = [...this.rows];
    for (const [from, to] of pairs) rows[to] = this.rows[from]!;
    this.rows = rows;
  }

  read(row: number): Promise<RowState> {
    return Promise.resolve(this.rows[row]!);
  }
}

function noEncoder(encoder: GPUCommandEncoder | undefined): void {
  if (encoder !== undefined) {
    throw new Error('encoder: this sampler runs on the "cpu" engine, which records no GPU commands; leave it out');
  }
}
