/** Named parameter sets, and how a case is compared and named: shared by the tests of both engines. */
import type { SampleResult } from "../../src/engine.ts";
import { OUTPUT_NAMES, type SampleOutputs } from "../../src/outputs.ts";
import type { SamplingParams } from "../../src/params.ts";
import type { RowCandidates } from "../../src/reference/list.ts";

/** Every filter alone and combined, in all orders; boundary values beside usual ones. */
export const paramSets: readonly (SamplingParams & { readonly order?: "transformers" | "vllm" | "llama.cpp" })[] = [
  {},
  { temperature: 0 },
  { temperature: 0.2 },
  { temperature: 3 },
  { topK: 1 },
  { topK: 2 },
  { topK: 50 },
  { temperature: 0.1, topK: 50 },
  { topK: 511 },
  { topK: 513 },
  { topK: 3000 },
  { topP: 0 },
  { topP: 0.1 },
  { topP: 0.5 },
  { temperature: 0.8, topP: 0.9 },
  { topP: 0.999 },
  { topP: 1 - 2 ** -40 },
  { minP: 0.05 },
  { minP: 0.5 },
  { minP: 1 },
  { minP: 1e-9 },
  { temperature: 0.7, topK: 50, topP: 0.95, minP: 0.05 },
  { temperature: 0.8, topK: 700, topP: 0.6 },
  { temperature: 1.5, topP: 0.95, minP: 0.02 },
  { temperature: 1.5, topP: 0.7, minP: 0.02, order: "vllm" },
  { temperature: 0.9, topK: 40, topP: 0.8, minP: 0.1, order: "vllm" },
  { temperature: 2, minP: 0.3, order: "vllm" },
  { temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05, order: "llama.cpp" },
  { temperature: 2, topP: 0.9, order: "llama.cpp" },
  { temperature: 0.5, minP: 0.1, order: "llama.cpp" },
  { temperature: 3, topK: 600, minP: 0.01, order: "llama.cpp" },
  // Half of equal tokens just reach the mass needed; two of three equal tokens miss it by one half, rounded up to one.
  { topP: (2 ** 31 + 2 ** 12) / 2 ** 32 },
  { topP: ((2 ** 33 + 1) / 3 + 2 ** 12) / 2 ** 32 },
];

/** Every stage alone, and combined in presets and in orders of one's own. */
export const stagedSets: readonly SamplingParams[] = [
  { typicalP: 0.2 },
  { typicalP: 0.9, temperature: 1.7 },
  { typicalP: 0.95, topK: 100, minKeep: 5 },
  { typicalP: 0.5, minKeep: 400 },
  { topNSigma: 1 },
  { topNSigma: 0.3, temperature: 2, minP: 0.01 },
  { topNSigma: 2.5, order: "llama.cpp", topK: 700 },
  { epsilonCutoff: 9e-4 },
  { epsilonCutoff: 0.3, minKeep: 3 },
  { epsilonCutoff: 1e-7, temperature: 3 },
  { etaCutoff: 9e-4 },
  { etaCutoff: 0.2, temperature: 2 },
  { topH: 0.4 },
  { topH: 0.9, temperature: 2 },
  { topH: 1, minP: 0.5 },
  { xtcProbability: 1, xtcThreshold: 0.05 },
  { xtcProbability: 0.5, xtcThreshold: 0.1, topP: 0.9 },
  { xtcProbability: 1, xtcThreshold: 1e-4, minKeep: 3, temperature: 1.5 },
  { xtcProbability: 1, xtcThreshold: 0, topK: 600 },
  {
    xtcProbability: 1,
    xtcThreshold: 0.001,
    typicalP: 0.8,
    order: ["xtc", "typicalP", "temperature"],
    temperature: 0.7,
  },
  { minKeep: 3, topP: 0.05 },
  { topNSigma: 100, topP: 0 },
  { minKeep: 40, minP: 0.9, topK: 2 },
  { minKeep: 5000, topP: 0.5 },
  { dynatempRange: 0.7 },
  { dynatempRange: 1, dynatempExponent: 0.5, temperature: 0.6, minP: 0.1, order: "llama.cpp" },
  { dynatempRange: 0.5, dynatempExponent: 3, temperature: 0, topK: 30 },
  { mirostat: 2 },
  { mirostat: 2, mirostatTau: 1, mirostatEta: 0.5, temperature: 1.5 },
  { mirostat: 1 },
  { mirostat: 1, mirostatTau: 2, topK: 60 },
  { adaptiveP: 0.5, minP: 0.05 },
  { adaptiveP: 0.2, adaptiveDecay: 0.5 },
  { order: "joint", topK: 20, topP: 0.6 },
  { order: "joint", topK: 900, topP: 0.99, temperature: 2 },
  { order: ["topP", "temperature", "topK", "minP"], topP: 0.9, temperature: 1.4, topK: 30, minP: 0.02 },
  { order: ["minP", "topK", "temperature", "topP"], topP: 0.7, temperature: 0.5, topK: 800, minP: 0.001 },
  {
    temperature: 0.8,
    topNSigma: 2,
    topK: 50,
    typicalP: 0.9,
    topP: 0.95,
    minP: 0.02,
    xtcProbability: 1,
    xtcThreshold: 0.05,
    order: "llama.cpp",
  },
  {
    temperature: 1.2,
    topH: 0.95,
    topK: 80,
    topP: 0.98,
    minP: 0.01,
    typicalP: 0.9,
    epsilonCutoff: 1e-4,
    etaCutoff: 1e-3,
  },
];

