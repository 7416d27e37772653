/** What a call gives besides tokens: every kernel alone against its twin, and both engines against each other. */
import { expect, test } from "vitest";
import { createSampler, type SamplerOptions, type SamplingParams } from "../../src/index.ts";
import { outputsOf } from "../../src/outputs.ts";
import { planRow } from "../../src/params.ts";
import { draws as drawAll } from "../../src/reference/draws.ts";
import { list } from "../../src/reference/list.ts";
import { max } from "../../src/reference/max.ts";
import { report } from "../../src/reference/report.ts";
import type { BindGroupName, Constants, KernelName } from "../../src/webgpu/kernels.ts";
import { answerWords, packRequests, type Requests, unpackReport } from "../../src/webgpu/outputs.ts";
import { massConstants, packCall, RECORD_WORDS, unpackRecord } from "../../src/webgpu/pack.ts";
import { furtherPipelines, pipelinesFor } from "../../src/webgpu/pipelines.ts";
import { groupsOf, type Tuning, tuningFor } from "../../src/webgpu/tuning.ts";
import { paramSets, sampleDifference, show, stagedSets } from "../support/cases.ts";
import { bufferOf, sharedDevice, wordsOf } from "../support/device.ts";
import { batch, inputNames, Random } from "../support/inputs.ts";
import { randomMask } from "../support/processing.ts";

const device = await sharedDevice();

const modes = ["kept", "processed", "raw"] as const;

/** Any mixture of what can be asked for; without entropies there is another kernel. */
function randomOutputs(random: Random, vocab: number, entropies = true): SamplingParams {
  const some = (share: number): boolean => random.unit() < share;
  return {
    ...(some(0.8) && { logprobs: modes[random.below(3)]! }),
    ...(some(0.6) && { topLogprobs: [1, 2, 5, 20, 32][random.below(5)]! }),
    ...(some(0.4) && { logprobTokens: Array.from({ length: random.below(40) }, () => random.below(vocab)) }),
    ...(some(0.4) && { rank: true }),
    ...(some(0.4) && entropies && { entropy: true }),
  };
}

/** What changes a row's logits without a history. */
function randomProcess(random: Random, vocab: number): SamplingParams {
  return {
    ...(random.below(2) === 0 && { allowedTokens: randomMask(random, vocab, 0.6) }),
    ...(random.below(2) === 0 && { logitBias: new Map([[random.below(vocab), 3]]) }),
    ...(random.below(4) === 0 && { forcedToken: random.below(vocab) }),
    ...(random.below(8) === 0 && { bannedTokens: randomMask(random, vocab, 1) }),
  };
}

type Shape = Omit<SamplerOptions, "engine" | "device"> & { readonly __chunk?: object };

async function samplers({ __chunk, ...shape }: Shape) {
  const extra = { ...(__chunk && { __chunk }) };
  const gpu = await createSampler({ ...shape, ...extra, device, engine: "webgpu" });
  return { gpu, cpu: await createSampler({ ...shape, engine: "cpu" }) };
}

const SENTINEL = 0xa5a5_a5a5;
const GUARD = 64;

/** One dispatch of the sampling kernels and of those behind them, each row with a plan of its own. */
class Bench {
  readonly #pipelines;
  readonly #further;
  readonly #buffers: Record<string, GPUBuffer>;
  readonly #rows: number;
  readonly #groups: number;
  readonly #tuning: Tuning;
  readonly #constants: Partial<Record<KernelName, Constants>>;

  static async create(logits: Float32Array, params: readonly SamplingParams[], requests: Requests) {
    const tuning = tuningFor(device, false);
    return new Bench(await pipelinesFor(device, "float32", tuning), tuning, logits, params, requests);
  }

  private constructor(
    pipelines: Awaited<ReturnType<typeof pipelinesFor>>,
    tuning: Tuning,
    logits: Float32Array,
    params: readonly SamplingParams[],
    { words: reports, firstToken, firstWeight }: Requests,
  ) {
    const rows = params.length;
    const vocab = logits.length / rows;
    const groups = groupsOf(vocab, tuning);
    this.#pipelines = pipelines;
    this.#further = furtherPipelines(device, pipelines, "float32", tuning);
    [this.#rows, this.#groups, this.#tuning] = [rows, groups, tuning];
    const place = { tokenFirst: firstToken, tokenStride: 1, draws: params[0]!.draws ?? 1, weightsFirst: firstWeight };
    const shape = { vocab, groups, first: 0, rowStride: vocab, firstRow: 0, ...place };
    const plans = params.map((row) => planRow(row, vocab));
    const call = packCall(shape, plans, () => 0n);
    this.#constants = { mass: massConstants(plans), report: { ENTROPIES: 1 } };
    const guarded = new Uint32Array(reports.length + GUARD).fill(SENTINEL);
    guarded.set(reports);
    this.#buffers = {
      logits: bufferOf(device, logits),
      call: bufferOf(device, call),
      delegates: bufferOf(device, new Uint32Array(rows * groups)),
      masses: bufferOf(device, new Uint32Array(4 * rows * groups)),
      records: bufferOf(device, new Uint32Array(rows * RECORD_WORDS)),
      reports: bufferOf(device, guarded),
    };
  }

