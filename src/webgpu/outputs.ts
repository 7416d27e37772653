/**
 * What a call gives besides tokens, on the GPU: asks the kernels that run after the draw, and reads their answers.
 */
import type { TokensView } from "../engine.ts";
import { type OutputPlan, type SampleOutputs, toldOf } from "../outputs.ts";
import { floatBits } from "../reference/numeric.ts";
import { numbersOf, type RowNumbers, type RowReport, UNIT_SCALE } from "../reference/report.ts";
import { drawScaleOf, unpackRecord } from "./pack.ts";
import type { Pipelines } from "./pipelines.ts";
import { USAGE, type Workspace } from "./workspace.ts";

/** Words of a request, and of the part of an answer that every row has; see `shaders/report.wgsl`. */
const REQUEST_WORDS = 9;
const ANSWER_WORDS = 11;
/** Words of a drawn token, and of a listed one. */
const DRAWN_WORDS = 2;
const LISTED_WORDS = 2;

const ASK = { rank: 1, entropy: 2, raw: 4, kept: 8, adapted: 16, reread: 32 } as const;

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
      if (this.#reports !== undefined) this.#workspace.release(this.#reports.buffer);
      const { STORAGE, COPY_SRC, COPY_DST } = USAGE;
      const buffer = this.#workspace.buffer("reports", 4 * words, STORAGE | COPY_SRC | COPY_DST);
      const group = this.#device.createBindGroup({
        label: "webgpu-token-sampler.reporting",
        layout: this.#pipelines.layouts.reporting,
        entries: [{ binding: 0, resource: { buffer } }],
      });
      this.#reports = { buffer, group };
    }
    return this.#reports;
  }

  /** What a call asks of its rows. */
  job(plans: readonly OutputPlan[]): OutputJob {
    return new OutputJob(this, plans);
  }
}

/** Requests, chosen tokens, room for drawn tokens and for answers; all but the first two are 0. */
export interface Requests {
  readonly words: Uint32Array<ArrayBuffer>;
  readonly firstToken: number;
  readonly firstAnswer: number;
}

/** Packs what is asked of rows. */
export function packRequests(plans: readonly OutputPlan[]): Requests {
  const chosen = plans.reduce((sum, plan) => sum + plan.chosen.length, 0);
  const firstToken = REQUEST_WORDS * plans.length + chosen;
  const firstAnswer = firstToken + plans.length;
  const words = new Uint32Array(firstAnswer + plans.reduce((sum, plan) => sum + answerWords(plan), 0));
  let choice = REQUEST_WORDS * plans.length;
  let answer = firstAnswer;
  for (const [row, plan] of plans.entries()) {
    const flags =
      (plan.rank ? ASK.rank : 0) |
      (plan.entropy ? ASK.entropy : 0) |
      (plan.mode === "raw" ? ASK.raw : 0) |
      (plan.mode === "kept" ? ASK.kept : 0) |
      (plan.adapted ? ASK.adapted : 0);
    const drawn = [firstToken + row, 1, 1];
    words.set(
      [flags, plan.top, choice, plan.chosen.length, ...drawn, answer, floatBits(UNIT_SCALE)],
      row * REQUEST_WORDS,
    );
    words.set(plan.chosen, choice);
    choice += plan.chosen.length;
    answer += answerWords(plan);
  }
  return { words, firstToken, firstAnswer };
}

/** One call's requests and answers. */
export class OutputJob {
  readonly #outputs: Outputs;
  readonly #plans: readonly OutputPlan[];
  readonly #requests: Requests;
  #reports: { readonly buffer: GPUBuffer; readonly group: GPUBindGroup } | undefined;

  constructor(outputs: Outputs, plans: readonly OutputPlan[]) {
    this.#outputs = outputs;
    this.#plans = plans;
    this.#requests = packRequests(plans);
  }

  /** Bytes of all answers. */
  get bytes(): number {
    return 4 * (this.#requests.words.length - this.#requests.firstAnswer);
  }

  /** Puts the requests where the GPU finds them. Returns where the tokens have to be drawn to. */
  start(): TokensView {
    const { words, firstToken } = this.#requests;
    this.#reports = this.#outputs.reports(words.length);
    this.#outputs.device.queue.writeBuffer(this.#reports.buffer, 0, words);
    return { buffer: this.#reports.buffer, offset: firstToken, words: 1 };
  }

  /**
   * Puts down that the rows of a dispatch have processed logits, of which raw ones are told in another dispatch.
   *
   * @returns whether there is something to tell of the processed and of the raw ones
   */
  reread(firstRow: number, rows: number): { readonly processed: boolean; readonly raw: boolean } {
    const { words } = this.#requests;
    for (let row = firstRow; row < firstRow + rows; row++) words[row * REQUEST_WORDS]! |= ASK.reread;
    const requests = words.subarray(firstRow * REQUEST_WORDS, (firstRow + rows) * REQUEST_WORDS);
    this.#outputs.device.queue.writeBuffer(this.#reports!.buffer, 4 * firstRow * REQUEST_WORDS, requests);
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

  /** Records the copy of the answers, to a byte of the readback. */
  fetch(encoder: GPUCommandEncoder, readback: GPUBuffer, to: number): void {
    encoder.copyBufferToBuffer(this.#reports!.buffer, 4 * this.#requests.firstAnswer, readback, to, this.bytes);
  }

  /** What the rows were asked for, from their records and the answers. */
  told(records: Uint32Array, answers: Uint32Array): SampleOutputs & { readonly logprobs: Float32Array } {
    const rows: RowNumbers[] = [];
    let at = 0;
    for (const [row, plan] of this.#plans.entries()) {
      const words = answers.subarray(at, (at += answerWords(plan)));
      rows.push(numbersOf(unpackReport(words, plan), plan, [unpackRecord(records, row)], drawScaleOf(records, row)));
    }
    return { logprobs: Float32Array.from(rows.flatMap(({ logprobs }) => logprobs)), ...toldOf(rows, this.#plans) };
  }
}

/** Words of a row's answer. */
export function answerWords({ top, chosen }: OutputPlan): number {
  return ANSWER_WORDS + DRAWN_WORDS + LISTED_WORDS * top + chosen.length;
}

/** Reads a row's answer. */
export function unpackReport(words: Uint32Array, plan: OutputPlan): RowReport {
  const long = (at: number): number => words[at + 1]! * 2 ** 32 + words[at]!;
  const list = words.subarray(ANSWER_WORDS + DRAWN_WORDS);
  const listed = Array.from({ length: words[10]! }, (_, index) => index * LISTED_WORDS);
  return {
    baseKey: words[0]!,
    keptCount: words[1]!,
    mass: long(2),
    information: long(4),
    keptMass: long(6),
    wholeMass: long(8),
    drawn: [{ rank: words[ANSWER_WORDS]!, key: words[ANSWER_WORDS + 1]! }],
    top: {
      tokens: Uint32Array.from(listed, (place) => list[place]!),
      keys: Uint32Array.from(listed, (place) => list[place + 1]!),
    },
    chosen: list.slice(LISTED_WORDS * plan.top),
  };
}