/** A parameter set as it reads in the name of a test. */
export function show(params: SamplingParams): string {
  const entries = Object.entries(params).map(([name, value]) => `${name} ${value}`);
  return entries.length === 0 ? "defaults" : entries.join(", ");
}

/** Where two results of the same call differ first, or undefined. Integers and bits, no tolerance. */
export function sampleDifference(actual: SampleResult, expected: SampleResult): string | undefined {
  const draws = expected.tokens.length / expected.status.length;
  for (let place = 0; place < expected.tokens.length; place++) {
    const row = Math.floor(place / draws);
    const at = draws === 1 ? `row ${row}` : `row ${row}, draw ${place % draws}`;
    for (const name of ["tokens", "logprobs"] as const) {
      const [a, e] = [actual[name][place], expected[name][place]];
      if (!Object.is(a, e)) return `${at}: ${name} ${String(a)}, expected ${String(e)}`;
    }
    const [a, e] = [actual.status[row], expected.status[row]];
    if (a !== e) return `row ${row}: status ${String(a)}, expected ${String(e)}`;
  }
  for (const name of ["tokens", "logprobs", "status"] as const) {
    if (actual[name].length !== expected[name].length) return `${actual[name].length} ${name}`;
  }
  return outputsDifference(actual, expected);
}

/** Where the numbers besides the tokens differ first. Both engines take the logarithms of the same integers. */
function outputsDifference(actual: SampleOutputs, expected: SampleOutputs): string | undefined {
  const names = new Set([...Object.keys(actual), ...Object.keys(expected)]) as Set<keyof SampleResult>;
  for (const name of ["tokens", "logprobs", "status"] as const) names.delete(name);
  for (const name of names as Set<keyof SampleOutputs>) {
    const [a, e] = [flat(actual[name]), flat(expected[name])];
    const at = Array.from({ length: Math.max(a.length, e.length) }, (_, index) => index).find(
      (index) => !Object.is(a[index], e[index]),
    );
    if (at !== undefined) return `${name}[${at}]: ${String(a[at])}, expected ${String(e[at])}`;
  }
  return undefined;
}

/** All numbers of an output, and the length of every list. */
function flat(value: unknown): unknown[] {
  if (ArrayBuffer.isView(value)) return [(value as Uint32Array).length, ...(value as Uint32Array)];
  if (typeof value === "object" && value !== null) return Object.values(value).flatMap(flat);
  return [value];
}

/** The parameters without what only sample() tells. */
export function withoutOutputs<T extends SamplingParams>(params: T): T {
  return Object.fromEntries(Object.entries(params).filter(([name]) => !isOutput(name))) as T;
}

const isOutput = (name: string): boolean => (OUTPUT_NAMES as readonly string[]).includes(name);

/** Where two lists of candidates differ first, or undefined. */
export function candidatesDifference(
  actual: readonly RowCandidates[],
  expected: readonly RowCandidates[],
): string | undefined {
  if (actual.length !== expected.length) return `${actual.length} rows, expected ${expected.length}`;
  for (const [row, { tokens, probabilities }] of expected.entries()) {
    const other = actual[row]!;
    if (other.tokens.length !== tokens.length) {
      return `row ${row}: ${other.tokens.length} kept, expected ${tokens.length}`;
    }
    for (let rank = 0; rank < tokens.length; rank++) {
      if (other.tokens[rank] !== tokens[rank] || !Object.is(other.probabilities[rank], probabilities[rank])) {
        return `row ${row}, rank ${rank}: token ${other.tokens[rank]} at ${other.probabilities[rank]}, expected ${tokens[rank]} at ${probabilities[rank]}`;
      }
    }
  }
  return undefined;
}
