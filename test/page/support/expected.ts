/** What the page has to show, from the CPU reference and without the page's code. */
import guide from "../../../docs/guide.md?raw";
import rules from "../../../docs/rules.md?raw";
import essay from "../../../docs/sampling.md?raw";
import { LanguageModel, proseOf } from "../../../demo/generate/model.ts";
import type { SamplingParams } from "../../../src/index.ts";
import { list, normalize, planRow, sampleRow } from "../../../src/reference/index.ts";

export const ANIMALS = ["猫", "狗", "鸟", "鱼", "马"] as const;
export const ANIMAL_LOGITS = Float32Array.from([0.4, 0.3, 0.15, 0.1, 0.05], Math.log);

export interface Candidate {
  readonly token: number;
  readonly probability: number;
}

/** What is kept of a row, most probable first. */
export function candidatesOf(logits: Float32Array, params: SamplingParams): Candidate[] {
  const { tokens, probabilities } = normalize(list(logits, planRow(params, logits.length)));
  return Array.from(tokens, (token, rank) => ({ token, probability: probabilities[rank]! }));
}

/** How often each token is drawn in draws `0` to `count - 1` of a seed. */
export function countsOf(logits: Float32Array, params: SamplingParams, seed: bigint, count: number): number[] {
  const plan = planRow(params, logits.length);
  const counts = new Array<number>(logits.length).fill(0);
  for (let position = 0; position < count; position++) {
    counts[sampleRow(logits, plan, seed, BigInt(position)).token]!++;
  }
  return counts;
}

let model: LanguageModel | undefined;

export function ngramModel(): LanguageModel {
  return (model ??= new LanguageModel([essay, guide, rules].map(proseOf).join("\n\n")));
}

/** Tokens that the n-gram model goes on with, and what each was drawn from. */
export function writeText(
  prompt: string,
  params: SamplingParams,
  seed: bigint,
  length: number,
): { text: string; pieces: string[]; tokens: number[]; rows: Float32Array[] } {
  const ngrams = ngramModel();
  const { tokenizer, vocabSize } = ngrams;
  const plan = planRow(params, vocabSize);
  const context = tokenizer.encode(prompt);
  const rows: Float32Array[] = [];
  const tokens: number[] = [];
  for (let position = 0; position < length; position++) {
    const logits = new Float32Array(vocabSize);
    ngrams.logits([...context, ...tokens], logits);
    tokens.push(sampleRow(logits, plan, seed, BigInt(position)).token);
    rows.push(logits);
  }
  return { text: tokenizer.decode(tokens), pieces: tokens.map((token) => tokenizer.decode([token])), tokens, rows };
}
