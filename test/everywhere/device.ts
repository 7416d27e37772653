/** Asks a device for the rows of a call, through the public interface. */
import { outputsOf } from "../../src/outputs.ts";
import { planRow, type SamplingParams } from "../../src/params.ts";
import type { RowSample } from "../../src/reference/draw.ts";
import { NO_TOKEN } from "../../src/reference/numeric.ts";
import type { RowReport } from "../../src/reference/report.ts";
import { narrow } from "../../src/reference/write.ts";
import { createSampler, type Sampler } from "../../src/sampler.ts";
import { answerWords, packRequests, unpackReport } from "../../src/webgpu/outputs.ts";
import { RECORD_STATE, RECORD_WORDS, unpackRecord } from "../../src/webgpu/pack.ts";
import type { Configuration } from "./configurations.ts";
import type { Call, RowParams, Section } from "./corpus.ts";
import { withoutOutputs } from "../support/cases.ts";
import type { Said } from "../support/processing.ts";
import { numbersOfRow, type RowOutcome, wordsOfHistory } from "./outcome.ts";

/** A sampler together with what its kernels leave: the weights, masses and counts that the public interface rounds. */
export interface Opened {
  readonly sampler: Sampler;
  readonly records: GPUBuffer;
  /** Requests and answers; made when a call first asks, and again when one needs more. */
  reports: GPUBuffer | undefined;
}

/** Runs something, and says which buffers with a label were made meanwhile. */
async function catching<T>(device: GPUDevice, noun: string, run: () => Promise<T>): Promise<[T, GPUBuffer[]]> {
  const made: GPUBuffer[] = [];
  const createBuffer = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = createBuffer(descriptor);
    if (descriptor.label === `webgpu-token-sampler.${noun}`) made.push(buffer);
    return buffer;
  };
  try {
    return [await run(), made];
  } finally {
    Reflect.deleteProperty(device, "createBuffer");
  }
}

/** Makes a sampler for a section, and catches its records as they are created. */
export async function open(device: GPUDevice, section: Section, configuration: Configuration): Promise<Opened> {
  const [sampler, made] = await catching(device, "records", () =>
    createSampler({
      vocabSize: section.vocabSize,
      maxBatch: section.rows,
      logitsType: section.logitsType,
      maxHistory: section.maxHistory,
      engine: "webgpu",
      device,
      ...(configuration.tuning && { tuning: configuration.tuning }),
      ...(configuration.chunk && { __chunk: configuration.chunk }),
    }),
  );
  // Those of the self-check, if there was one, came before.
  const records = made.at(-1);
  if (records === undefined) throw new Error("the sampler made no buffer with the label webgpu-token-sampler.records");
  return { sampler, records, reports: undefined };
}

/** The rows of a call as the device has them, in the call's order. */
export async function deviceRows(
  device: GPUDevice,
  opened: Opened,
  section: Section,
  call: Call,
  { order }: Configuration,
): Promise<RowOutcome[]> {
  const given = Array.from({ length: section.rows }, (_, row) => row);
  if (order === "alone") {
    const rows: RowOutcome[] = [];
    for (const row of given) rows.push(...(await ask(device, opened, section, call, [row], true)));
    return rows;
  }
  const turned = order === "reversed" ? [...given].reverse() : order === "rotated" ? rotated(given) : given;
  const rows = await ask(device, opened, section, call, turned, order === undefined);
  return given.map((row) => rows[turned.indexOf(row)]!);
}

const rotated = (rows: readonly number[]): number[] => [
  ...rows.slice(rows.length >> 1),
  ...rows.slice(0, rows.length >> 1),
];

/**
 * @param rows which rows of the call, in which order
 * @param asTheyLie whether they may be read where they lie in the call
 */
