/** Tries to find a planted fault: the digests for what runs on the CPU, then GPU = reference, then random calls. */
import { WrongTokensError } from "../../src/webgpu/engine.ts";
import type { Configuration } from "../everywhere/configurations.ts";
import { describeRow, type Section, sections } from "../everywhere/corpus.ts";
import { deviceRows, open } from "../everywhere/device.ts";
import committed from "../everywhere/digest.json" with { type: "json" };
import { referenceRows, rowDifference, sha256, sha256OfText, wordsOfRow } from "../everywhere/outcome.ts";
import { type FuzzCase, withoutStages } from "../fuzz/case.ts";
import { fuzz } from "../fuzz/fuzz.ts";

/** The tunings of a CPU and of a GPU, and small bindings with long groups. */
const configurations: readonly Configuration[] = [
  { name: "as it comes", half: true },
  {
    name: "a GPU's tuning",
    tuning: { drawWorkgroup: 64, streamWorkgroup: 64, lanes: 16, quads: 16, subgroups: true },
    half: true,
  },
  { name: "small bindings, long groups", chunk: { rows: 4, bytes: 9000 }, tuning: { quads: 64 }, half: true },
];
const GPU_SECTIONS = sections.filter(
  ({ core, name }) => core !== "none" || /float32, 3 tokens|float16, 1003|bfloat16|offset|told|edges|20003/.test(name),
);
const FUZZ_RUNS = 100;

/** Which sections are the first to notice a fault in a file. */
const NEAR: readonly [file: RegExp, near: (section: Section) => boolean][] = [
  [/report|outputs|write/, ({ name }) => /told|edges, processed/.test(name)],
  [/band/, ({ name }) => name.includes("wide nuclei")],
  [/row\.wgsl|draw|search|bins|mass|weights/, ({ name }) => name.includes("edges")],
  [/stages|fixed|adaptive/, ({ staged }) => staged],
  [/process|count|history|overlay|float32|append|clear|controls/, ({ maxHistory }) => maxHistory > 0],
];

function nearestFirst(file: string): readonly Section[] {
  const near = NEAR.find(([pattern]) => pattern.test(file))?.[1] ?? (() => false);
  return [...GPU_SECTIONS.filter(near), ...GPU_SECTIONS.filter((section) => !near(section))];
}

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
 * @param file where the fault is; if it is in a shader, the reference need not be asked
 * @param onStep called after everything that takes a while
 * @returns what found the fault, or undefined if it survived
 */
export async function kill(device: GPUDevice, file: string, onStep: () => void): Promise<string | undefined> {
  try {
    return await search(device, file, onStep);
  } catch (error) {
    if (error instanceof WrongTokensError) return `the self-check: ${error.message}`;
    throw error;
  }
}

async function search(device: GPUDevice, file: string, onStep: () => void): Promise<string | undefined> {
  const digests: Readonly<Record<string, string>> = committed.sections;
  for (const section of file.endsWith(".wgsl") ? [] : sections) {
    const ofCalls: string[] = [];
    for (const call of section.calls()) ofCalls.push(await sha256(referenceRows(section, call).map(wordsOfRow)));
    if ((await sha256OfText(ofCalls.join())) !== digests[section.name]) return `digest of "${section.name}"`;
    onStep();
  }
  const nearest = nearestFirst(file);
  for (const configuration of configurations) {
    for (const section of nearest) {
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
  const { failure } = await fuzz(device, { seed: 1, runs: FUZZ_RUNS, shrink: false, narrow, onCase: onStep });
  return failure === undefined ? undefined : `fuzz: ${failure.difference}`;
}
