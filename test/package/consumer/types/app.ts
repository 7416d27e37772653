/** A strict program without WebGPU types of its own: the CPU engine, in Node. */
import {
  type BatchParams,
  createSampler,
  type Logits,
  NO_TOKEN,
  type RowCandidates,
  type SampleResult,
  type Sampler,
  type SamplingParams,
} from "webgpu-token-sampler";
import { planRow, sampleRow } from "webgpu-token-sampler/reference";

export async function run(logits: Logits, params: BatchParams): Promise<number | undefined> {
  const sampler: Sampler = await createSampler({ vocabSize: 5, engine: "cpu", logitsType: "float32" });
  const result: SampleResult = await sampler.sample(logits, params);
  const rows: RowCandidates[] = await sampler.candidates(new Float32Array(5));
  const first: number | undefined = rows[0]?.tokens[0];
  return result.tokens[0] === NO_TOKEN ? first : result.tokens[0];
}

export function reference(logits: Float32Array, params: SamplingParams): number {
  return sampleRow(logits, planRow(params, logits.length), 1n, 0n).token;
}

export async function wrong(sampler: Sampler): Promise<void> {
  // @ts-expect-error: the vocabulary is missing
  await createSampler({});
  // @ts-expect-error: there is no such engine
  await createSampler({ vocabSize: 5, engine: "gpu" });
  // @ts-expect-error: logits are no text
  await sampler.sample("logits");
  // @ts-expect-error: there is no such parameter
  await sampler.sample(new Float32Array(5), { top_k: 5 });
  // @ts-expect-error: a temperature is a number
  await sampler.sample(new Float32Array(5), { temperature: "warm" });
}
