/** What processed logits cost: top-k 50 with one control after the other, beside top-k 50 alone. */
import { createSampler, type Sampler, type SamplingParams } from "../src/index.ts";
import { sampleDifference } from "../test/support/cases.ts";
import { Random } from "../test/support/inputs.ts";
import { MODES, type ModeName } from "./cases.ts";
import type { Contender, Logits, Others } from "./run.ts";

/** Tokens that every row has said, as many as the history holds: drawn ones then push old ones out. */
const SAID = 4096;
/** Every one of them appears about so often. */
const APPEARANCES = 4;

interface Control {
  readonly name: string;
  readonly history: boolean;
  readonly params: (vocab: number, random: Random) => SamplingParams;
}

const CONTROLS: readonly Control[] = [
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
];

/**
 * A contender for every control; each has drawn the reference's tokens before.
 *
 * @throws Error if the tokens differ
 */
export async function prepareControls(
  { vocab, batch, data, device, buffers }: Logits,
  modes: readonly ModeName[],
): Promise<Others> {
  const contenders: Contender[] = [];
  const samplers: Sampler[] = [];
  const tokens = device.createBuffer({ label: "bench.tokens", size: 4 * batch, usage: 0x0080 });
  const view = (index: number): { buffer: GPUBuffer; rows: number } => ({
    buffer: buffers[index % buffers.length]!,
    rows: batch,
  });
  for (const { name, history, params } of modes.includes("top-k") ? CONTROLS : []) {
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
    const call = { ...MODES["top-k"], ...params(vocab, random), seed: 7n };
    const [actual, expected] = [await gpu.sample(view(0), call), await cpu.sample(data, call)];
    const different = sampleDifference(actual, expected);
    if (different !== undefined) throw new Error(`bench: ${name}: ${different}`);
    contenders.push({
      who: `webgpu-token-sampler, ${name}`,
      mode: "top-k",
      record: (encoder, index) => gpu.encode(encoder, { logits: view(index), tokens }, call),
      tokens: (calls) => Promise.all(Array.from({ length: calls }, () => gpu.sample(view(0), call))),
      checkedRows: batch,
    });
  }
  return {
    contenders,
    release: () => {
      for (const sampler of samplers) sampler.destroy();
      tokens.destroy();
    },
  };
}
