/**
 * Compares what the GPU returns with the CPU reference, by `===`. First the corpus that every runtime is asked
 * (`test/everywhere`), which goes through all kernels; then rows as long as a model's, under every way of cutting the kernels.
 */
import {
  createSampler,
  type LogitsType,
  type Sampler,
  type SampleResult,
  type SamplingParams,
  type Tuning,
} from "../src/index.ts";
import type { RowCandidates } from "../src/reference/list.ts";
import { TUNINGS } from "../src/webgpu/tuning.ts";
import committed from "../test/everywhere/digest.json" with { type: "json" };
import { run } from "../test/everywhere/suite.ts";
import { candidatesDifference, paramSets, sampleDifference, show } from "../test/support/cases.ts";
import { batch, type InputName, inputNames } from "../test/support/inputs.ts";
import { floatToBfloat, floatToHalf } from "../test/support/oracle.ts";
import type { Progress } from "./cases.ts";

/** A vocabulary and a type, under several tunings. */
interface Sweep {
  readonly vocab: number;
  readonly type: LogitsType;
  readonly tunings: readonly Partial<Tuning>[];
  readonly params: readonly SamplingParams[];
  readonly inputs: readonly InputName[];
}

export interface CheckResult {
  /** Calls compared, and the rows that they had together. */
  readonly calls: number;
  readonly rows: number;
  readonly differences: readonly string[];
}

type Total = { -readonly [K in keyof CheckResult]: CheckResult[K] } & { differences: string[] };

const DEFAULT: Partial<Tuning> = {};
/** The table's rows, and cuts that no adapter would choose. */
const ALL_TUNINGS: readonly Partial<Tuning>[] = [
  DEFAULT,
  TUNINGS.swiftshader,
  TUNINGS.llvmpipe,
  TUNINGS.gpu,
  { ...TUNINGS.gpu, subgroups: false },
  { lanes: 2, quads: 8, streamWorkgroup: 16, drawWorkgroup: 32, subgroups: true },
];

const every = (nth: number, first: number): SamplingParams[] => paramSets.filter((_, index) => index % nth === first);
const third = every(3, 1);
const ninth = every(9, 4);
const LARGE_INPUTS: readonly InputName[] = [
  "peaked",
  "flat",
  "equal",
  "tiesAtCut",
  "masked90",
  "adjacentFloats",
  "rawBits",
];

/** What is compared: all of it on a GPU. */
function sweeps(software: boolean): Sweep[] {
  if (software) return softwareSweeps();
  const short = (vocab: number, type: LogitsType, params: readonly SamplingParams[]): Sweep[] => [
    { vocab, type, tunings: [DEFAULT], params: paramSets, inputs: inputNames },
    { vocab, type, tunings: ALL_TUNINGS.slice(1), params, inputs: inputNames },
  ];
  const long = (vocab: number, type: LogitsType, params: readonly SamplingParams[]): Sweep => ({
    vocab,
    type,
    tunings: ALL_TUNINGS,
    params,
    inputs: LARGE_INPUTS,
  });
  return [
    ...[1, 2, 5, 127, 1001, 4097].flatMap((vocab) => short(vocab, "float32", paramSets)),
    ...short(1001, "float16", third),
    ...short(1001, "bfloat16", third),
    long(32_000, "float16", third),
    long(32_000, "bfloat16", third),
    long(32_000, "float32", paramSets),
    long(128_256, "float32", paramSets),
    long(262_144, "float32", third),
  ];
}

/**
 * On a CPU that runs shaders a workgroup made for GPUs takes a hundred times as long, and a variant takes
 * seconds to compile, so other tunings see only short rows of one type and few parameters there.
 */
function softwareSweeps(): Sweep[] {
  const tuned = (vocab: number): Sweep => ({
    vocab,
    type: "float32",
    tunings: ALL_TUNINGS.slice(1),
    params: ninth,
    inputs: inputNames,
  });
  const long = (vocab: number, type: LogitsType): Sweep => ({
    vocab,
    type,
    tunings: [DEFAULT],
    params: ninth,
    inputs: LARGE_INPUTS,
  });
  return [
    tuned(5),
    tuned(1001),
    long(32_000, "float16"),
    long(32_000, "bfloat16"),
    long(32_000, "float32"),
    long(128_256, "float32"),
    long(262_144, "float32"),
  ];
}