async function ask(
  device: GPUDevice,
  opened: Opened,
  { vocabSize, staged }: Section,
  call: Call,
  rows: readonly number[],
  asTheyLie: boolean,
): Promise<RowOutcome[]> {
  const { sampler, records } = opened;
  const startOf = (row: number): number => call.offset + row * call.rowStride;
  const { rowMap } = call;
  let logits: Placed = { data: call.logits, offset: call.offset, rowStride: call.rowStride };
  if (rowMap !== undefined) logits = { ...logits, rowMap: rows.map((row) => rowMap[row]!) };
  else if (asTheyLie) logits = { ...logits, offset: startOf(rows[0]!), rows: rows.length };
  else {
    const data = call.logits.slice(0, rows.length * vocabSize);
    rows.forEach((row, at) => data.set(call.logits.subarray(startOf(row), startOf(row) + vocabSize), at * vocabSize));
    logits = { data, offset: 0, rowStride: vocabSize, rows: rows.length };
  }
  const masks = masksOnDevice(
    device,
    rows.map((row) => call.params[row]!),
  );
  const { params } = masks;
  const tell = (): void => {
    sampler.state.reset();
    if (call.said !== undefined) rows.forEach((row, at) => tellRow(sampler, at, call.said![row]!));
  };
  tell();
  const [result, made] = await catching(device, "reports", () => sampler.sample(logits, params));
  opened.reports = made.at(-1) ?? opened.reports;
  const words = await read(device, records, 4 * RECORD_WORDS * rows.length);
  const { draws = 1 } = params[0]!;
  const told = await reported(
    device,
    opened,
    rows.map((row) => call.params[row]!),
    draws,
  );
  const counted = params.map(withoutPosition);
  const untold = params.map(withoutOutputs);
  const further: Uint32Array[] = [];
  for (let n = 0; n < call.further; n++) further.push((await sampler.sample(logits, counted)).tokens);
  const later = staged ? await read(device, records, 4 * RECORD_WORDS * rows.length) : undefined;
  const histories: number[][] = [];
  for (const at of call.said === undefined ? [] : rows.keys()) {
    histories.push(wordsOfHistory(await sampler.history.read(at)));
  }
  if (call.further > 0) {
    tell();
    await encoded(device, sampler, logits, untold, result.tokens);
  }
  tell();
  const kept = await sampler.candidates(logits, untold);
  const written: (Float32Array | Uint16Array)[] = [];
  if (call.written === true) {
    const probabilities = await sampler.renormalize(logits, untold);
    written.push(await sampler.maskLogits(logits, untold), probabilities);
    await halved(device, sampler, logits, untold, probabilities);
  }
  masks.buffer?.destroy();
  return rows.map((_, at) => {
    const sample: RowSample = unpackRecord(words, at);
    const tokens = result.tokens.subarray(at * draws, (at + 1) * draws);
    if (tokens[0] !== sample.token || result.status[at] !== sample.status) {
      throw new Error(`sample() returned token ${tokens[0]}, but the GPU's record holds ${sample.token}`);
    }
    return {
      sample,
      draws: Array.from(tokens, (token, number) => {
        const [weight, mass] = [told.weights[at * draws + number]!, token === NO_TOKEN ? 0 : sample.mass];
        return { token, status: sample.status, weight, mass };
      }).slice(1),
      kept: kept[at]!,
      further: further.map((all) => all[at * draws]!),
      history: histories[at] ?? [],
      state: later === undefined ? [] : [...later.subarray(at * RECORD_WORDS + RECORD_STATE).subarray(0, STATE_WORDS)],
      report: told.reports?.[at],
      written: written.map((values) => values.slice(at * vocabSize, (at + 1) * vocabSize)),
      numbers: numbersOfRow(result, at),
    };
  });
}

/** Where rows lie. */
interface Placed {
  readonly data: Call["logits"];
  readonly offset: number;
  readonly rowStride: number;
  readonly rows?: number;
  readonly rowMap?: readonly number[];
}

/** What the kernels tell of the rows, if they are asked, and what the draws of a call weigh that has several. */
async function reported(
  device: GPUDevice,
  { sampler, reports }: Opened,
  params: readonly RowParams[],
  draws: number,
): Promise<{ readonly reports: readonly RowReport[] | undefined; readonly weights: Uint32Array }> {
  const outputs = outputsOf(params.map((row) => planRow(row, sampler.vocabSize)));
  if (outputs === undefined && draws === 1) return { reports: undefined, weights: new Uint32Array(0) };
  if (reports === undefined) throw new Error("the sampler made no buffer with the label webgpu-token-sampler.reports");
  const { words, firstWeight, firstAnswer } = packRequests(outputs ?? [], params.length, draws);
  const answers = await read(device, reports, 4 * words.length);
  let at = firstAnswer;
  return {
    weights: answers.subarray(firstWeight, firstAnswer),
    reports: outputs?.map((plan) => unpackReport(answers.subarray(at, (at += answerWords(plan, draws))), plan, draws)),
  };
}

