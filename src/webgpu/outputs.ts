/**
 * What a call gives besides tokens, on the GPU: asks the kernels that run after the draw, and reads their answers.
 */
import type { SampleResult, TokensView } from "../engine.ts";
import type { OutputPlan } from "../outputs.ts";
import { resultOf } from "../result.ts";
import type { RowSample } from "../reference/draw.ts";
import { floatBits, NO_TOKEN } from "../reference/numeric.ts";
import { numbersOf, type RowReport, UNIT_SCALE } from "../reference/report.ts";
import { drawScaleOf, unpackRecord } from "./pack.ts";
import type { Pipelines } from "./pipelines.ts";
import { USAGE, type Workspace } from "./workspace.ts";

/** Words of a request, and of the part of an answer that every row has; see `shaders/report.wgsl`. */
const REQUEST_WORDS = 8;
const ANSWER_WORDS = 11;
/** Words of a drawn token, and of a listed one. */
const DRAWN_WORDS = 2;
const LISTED_WORDS = 2;

const ASK = { rank: 1, entropy: 2, raw: 4, kept: 8, adapted: 16 } as const;

/** What every sampler on a device and for a type has of this; nothing is made before a call asks. */
export class Outputs {
  readonly #device: GPUDevice;
  readonly #workspace: Workspace;
  readonly #pipelines: Pipelines;
  #reports: { readonly buffer: GPUBuffer; readonly group: GPUBindGroup } | undefined;

  constructor(device: GPUDevice, workspace: Workspace, pipelines: Pipelines) {
    this.#device = device;
    this.#workspace = workspace;
    this.#pipelines = pipelines;
  }

  get device(): GPUDevice {
    return this.#device;
  }

  /** A buffer of at least so many words for requests and answers; the same one from call to call. */
  reports(words: number): { readonly buffer: GPUBuffer; readonly group: GPUBindGroup } {
    if (this.#reports === undefined || this.#reports.buffer.size < 4 * words) {
      const { STORAGE, COPY_SRC, COPY_DST } = USAGE;
      const usage = STORAGE | COPY_SRC | COPY_DST;
      const forget = (): void => {
        this.#reports = undefined;
      };
      const buffer = this.#workspace.keep("reports", 4 * words, usage, forget, this.#reports?.buffer);
      const group = this.#device.createBindGroup({
        label: "webgpu-token-sampler.reporting",
        layout: this.#pipelines.layouts.reporting,
        entries: [{ binding: 0, resource: { buffer } }],
      });
      this.#reports = { buffer, group };
    }
    return this.#reports;
  }

  /**
   * What a call gives besides one token a row.
   *
   * @param plans what it asks of its rows, if anything
   * @param rows of the call
   * @param draws tokens of a row
   */
  job(plans: readonly OutputPlan[] | undefined, rows: number, draws: number): OutputJob {
    return new OutputJob(this, plans, rows, draws);
  }
}

/** Requests and chosen tokens; then room for drawn tokens, for their weights if there are several of a row, and for answers, all 0. */
export interface Requests {
  readonly words: Uint32Array<ArrayBuffer>;
  readonly firstToken: number;
  /** 0: there is no room for weights. */
  readonly firstWeight: number;
  readonly firstAnswer: number;
}

/** Packs what is asked of rows. */
export function packRequests(plans: readonly OutputPlan[], rows: number = plans.length, draws: number = 1): Requests {
  const chosen = plans.reduce((sum, plan) => sum + plan.chosen.length, 0);
  const firstToken = REQUEST_WORDS * plans.length + chosen;
  const firstWeight = draws > 1 ? firstToken + rows * draws : 0;
  const firstAnswer = firstToken + rows * (draws > 1 ? 2 * draws : 1);
  const words = new Uint32Array(firstAnswer + plans.reduce((sum, plan) => sum + answerWords(plan, draws), 0));
  let choice = REQUEST_WORDS * plans.length;
  let answer = firstAnswer;
  for (const [row, plan] of plans.entries()) {
    const flags =
      (plan.rank ? ASK.rank : 0) |
      (plan.entropy ? ASK.entropy : 0) |
      (plan.mode === "raw" ? ASK.raw : 0) |
      (plan.mode === "kept" ? ASK.kept : 0) |
      (plan.adapted ? ASK.adapted : 0);
    const drawn = [firstToken + row * draws, draws];
    words.set(
      [flags, plan.top, choice, plan.chosen.length, ...drawn, answer, floatBits(UNIT_SCALE)],
      row * REQUEST_WORDS,
    );
    words.set(plan.chosen, choice);
    choice += plan.chosen.length;
    answer += answerWords(plan, draws);
  }
  return { words, firstToken, firstWeight, firstAnswer };
}

