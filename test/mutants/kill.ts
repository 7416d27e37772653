/** Tries to find a planted fault: the digests for what runs on the CPU, then GPU = reference, then random calls. */
import { createSampler } from "../../src/index.ts";
import { WrongTokensError } from "../../src/webgpu/engine.ts";
import type { Configuration } from "../everywhere/configurations.ts";
import { describeRow, sections } from "../everywhere/corpus.ts";
import { deviceRows, open } from "../everywhere/device.ts";
import committed from "../everywhere/digest.json" with { type: "json" };
import { referenceRows, rowDifference, sha256, sha256OfText, wordsOfRow } from "../everywhere/outcome.ts";
import { type FuzzCase, withoutStages } from "../fuzz/case.ts";
import { fuzz } from "../fuzz/fuzz.ts";
import { batch, inputNames } from "../support/inputs.ts";
import { floatToBfloat } from "../support/oracle.ts";

/** The tunings of a CPU and of a GPU, and small bindings. */
const configurations: readonly Configuration[] = [
  { name: "as it comes" },
  {
    name: "a GPU's tuning",
    tuning: { drawWorkgroup: 64, streamWorkgroup: 64, lanes: 16, quads: 16, subgroups: true },
    half: true,
  },
  { name: "small bindings", chunk: { rows: 4, bytes: 9000 }, half: true },
];
const GPU_SECTIONS = sections.filter(
  ({ core, name }) => core !== "none" || /float32, 3 tokens|float16, 1003|bfloat16|offset/.test(name),
);
const FUZZ_RUNS = 100;

/** No more than a few tunings and types: each pair of them is compiled, and that is what takes the time. */
function narrow(value: FuzzCase): FuzzCase {
  const { tuning, logitsType } = value;
  if (tuning === 0 && logitsType === "float32") return value;
  const plain = withoutStages(value);
  if (tuning === 0 || logitsType === "float32") return plain;
  return { ...plain, logitsType: tuning === 1 ? "float16" : "float32" };
}

/**
 * @param device where the kernels run
 * @param onlyShaders whether the fault is in a shader, so that the reference need not be asked
 * @param onStep called after everything that takes a while
 * @returns what found the fault, or undefined if it survived
 */
export async function kill(device: GPUDevice, onlyShaders: boolean, onStep: () => void): Promise<string | undefined> {
  try {
    return await search(device, onlyShaders, onStep);
  } catch (error) {
    if (error instanceof WrongTokensError) return `the self-check: ${error.message}`;
    throw error;
  }
}

async function search(device: GPUDevice, onlyShaders: boolean, onStep: () => void): Promise<string | undefined> {
  const digests: Readonly<Record<string, string>> = committed.sections;
  for (const section of onlyShaders ? [] : sections) {
    const ofCalls: string[] = [];
    for (const call of section.calls()) ofCalls.push(await sha256(referenceRows(section, call).map(wordsOfRow)));
    if ((await sha256OfText(ofCalls.join())) !== digests[section.name]) return `digest of "${section.name}"`;
    onStep();
  }
  for (const configuration of configurations) {
    for (const section of GPU_SECTIONS) {
      if (section.core === "none" && configuration !== configurations[0]) continue;
      if (section.core === "half" && configuration.half !== true) continue;
      const opened = await open(device, section, configuration);
      onStep();
      try {
        for (const call of section.calls()) {
          onStep();
          const rows = await deviceRows(device, opened, section, call, configuration);
          const expected = referenceRows(section, call);
          for (const [row, outcome] of rows.entries()) {
            const difference = rowDifference(outcome, expected[row]!);
            if (difference !== undefined) return `${configuration.name}, ${describeRow(call, row)}: ${difference}`;
          }
        }
      } finally {
        opened.sampler.destroy();
      }
    }
  }
  const written = await writeDifference(device, onStep);
  if (written !== undefined) return written;
  const { failure } = await fuzz(device, { seed: 1, runs: FUZZ_RUNS, shrink: false, narrow, onCase: onStep });
  return failure === undefined ? undefined : `fuzz: ${failure.difference}`;
}

/** Whole rows of kept logits and of probabilities, of float32 and of processed bfloat16 logits: odd, so that rows share words. */
async function writeDifference(device: GPUDevice, onStep: () => void): Promise<string | undefined> {
  const vocabSize = 203;
  const floats = batch(inputNames, vocabSize, inputNames.length, 4);
  const logitBias = Object.fromEntries(Array.from({ length: vocabSize }, (_, id) => [id, 0.7 ** (id % 60)]));
  for (const [logitsType, logits, params] of [
    ["float32", floats, { topP: 0.9 }],
    ["bfloat16", floatToBfloat(floats), { topK: 150, logitBias }],
  ] as const) {
    const shape = { vocabSize, maxBatch: inputNames.length, logitsType };
    const [gpu, cpu] = [await createSampler({ ...shape, device }), await createSampler({ ...shape, engine: "cpu" })];
    onStep();
    try {
      for (const call of ["maskLogits", "renormalize"] as const) {
        const [actual, expected] = [await gpu[call](logits, params), await cpu[call](logits, params)];
        const at = expected.findIndex((value: number, index: number) => !Object.is(actual[index], value));
        if (at >= 0) return `${call} of ${logitsType}, element ${at}: ${actual[at]}, not ${expected[at]}`;
        onStep();
      }
    } finally {
      gpu.destroy();
    }
  }
  return undefined;
}