/** Runs everything. Goes on after a difference, so that all of them are known at the end. */
export async function checkAll(
  gpu: GPU,
  device: GPUDevice,
  software: boolean,
  progress: Progress,
): Promise<CheckResult> {
  const total = await checkCorpus(gpu, software, progress);
  for (const sweep of sweeps(software)) {
    const started = performance.now();
    // A device that fails the self-check has failed the sweep; the next one is asked all the same.
    const failed = (error: unknown): CheckResult => ({ calls: 0, rows: 0, differences: [String(error)] });
    const { calls, rows, differences } = await check(device, sweep).catch(failed);
    total.calls += calls;
    total.rows += rows;
    total.differences.push(...differences);
    progress(
      `check: vocabulary ${sweep.vocab}, ${sweep.type}: ${sweep.inputs.length} inputs × ${sweep.params.length} parameter sets × ${sweep.tunings.length} tuning(s), ${calls} calls, ${rows} rows: ${differences.length} different (${((performance.now() - started) / 1000).toFixed(1)} s)`,
    );
  }
  return total;
}

/** The corpus, under all configurations on a GPU; its digests have to be the committed ones. */
async function checkCorpus(gpu: GPU, software: boolean, progress: Progress): Promise<Total> {
  const { reference, device } = await run({ gpu, brief: software, log: (line) => progress(`check: corpus, ${line}`) });
  const { calls, rows, differences, differing, digests } = device!;
  const all = [...differences];
  if (differing > differences.length) all.push(`and ${differing - differences.length} more rows`);
  if (reference.digest !== committed.digest) all.push("the reference has another digest than the committed one");
  if (digests.digest !== committed.digest) all.push("the device has another digest than the committed one");
  progress(`check: corpus: ${calls} calls, ${rows} rows: ${all.length} different`);
  return { calls, rows, differences: all };
}

async function check(device: GPUDevice, { vocab, type, tunings, params, inputs }: Sweep): Promise<CheckResult> {
  const shape = { vocabSize: vocab, maxBatch: inputs.length, logitsType: type };
  const cpu = await createSampler({ ...shape, engine: "cpu" });
  const gpus: { tuning: Partial<Tuning>; sampler: Sampler }[] = [];
  for (const tuning of tunings) {
    // Never the CPU engine, which a device that fails its self-check would be left for: it is the device that is asked.
    gpus.push({ tuning, sampler: await createSampler({ ...shape, engine: "webgpu", device, tuning }) });
  }
  const differences: string[] = [];
  let calls = 0;
  for (const [index, set] of params.entries()) {
    const floats = batch(inputs, vocab, inputs.length, index);
    const logits = type === "float32" ? floats : type === "float16" ? floatToHalf(floats) : floatToBfloat(floats);
    const position = (BigInt(index) << 32n) - 1n;
    const call = {
      ...set,
      seed: BigInt.asUintN(64, BigInt(index) * 0x9e37_79b9_7f4a_7c15n),
      position: position < 0n ? 0n : position,
    };
    const expected = await cpu.sample(logits, call);
    const kept = await cpu.candidates(logits, call);
    for (const { tuning, sampler } of gpus) {
      const actual = await both(sampler, logits, call);
      calls += 2;
      const found = sampleDifference(actual.sample, expected) ?? candidatesDifference(actual.kept, kept);
      if (found !== undefined) {
        differences.push(
          `vocabulary ${vocab}, ${type}, batch seed ${index}, ${show(call)}, tuning ${JSON.stringify(tuning)}: ${found}`,
        );
      }
    }
  }
  for (const { sampler } of gpus) sampler.destroy();
  return { calls, rows: calls * inputs.length, differences };
}

async function both(
  sampler: Sampler,
  logits: Float32Array | Uint16Array,
  params: SamplingParams,
): Promise<{ sample: SampleResult; kept: RowCandidates[] }> {
  return { sample: await sampler.sample(logits, params), kept: await sampler.candidates(logits, params) };
}
