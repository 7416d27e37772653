/**
 * What controls, outputs, further draws, lists of candidates and whole rows cost: top-k 50, or no filter, with one after the
 * other, beside the mode alone.
 */
import { createSampler, type Sampler, type SamplingParams } from "../src/index.ts";
import { candidatesDifference, sampleDifference } from "../test/support/cases.ts";
import { Random } from "../test/support/inputs.ts";
import { MODES, type ModeName } from "./cases.ts";
import type { Record as Recording } from "./clock.ts";
import { Readback } from "./readback.ts";
import type { Contender, Logits, Others } from "./run.ts";

/** Tokens that every row has said, as many as the history holds: drawn ones then push old ones out. */
const SAID = 4096;
/** Every one of them appears about so often. */
const APPEARANCES = 4;

interface Control {
  readonly name: string;
  readonly history: boolean;
  readonly params: (vocab: number, random: Random) => SamplingParams;
  /** The mode that it is added to. Default "top-k". */
  readonly mode?: ModeName;
}

/** Stages at usual settings: behind top-k 50, where they see few tokens, and alone, where they see the row. */
const STAGES: Readonly<Record<string, SamplingParams>> = {
  "locally typical, 0.95": { typicalP: 0.95 },
  "top-nσ, 1": { topNSigma: 1 },
  "epsilon, 3e-4": { epsilonCutoff: 3e-4 },
  "eta, 3e-4": { etaCutoff: 3e-4 },
  "top-H, 0.5": { topH: 0.5 },
  "XTC, always, 0.1": { xtcProbability: 1, xtcThreshold: 0.1 },
  "dynamic temperature, ±0.5": { dynatempRange: 0.5 },
  "Mirostat 1": { mirostat: 1 },
  "Mirostat 2": { mirostat: 2 },
  "min-p 0.05 and adaptive-p": { minP: 0.05, adaptiveP: 0.5 },
  "top-p 0.9, then top-k 50": { topP: 0.9, order: ["temperature", "topP", "topK"] },
};

/** What can be asked for besides tokens. It comes back to the host, so only the time until it is there is measured. */
const OUTPUTS: Readonly<Record<string, SamplingParams>> = {
  "raw log probabilities": { logprobs: "raw" },
  "5 most probable": { topLogprobs: 5 },
  "20 most probable, raw": { topLogprobs: 20, logprobs: "raw" },
  ranks: { rank: true },
  entropies: { entropy: true },
};

const MOST_DRAWS = 8;
const DRAWS: Readonly<Record<string, SamplingParams>> = {
  "8 draws": { draws: MOST_DRAWS },
  "8 draws, all different": { draws: MOST_DRAWS, replacement: false },
};

export const CONTROLS: readonly Control[] = [
  { name: "2,000 for the 50", history: false, params: () => ({ topK: 2000 }) },
  {
    name: "mask, 1 in 2 allowed",
    history: false,
    params: (vocab, random) => ({
      allowedTokens: Uint32Array.from({ length: Math.ceil(vocab / 32) }, () => random.word()),
    }),
  },
  {
    name: "bias of 100 tokens",
    history: false,
    params: (vocab, random) => ({
      logitBias: new Map(Array.from({ length: 100 }, () => [random.below(vocab), random.unit()])),
    }),
  },
  { name: `history of ${SAID}, appended to only`, history: true, params: () => ({}) },
  {
    name: `three penalties over ${SAID}`,
    history: true,
    params: () => ({ repetitionPenalty: 1.1, frequencyPenalty: 0.1, presencePenalty: 0.1 }),
  },
  {
    name: "three penalties over the last 64",
    history: true,
    params: () => ({ repetitionPenalty: 1.1, frequencyPenalty: 0.1, presencePenalty: 0.1, penaltyWindow: 64 }),
  },
  { name: `no repeated 3-grams in ${SAID}`, history: true, params: () => ({ noRepeatNgramSize: 3 }) },
  { name: `DRY over ${SAID}`, history: true, params: () => ({ dry: { multiplier: 0.8 } }) },
  ...(["top-k", "none"] as const).flatMap((mode) =>
    Object.entries({ ...STAGES, ...OUTPUTS, ...DRAWS })
      .filter(([, { order }]) => mode === "top-k" || order === undefined)
      .map(([name, params]): Control => ({ name, history: false, params: () => params, mode })),
  ),
];

/**
 * A contender for every control; each has drawn the reference's tokens before.
 *
 * @throws Error if the tokens differ
 */
