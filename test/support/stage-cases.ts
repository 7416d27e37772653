/** Random rows and parameter sets for the stages, boundary values among them. */
import type { SamplingParams } from "../../src/params.ts";
import { type StageName, STAGES } from "../../src/stages.ts";
import { inputNames, inputs, Random } from "./inputs.ts";

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

const pick = <T>(random: Random, values: readonly T[]): T => values[random.below(values.length)]!;

/** Normal logits of any scale, in steps as coarse as makes many ties, with some masked; or one of the named rows. */
export function randomRow(random: Random, vocab: number): Float32Array<ArrayBuffer> {
  const kind = random.below(4);
  if (kind === 0) return inputs[pick(random, inputNames)](vocab, random.word());
  const scale = pick(random, [0, 1e-6, 0.01, 0.3, 1, 2, 4, 10, 40, 1000, 1e30]);
  const masked = pick(random, [0, 0, 0, 0.5, 0.99]);
  const row = new Float32Array(vocab);
  for (let id = 0; id < vocab; id++) {
    const z = random.normal();
    row[id] = random.unit() < masked ? -Infinity : scale * (kind === 1 ? Math.round(2 * z) / 2 : z);
  }
  // A head that falls as text does.
  if (kind === 3) for (let rank = 0; rank < vocab / 4; rank++) row[random.below(vocab)] = 3 * scale - Math.sqrt(rank);
  return row;
}

/** Rows without ties, as models give them, more or less: from a few tokens to two thousand, from flat to certain. */
export function continuousRow(random: Random): Float32Array<ArrayBuffer> {
  const vocab = Math.floor(10 * 200 ** random.unit());
  const scale = 0.3 + 3 * random.unit();
  const row = new Float32Array(vocab);
  for (let id = 0; id < vocab; id++) row[id] = scale * random.normal();
  return row;
}

/** The stages of a random list. */
export function randomOrder(random: Random): StageName[] {
  const names: StageName[] = STAGES.filter(
    (name) => name !== "adaptiveP" && name !== "topK" && name !== "topP" && name !== "joint",
  );
  names.push(...(random.below(2) === 0 ? (["topK", "topP"] as const) : (["joint"] as const)));
  for (let i = names.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [names[i], names[j]] = [names[j]!, names[i]!];
  }
  return [...names, "adaptiveP"];
}

/** A parameter set in which each stage is on with the probability `often`. */
export function randomParams(random: Random, often: number): SamplingParams {
  const params: Mutable<SamplingParams> = {};
  const on = (): boolean => random.unit() < often;
  const unit = (...others: readonly number[]): number =>
    random.below(3) === 0 && others.length > 0 ? pick(random, others) : random.unit();
  const small = (): number => pick(random, [0.5, 0.1, 0.02, 1e-3, 2 ** -10, 3e-4, 1e-6, 1e-9, 1e-12, random.unit()]);
  if (random.below(2) === 0) params.temperature = pick(random, [0.02, 0.1, 0.5, 0.7, 1.3, 2, 10, random.unit() * 2]);
  if (on()) params.topK = pick(random, [1, 2, 5, 40, 100, random.below(500) + 1]);
  if (on()) params.topP = unit(0, 0.5, 0.9, 0.95, 1 - 2 ** -40);
  if (on()) params.minP = unit(0.05, 1, 1e-9);
  if (on()) params.typicalP = unit(0, 0.2, 0.5, 0.95);
  if (on()) params.topNSigma = unit(0.01, 1, 2, 5, 1000);
  if (on()) params.epsilonCutoff = small();
  if (on()) params.etaCutoff = small();
  if (on()) params.topH = unit(0.1, 0.4, 1);
  if (on()) [params.xtcProbability, params.xtcThreshold] = [unit(1, 1), unit(0, 0.1, 0.5, 0.02, 1e-4) / 2];
  if (on()) params.minKeep = pick(random, [1, 2, 3, 10, 1000]);
  if (on()) {
    params.dynatempRange = pick(random, [0.001, 0.5, 1, 3, random.unit()]);
    params.dynatempExponent = pick(random, [0, 0.5, 1, 2, 64, random.unit() * 3]);
    if (random.below(8) === 0) params.temperature = 0;
  }
  if (params.mirostat === undefined && on()) {
    params.mirostat = pick(random, [1, 2] as const);
    params.mirostatTau = pick(random, [0, 1, 3, 5, 8, 64, random.unit() * 10]);
    params.mirostatEta = unit(0, 0.1, 1);
  }
  if (params.mirostat === undefined && on())
    [params.adaptiveP, params.adaptiveDecay] = [unit(0, 0.3, 1), pick(random, [0, 0.5, 0.9, 0.99])];
  const order = pick(random, ["transformers", "vllm", "llama.cpp", "joint", "list", "list"] as const);
  params.order = order === "list" ? randomOrder(random) : order;
  return params;
}