  run(...kernels: KernelName[]): void {
    const group = (name: BindGroupName, ...names: string[]): GPUBindGroup =>
      device.createBindGroup({
        layout: this.#pipelines.layouts[name],
        entries: names.map((buffer, binding) => ({ binding, resource: { buffer: this.#buffers[buffer]! } })),
      });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setBindGroup(0, group("inputs", "logits", "logits"));
    pass.setBindGroup(1, group("workspace", "call", "delegates", "masses", "records"), [0]);
    for (const kernel of kernels) {
      const constants = this.#constants[kernel] ?? {};
      pass.setPipeline(this.#further.kernel(kernel, { processed: false, staged: false, constants }));
      if (kernel === "draw" || kernel === "draws") pass.setBindGroup(2, group("tokens", "reports"));
      if (kernel === "report") pass.setBindGroup(2, group("reporting", "reports"));
      if (kernel === "max" || kernel === "mass") {
        pass.dispatchWorkgroups(Math.ceil(this.#groups / this.#tuning.streamWorkgroup), this.#rows);
      } else {
        pass.dispatchWorkgroups(this.#rows);
      }
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
  }

  /** What a buffer holds; behind the reports lies a guard band. */
  async read(name: "reports" | "records"): Promise<Uint32Array> {
    const words = await wordsOf(device, this.#buffers[name]!);
    if (name === "records") return words;
    expect(new Set(words.subarray(-GUARD)), "guard band").toEqual(new Set([SENTINEL]));
    return words.subarray(0, -GUARD);
  }

  destroy(): void {
    for (const buffer of Object.values(this.#buffers)) buffer.destroy();
  }
}

test("draws: tokens and weights of every row, with and without replacement", async () => {
  const random = new Random(11);
  for (const [vocab, draws] of [
    [1, 2],
    [7, 9],
    [997, 64],
    [5003, 5],
  ] as const) {
    const logits = batch(inputNames, vocab, inputNames.length, vocab);
    const params = inputNames.map((_, row): SamplingParams => ({
      ...paramSets[random.below(paramSets.length)],
      seed: BigInt(row),
      position: 2n ** 64n - 1n,
      draws,
      replacement: random.below(2) === 0,
    }));
    const requests = packRequests([], params.length, draws);
    const bench = await Bench.create(logits, params, requests);
    bench.run("max", "mass", "draw");
    const before = await bench.read("records");
    bench.run("draws");
    expect(await bench.read("records"), "records stay").toEqual(before);
    const words = await bench.read("reports");
    for (const [row, input] of params.entries()) {
      const plan = planRow(input, vocab);
      const rowLogits = logits.subarray(row * vocab, (row + 1) * vocab);
      const expected = drawAll(list(rowLogits, plan), plan, plan.seed!, plan.position!, unpackRecord(before, row));
      const actual = expected.map(({ status, mass }, draw) => {
        const [token, weight] = [words[row * draws + draw]!, words[requests.firstWeight + row * draws + draw]!];
        return { token, status, weight, mass };
      });
      const name = `batch(inputNames, ${vocab}, …), row ${row}, ${inputNames[row]}: ${show(input)}`;
      expect(actual, name).toEqual(expected);
      expect(actual[0]!.token, name).toBe(unpackRecord(before, row).token);
    }
    bench.destroy();
  }
});

test("report: masses, informations, counts, ranks, keys and lists of every row", async () => {
  const random = new Random(3);
  for (const [vocab, draws] of [
    [3, 1],
    [997, 3],
    [5003, 1],
  ] as const) {
    const logits = batch(inputNames, vocab, inputNames.length, vocab);
    const params = inputNames.map((_, row): SamplingParams => ({
      ...paramSets[random.below(paramSets.length)],
      ...randomOutputs(random, vocab),
      seed: BigInt(row),
      position: 0n,
      draws,
    }));
    const plans = params.map((row) => planRow(row, vocab));
    const outputs = outputsOf(plans)!;
    const requests = packRequests(outputs, params.length, draws);
    const { words, firstToken, firstAnswer } = requests;
    const bench = await Bench.create(logits, params, requests);
    bench.run("max", "mass", "draw");
    if (draws > 1) bench.run("draws");
    bench.run("report");
    const [records, reports] = [await bench.read("records"), await bench.read("reports")];
    expect(reports.subarray(0, firstToken), "requests stay").toEqual(words.subarray(0, firstToken));
    let at = firstAnswer;
    for (const [row, plan] of plans.entries()) {
      const rowLogits = logits.subarray(row * vocab, (row + 1) * vocab);
      const sample = unpackRecord(records, row);
      const sampled = { logits: rowLogits, row: max(rowLogits) };
      const kept = list(rowLogits, plan);
      const drawn = draws === 1 ? [sample] : drawAll(kept, plan, plan.seed!, 0n, sample);
      const input = {
        told: sampled,
        sampled,
        kept,
        drawScale: plan.drawScale,
        drawn: drawn.map(({ token }) => token),
      };
      const expected = report(input, outputs[row]!);
      const answer = reports.subarray(at, (at += answerWords(outputs[row]!, draws)));
      const actual = unpackReport(answer, outputs[row]!, draws);
      expect(actual, `batch(inputNames, ${vocab}, …), row ${row}: ${show(params[row]!)}`).toEqual(expected);
    }
    expect(at).toBe(reports.length);
    bench.destroy();
  }
});

// What 16-bit types change is how logits are read: they are told of in the corpus that all runtimes are asked.
test("both engines tell the same: all inputs and parameter sets, with stages and without, processed and not, chunked and not", async () => {
  const random = new Random(5);
  const rows = inputNames.length;
  for (const [round, vocabSize] of [1, 7, 1000, 4097].entries()) {
    for (const chunk of round % 2 === 1 ? [{}, { rows: 5 }] : [{ rows: 8 }]) {
      const { gpu, cpu } = await samplers({ vocabSize, maxBatch: rows, __chunk: chunk });
      // A third call, so that one comes after processed rows whose raw logits were read again.
      for (let call = 0; call < (vocabSize === 1000 ? 3 : 1); call++) {
        const logits = batch(inputNames, vocabSize, rows, 100 * round + call);
        const processes = (call + round) % 2 === 1;
        const staged = vocabSize === 1000;
        const several = [1, 1, 5, 2][(round + call) % 4]!;
        const params = Array.from({ length: rows }, (_, row): SamplingParams => {
          const sets = staged && row % 2 === 0 ? stagedSets : paramSets;
          return {
            draws: several,
            replacement: random.below(2) === 0,
            ...sets[(row + 7 * call) % sets.length],
            ...randomOutputs(random, vocabSize, (round + call) % 3 !== 0),
            ...(processes && row % 3 !== 0 && randomProcess(random, vocabSize)),
            seed: BigInt(row),
            position: call,
          };
        });
        const [actual, expected] = [await gpu.sample(logits, params), await cpu.sample(logits, params)];
        const different = sampleDifference(actual, expected);
        const row = Number(/row (\d+)/.exec(different ?? "")?.[1] ?? 0);
        expect(
          different,
          `vocabulary of ${vocabSize}, call ${call}, ${inputNames[row]}: ${show(params[row]!)}`,
        ).toBeUndefined();
      }
      gpu.destroy();
    }
  }
});

test("the comparison itself can fail, and the answers are no longer than they have to be", async () => {
  const { gpu, cpu } = await samplers({ vocabSize: 1000, maxBatch: 4 });
  const copied: number[] = [];
  const create = device.createCommandEncoder.bind(device);
  device.createCommandEncoder = (descriptor) => {
    const encoder = create(descriptor);
    const copy = encoder.copyBufferToBuffer.bind(encoder) as (...all: unknown[]) => undefined;
    encoder.copyBufferToBuffer = (...all: unknown[]): undefined => {
      copied.push(all.at(-1) as number);
      return copy(...all);
    };
    return encoder;
  };
  const logits = batch(["peaked"], 1000, 4, 9);
  const params = { seed: 1n, position: 0, topLogprobs: 5, logprobTokens: [7], rank: true, entropy: true };
  const told = await gpu.sample(logits, params);
  const plain = await gpu.sample(logits, { seed: 1n, position: 0 });
  device.createCommandEncoder = create;
  const records = 4 * RECORD_WORDS * 4;
  // A row's answer: 11 words, 2 of the drawn token, 2 for each of the list, 1 for each chosen one.
  expect(copied).toEqual([records, 4 * 4 * (11 + 2 + 2 * 5 + 1), records]);
  expect(Object.keys(plain).sort()).toEqual(["logprobs", "status", "tokens"]);
  expect(told.tokens).toEqual(plain.tokens);
  expect(told.logprobs).toEqual(plain.logprobs);
  for (const [name, other] of Object.entries({
    topLogprobs: { topLogprobs: 4 },
    tokenLogprobs: { logprobTokens: [8] },
    keptCounts: { topK: 999 },
  })) {
    const expected = await cpu.sample(logits, { ...params, ...other });
    expect(sampleDifference({ ...told, logprobs: expected.logprobs }, expected)).toMatch(new RegExp(name));
  }
  expect(sampleDifference({ ...told, ranks: told.ranks!.map((rank) => rank + 1) }, told)).toMatch(/ranks\[1\]/);
  gpu.destroy();
});