/** One call's requests and answers. */
export class OutputJob {
  readonly #outputs: Outputs;
  readonly #plans: readonly OutputPlan[];
  readonly #rows: number;
  readonly #draws: number;
  readonly #requests: Requests;
  /** The first word that comes back. */
  readonly #first: number;
  #reports: { readonly buffer: GPUBuffer; readonly group: GPUBindGroup } | undefined;

  constructor(outputs: Outputs, plans: readonly OutputPlan[] | undefined, rows: number, draws: number) {
    this.#outputs = outputs;
    this.#plans = plans ?? [];
    this.#rows = rows;
    this.#draws = draws;
    this.#requests = packRequests(this.#plans, rows, draws);
    // A single token is in its row's record.
    this.#first = draws > 1 ? this.#requests.firstToken : this.#requests.firstAnswer;
  }

  /** Whether rows have to be reported on. */
  get reports(): boolean {
    return this.#plans.length > 0;
  }

  /** Overrides of `report`. */
  get constants(): { readonly ENTROPIES: number } {
    return { ENTROPIES: Number(this.#plans.some(({ entropy }) => entropy)) };
  }

  /** Bytes of what comes back. */
  get bytes(): number {
    return 4 * (this.#requests.words.length - this.#first);
  }

  /** Puts the requests where the GPU finds them. Returns where the tokens have to be drawn to. */
  start(): TokensView {
    const { words, firstToken, firstWeight } = this.#requests;
    this.#reports = this.#outputs.reports(words.length);
    this.#outputs.device.queue.writeBuffer(this.#reports.buffer, 0, words);
    return {
      buffer: this.#reports.buffer,
      offset: firstToken,
      words: 1,
      draws: this.#draws,
      weightsFirst: firstWeight,
    };
  }

  /** Of which logits there is something to tell in rows whose logits are processed. */
  tells(firstRow: number, rows: number): { readonly processed: boolean; readonly raw: boolean } {
    const plans = this.#plans.slice(firstRow, firstRow + rows);
    return {
      processed: plans.some(({ mode, entropy }) => mode !== "raw" || entropy),
      raw: plans.some(({ mode }) => mode === "raw"),
    };
  }

  /** Where the kernel finds requests, and leaves answers. */
  get group(): GPUBindGroup {
    return this.#reports!.group;
  }

  /** Records the copy of all that comes back, to a byte of the readback. */
  fetch(encoder: GPUCommandEncoder, readback: GPUBuffer, to: number): void {
    encoder.copyBufferToBuffer(this.#reports!.buffer, 4 * this.#first, readback, to, this.bytes);
  }

  /** The result of the call, from the rows' records and what has come back. */
  result(records: Uint32Array, back: Uint32Array): SampleResult {
    const samples = Array.from({ length: this.#rows }, (_, row): readonly RowSample[] => {
      const sample = unpackRecord(records, row);
      if (this.#draws === 1) return [sample];
      const { status, mass } = sample;
      return Array.from({ length: this.#draws }, (_, draw): RowSample => {
        const place = row * this.#draws + draw;
        const [token, weight] = [back[place]!, back[this.#rows * this.#draws + place]!];
        return { token, status, weight, mass: token === NO_TOKEN ? 0 : mass };
      });
    });
    if (!this.reports) return resultOf(samples);
    let at = this.#requests.firstAnswer - this.#first;
    const rows = this.#plans.map((plan, row) => {
      const words = back.subarray(at, (at += answerWords(plan, this.#draws)));
      return numbersOf(unpackReport(words, plan, this.#draws), plan, samples[row]!, drawScaleOf(records, row));
    });
    return resultOf(samples, { rows, plans: this.#plans });
  }
}

/** Words of a row's answer. */
export function answerWords({ top, chosen }: OutputPlan, draws: number = 1): number {
  return ANSWER_WORDS + DRAWN_WORDS * draws + LISTED_WORDS * top + chosen.length;
}

/** Reads a row's answer. */
export function unpackReport(words: Uint32Array, plan: OutputPlan, draws: number = 1): RowReport {
  const long = (at: number): number => words[at + 1]! * 2 ** 32 + words[at]!;
  const list = words.subarray(ANSWER_WORDS + DRAWN_WORDS * draws);
  const listed = Array.from({ length: words[10]! }, (_, index) => index * LISTED_WORDS);
  const drawn = Array.from({ length: draws }, (_, index) => ANSWER_WORDS + index * DRAWN_WORDS);
  return {
    baseKey: words[0]!,
    keptCount: words[1]!,
    mass: long(2),
    information: long(4),
    keptMass: long(6),
    wholeMass: long(8),
    drawn: drawn.map((place) => ({ rank: words[place]!, key: words[place + 1]! })),
    top: {
      tokens: Uint32Array.from(listed, (place) => list[place]!),
      keys: Uint32Array.from(listed, (place) => list[place + 1]!),
    },
    chosen: list.slice(LISTED_WORDS * plan.top),
  };
}