/** Every other row's masks in one buffer of the device's, behind each other and behind a word that is none of theirs. */
function masksOnDevice(
  device: GPUDevice,
  params: readonly RowParams[],
): { readonly params: readonly RowParams[]; readonly buffer: GPUBuffer | undefined } {
  const words = [SENTINEL];
  const placed: ((buffer: GPUBuffer) => RowParams)[] = params.map((row, at) => {
    if (at % 2 === 0) return () => row;
    const offsets: Record<string, number> = {};
    for (const name of ["allowedTokens", "bannedTokens"] as const) {
      const mask = row[name];
      if (!(mask instanceof Uint32Array)) continue;
      offsets[name] = words.length;
      words.push(...mask);
    }
    return (buffer) => ({
      ...row,
      ...Object.fromEntries(Object.entries(offsets).map(([name, offset]) => [name, { buffer, offset }])),
    });
  });
  if (words.length === 1) return { params, buffer: undefined };
  const buffer = device.createBuffer({ label: "masks", size: 4 * words.length, usage: 4 | 8 }); // COPY_SRC | COPY_DST
  device.queue.writeBuffer(buffer, 0, Uint32Array.from(words));
  return { params: placed.map((place) => place(buffer)), buffer };
}

/** Tells a row what it has said: at once if that fits, else so that the oldest tokens make room. */
function tellRow({ history, maxHistory }: Sampler, row: number, { prompt, output }: Said): void {
  if (prompt.length + output.length <= maxHistory) return history.set(row, prompt, output);
  history.set(row, prompt);
  history.append(row, output);
}

function withoutPosition(params: RowParams): SamplingParams {
  const counted: { position?: bigint } = { ...params };
  delete counted.position;
  return counted;
}

const SENTINEL = 0xa5a5_a5a5;
/** Of a record: what Mirostat and adaptive-p keep. */
const STATE_WORDS = 3;

/** Draws the same tokens by `encode`, as 64-bit integers behind one that is not ours; throws if they are others. */
async function encoded(
  device: GPUDevice,
  sampler: Sampler,
  logits: Placed,
  params: readonly RowParams[],
  expected: Uint32Array,
): Promise<void> {
  const { data, ...place } = logits;
  const buffer = bufferWith(device, data);
  const filled = new Uint32Array(2 * expected.length + 4).fill(SENTINEL);
  const tokens = device.createBuffer({ label: "tokens", size: filled.byteLength, usage: 128 | 8 | 4 }); // and COPY_SRC
  device.queue.writeBuffer(tokens, 0, filled);
  const encoder = device.createCommandEncoder();
  const target = { logits: { buffer, ...place }, tokens, tokensType: "int64" as const, tokensOffset: 1 };
  sampler.encode(encoder, target, params);
  device.queue.submit([encoder.finish()]);
  const words = await read(device, tokens, filled.byteLength);
  buffer.destroy();
  tokens.destroy();
  for (const [row, token] of expected.entries()) filled.set([token, 0], 2 * (row + 1));
  const wrong = words.findIndex((word, at) => word !== filled[at]);
  if (wrong >= 0) throw new Error(`encode() left ${words[wrong]} in word ${wrong}, expected ${filled[wrong]}`);
}

/** Lets the sampler write probabilities of 16 bits into a buffer, packed, and checks that they are those, rounded. */
async function halved(
  device: GPUDevice,
  sampler: Sampler,
  logits: Placed,
  params: readonly RowParams[],
  probabilities: Float32Array,
): Promise<void> {
  const { data, ...place } = logits;
  const buffer = bufferWith(device, data);
  const expected = narrow(probabilities, "float16");
  const size = Math.ceil(expected.byteLength / 4) * 4;
  const output = device.createBuffer({ label: "halves", size, usage: 128 | 4 }); // STORAGE | COPY_SRC
  const encoder = device.createCommandEncoder();
  sampler.encodeRenormalize(encoder, { logits: { buffer, ...place }, output, outputType: "float16" }, params);
  device.queue.submit([encoder.finish()]);
  const made = new Uint16Array((await read(device, output, size)).buffer);
  buffer.destroy();
  output.destroy();
  const wrong = expected.findIndex((half, at) => half !== made[at]);
  if (wrong >= 0) {
    throw new Error(`encodeRenormalize() left ${made[wrong]} as half ${wrong}, expected ${expected[wrong]}`);
  }
}

function bufferWith(device: GPUDevice, data: Call["logits"]): GPUBuffer {
  const bytes = new Uint8Array(Math.ceil(data.byteLength / 4) * 4);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  const buffer = device.createBuffer({ label: "logits", size: bytes.length, usage: 128 | 8 }); // STORAGE | COPY_DST
  device.queue.writeBuffer(buffer, 0, bytes);
  return buffer;
}

async function read(device: GPUDevice, buffer: GPUBuffer, bytes: number): Promise<Uint32Array<ArrayBuffer>> {
  const copy = device.createBuffer({ label: "records", size: bytes, usage: 1 | 8 }); // MAP_READ | COPY_DST
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, copy, 0, bytes);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(1);
  const words = new Uint32Array(copy.getMappedRange()).slice();
  copy.destroy();
  return words;
}
