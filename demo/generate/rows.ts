/** The eight rows of the demo: a prompt and the way to go on from it. */
import type { SamplingParams } from "webgpu-token-sampler";

export interface Row {
  readonly label: string;
  readonly prompt: string;
  readonly params: SamplingParams;
}

export const ROWS: readonly Row[] = [
  { label: "greedy", prompt: "The sampler", params: { temperature: 0 } },
  { label: "T 0.7, top-p 0.9", prompt: "A logit", params: { temperature: 0.7, topP: 0.9 } },
  { label: "top-k 40", prompt: "The model", params: { topK: 40 } },
  { label: "min-p 0.05", prompt: "If the text", params: { minP: 0.05 } },
  {
    label: "vllm: T 0.9, min-p 0.02, top-k 50, top-p 0.95",
    prompt: "The temperature",
    params: { order: "vllm", temperature: 0.9, minP: 0.02, topK: 50, topP: 0.95 },
  },
  {
    label: "llama.cpp: top-k 40, top-p 0.95, min-p 0.05, T 0.8",
    prompt: "A random number",
    params: { order: "llama.cpp", topK: 40, topP: 0.95, minP: 0.05, temperature: 0.8 },
  },
  { label: "T 1.5, min-p 0.1", prompt: "With the same seed", params: { temperature: 1.5, minP: 0.1 } },
  { label: "T 1, no filter", prompt: "The GPU", params: {} },
];

/** Parameters for any number of rows: the eight in turn, each row with a seed of its own. */
export function paramsFor(rows: number, seed: bigint): SamplingParams[] {
  return Array.from({ length: rows }, (_, row) => ({
    ...ROWS[row % ROWS.length]!.params,
    seed: BigInt.asUintN(64, seed + BigInt(row)),
  }));
}
