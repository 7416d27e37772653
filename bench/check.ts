/**
 * Compares everything that the GPU returns with the CPU reference, by `===`: all inputs, all parameter sets, every way
 * of cutting the kernels.
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
  /** Calls compared; each has one row per input. */
  readonly calls: number;
  readonly rows: number;
  readonly differences: readonly string[];
}

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
 * seconds to compile, so other tunings see only short rows of one type and few parameters there. The tests of the project compare the rest.
 */
function softwareSweeps(): Sweep[] {
  const short = (vocab: number, type: LogitsType, params = third): Sweep => ({
    vocab,
    type,
    tunings: [DEFAULT],
    params,
    inputs: inputNames,
  });
  const long = (vocab: number, type: LogitsType): Sweep => ({ ...short(vocab, type, ninth), inputs: LARGE_INPUTS });
  const tunings = (vocab: number): Sweep => ({
    ...short(vocab, "float32", ninth),
    tunings: ALL_TUNINGS.slice(1),
  });
  return [
    ...[1, 2, 5, 127, 1001, 4097].map((vocab) => short(vocab, "float32")),
    ...[5, 1001].map(tunings),
    short(1001, "float16"),
    short(1001, "bfloat16"),
    long(32_000, "float16"),
    long(32_000, "bfloat16"),
    long(32_000, "float32"),
    long(128_256, "float32"),
    long(262_144, "float32"),
  ];
}

/** Runs all sweeps. Goes on after a difference, so that all of them are known at the end. */
export async function checkAll(device: GPUDevice, software: boolean, progress: Progress): Promise<CheckResult> {
  const total = { calls: 0, rows: 0, differences: [] as string[] };
  for (const sweep of sweeps(software)) {
    const started = performance.now();
    const { calls, rows, differences } = await check(device, sweep);
    total.calls += calls;
    total.rows += rows;
    total.differences.push(...differences);
    progress(
      `check: vocabulary ${sweep.vocab}, ${sweep.type}: ${sweep.inputs.length} inputs × ${sweep.params.length} parameter sets × ${sweep.tunings.length} tuning(s), ${calls} calls, ${rows} rows: ${differences.length} different (${((performance.now() - started) / 1000).toFixed(1)} s)`,
    );
  }
  return total;
}

async function check(device: GPUDevice, { vocab, type, tunings, params, inputs }: Sweep): Promise<CheckResult> {
  const shape = { vocabSize: vocab, maxBatch: inputs.length, logitsType: type };
  const cpu = await createSampler({ ...shape, engine: "cpu" });
  const gpus: { tuning: Partial<Tuning>; sampler: Sampler }[] = [];
  for (const tuning of tunings) gpus.push({ tuning, sampler: await createSampler({ ...shape, device, tuning }) });
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