export async function prepareControls(
  { vocab, batch, data, device, copies }: Logits,
  modes: readonly ModeName[],
): Promise<Others> {
  const contenders: Contender[] = [];
  const samplers: Sampler[] = [];
  const usage = 0x0080 | 0x0008 | 0x0004;
  const tokens = device.createBuffer({ label: "bench.tokens", size: 4 * batch * MOST_DRAWS, usage });
  const output = device.createBuffer({ label: "bench.output", size: 4 * batch * vocab, usage });
  const readback = new Readback(device);
  const next = (): { buffer: GPUBuffer; rows: number } => ({ buffer: copies.next(), rows: batch });
  for (const { name, history, params, mode = "top-k" } of CONTROLS) {
    if (!modes.includes(mode)) continue;
    const shape = { vocabSize: vocab, maxBatch: batch, maxHistory: history ? SAID : 0 };
    const gpu = await createSampler({ ...shape, device });
    const cpu = await createSampler({ ...shape, engine: "cpu" });
    samplers.push(gpu, cpu);
    const random = new Random(11);
    if (history) {
      for (let row = 0; row < batch; row++) {
        const words = Array.from({ length: SAID / APPEARANCES }, () => random.below(vocab));
        const said = Array.from({ length: SAID }, () => words[random.below(words.length)]!);
        for (const sampler of [gpu, cpu]) sampler.history.set(row, said.slice(0, SAID / 2), said.slice(SAID / 2));
      }
    }
    const call = { ...MODES[mode], ...params(vocab, random), seed: 7n };
    const [actual, expected] = [await gpu.sample(next(), call), await cpu.sample(data, call)];
    const different = sampleDifference(actual, expected);
    if (different !== undefined) throw new Error(`bench: ${name}: ${different}`);
    const record: Recording | undefined =
      name in OUTPUTS ? undefined : (encoder) => gpu.encode(encoder, { logits: next(), tokens }, call);
    if (record !== undefined) {
      const { tokens: after } = await cpu.sample(data, call);
      refuseDifference(`${name}, encode`, await readback.recorded(record, tokens, after.length), after);
    }
    contenders.push({
      who: `webgpu-token-sampler, ${name}`,
      mode,
      ...(record && { record }),
      tokens: (calls) => Promise.all(Array.from({ length: calls }, () => gpu.sample(next(), call))),
      checkedRows: batch,
    });
  }
  const [gpu, cpu] = [
    await createSampler({ vocabSize: vocab, maxBatch: batch, device }),
    await createSampler({ vocabSize: vocab, maxBatch: batch, engine: "cpu" }),
  ];
  samplers.push(gpu, cpu);
  for (const mode of modes.filter((name) => name === "top-k" || name === "none")) {
    const call = { ...MODES[mode], seed: 7n };
    const different = candidatesDifference(await gpu.candidates(next(), call), await cpu.candidates(data, call));
    if (different !== undefined) throw new Error(`bench: candidates: ${different}`);
    contenders.push({
      who: "webgpu-token-sampler, candidates",
      mode,
      tokens: (calls) => Promise.all(Array.from({ length: calls }, () => gpu.candidates(next(), call))),
      checkedRows: batch,
    });
    for (const [name, write, encode] of [
      ["masked logits", "maskLogits", "encodeMaskLogits"],
      ["renormalised probabilities", "renormalize", "encodeRenormalize"],
    ] as const) {
      const [actual, expected] = [await gpu[write](next(), call), await cpu[write](data, call)];
      refuseDifference(name, actual, expected);
      const record: Recording = (encoder) => gpu[encode](encoder, { logits: next(), output }, call);
      const written = await readback.recorded(record, output, expected.length);
      refuseDifference(`${name}, encode`, new Float32Array(written.buffer), expected);
      contenders.push({ who: `webgpu-token-sampler, ${name}`, mode, record, checkedRows: batch });
    }
  }
  return {
    contenders,
    release: () => {
      for (const sampler of samplers) sampler.destroy();
      readback.destroy();
      tokens.destroy();
      output.destroy();
    },
  };
}

/** @throws Error that says where two series of numbers differ first */
function refuseDifference(name: string, actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  for (let place = 0; place < expected.length; place++) {
    if (Object.is(actual[place], expected[place])) continue;
    throw new Error(`bench: ${name}: ${actual[place]} in place ${place}, expected ${expected[place]}`);
  }
}
