/** The processor, called as WebLLM calls it. Its model library is not here: see docs/integrations.md. */
import { describe, expect, test } from "vitest";
import { createSampler, type SamplingParams } from "../../src/index.ts";
import { type LogitProcessor, logitProcessor } from "../../src/integrations/webllm.ts";
import { batch } from "../support/inputs.ts";

const [V, STEPS] = [1003, 20];
const logits = batch(["flat", "peaked"], V, STEPS, 5);
const params: SamplingParams = { temperature: 0.9, topP: 0.95, seed: 12n };

/**
 * What the chat loop does with a processor: logits to the CPU, the processor, bias and penalties, softmax at its own
 * temperature, a draw by its own top-p. `u` stands for its random number.
 */
function chatStep(processor: LogitProcessor, row: Float32Array, u: number, temperature = 1): number {
  const processed = processor.processLogits(row.slice());
  for (let id = 0; id < processed.length; id++) processed[id]! += id % 3 === 0 ? 100 : -100; // logit_bias at its limits
  const largest = processed.reduce((a, b) => Math.max(a, b));
  const weights = processed.map((z) => Math.exp((z - largest) / temperature));
  const sum = weights.reduce((a, b) => a + b);
  let rest = u * sum;
  const token = weights.findIndex((weight) => (rest -= weight) < 0);
  processor.processSampledToken(token);
  return token;
}

const row = (step: number): Float32Array => logits.subarray(step * V, (step + 1) * V);

describe("in the chat loop", () => {
  test("the loop returns what the sampler draws, whatever bias, temperature and random number it has", async () => {
    const sampler = await createSampler({ vocabSize: V, engine: "cpu" });
    const processor = logitProcessor(params);
    for (let step = 0; step < STEPS; step++) {
      const { tokens } = await sampler.sample(row(step), params);
      expect(chatStep(processor, row(step), step / STEPS, step % 2 === 0 ? 1e-6 : 2)).toBe(tokens[0]);
    }
    sampler.destroy();
  });

  test("after resetState the same prompt gives the same text; without it the text goes on", () => {
    const processor = logitProcessor({ seed: 3 });
    const text = (): number[] => Array.from({ length: STEPS }, (_, step) => chatStep(processor, row(step), 0.5));
    const first = text();
    const second = text();
    processor.resetState();
    expect(text()).toEqual(first);
    expect(text()).toEqual(second);
    expect(second).not.toEqual(first);
  });

  test("a step that is thrown away before its token is taken does not count", () => {
    const [one, other] = [logitProcessor({ seed: 3 }), logitProcessor({ seed: 3 })];
    one.processLogits(row(0).slice());
    expect(chatStep(one, row(0), 0)).toBe(chatStep(other, row(0), 0));
  });

  test("position is where the count begins", async () => {
    const sampler = await createSampler({ vocabSize: V, engine: "cpu" });
    const processor = logitProcessor({ ...params, position: 40 });
    for (let step = 0; step < 5; step++) {
      const { tokens } = await sampler.sample(row(step), { ...params, position: 40 + step });
      expect(chatStep(processor, row(step), 0)).toBe(tokens[0]);
    }
  });
});

test("penalties look back at what was written since resetState", async () => {
  const penalties: SamplingParams = { temperature: 0, repetitionPenalty: 2, presencePenalty: 3 };
  const sampler = await createSampler({ vocabSize: V, maxHistory: 64, engine: "cpu" });
  const processor = logitProcessor(penalties);
  for (let round = 0; round < 2; round++) {
    for (let step = 0; step < 6; step++) {
      const { tokens } = await sampler.sample(row(1), penalties);
      expect(chatStep(processor, row(1), 0)).toBe(tokens[0]);
    }
    sampler.history.reset();
    processor.resetState();
  }
});

test("Mirostat learns from the tokens since resetState, each of them once", async () => {
  const mirostat: SamplingParams = { mirostat: 2, mirostatTau: 2, mirostatEta: 0.5, seed: 5n };
  const sampler = await createSampler({ vocabSize: V, engine: "cpu" });
  const processor = logitProcessor(mirostat);
  for (let round = 0; round < 2; round++) {
    for (let step = 0; step < 8; step++) {
      const { tokens } = await sampler.sample(row(step), { ...mirostat, position: step });
      processor.processLogits(row(step).slice()); // thrown away
      expect(chatStep(processor, row(step), 0), `step ${step}`).toBe(tokens[0]);
    }
    expect((await sampler.state.read(0)).mirostat).not.toBe(0);
    sampler.state.reset();
    processor.resetState();
  }
});

test("padding behind the vocabulary is never sampled, however likely", () => {
  const padded = new Float32Array(V + 29).fill(50);
  padded.set(row(0));
  const processed = logitProcessor({ temperature: 0 }, { vocabSize: V }).processLogits(padded);
  expect(processed.indexOf(0)).toBe(row(0).indexOf(row(0).reduce((a, b) => Math.max(a, b))));
  expect(processed.filter((z) => z === 0)).toHaveLength(1);
  expect(processed.every((z) => z === 0 || z === -1e9)).toBe(true);
});

test("bad arguments and rows without a candidate are errors", () => {
  expect(() => logitProcessor({ topP: 2 }).processLogits(row(0).slice())).toThrow(/params\.topP: /);
  expect(() => logitProcessor({ entropy: true }).processLogits(row(0).slice())).toThrow(
    /params\.entropy: .*no numbers about tokens, got true/,
  );
  expect(() => logitProcessor({}, { vocabSize: V + 1 }).processLogits(row(0).slice())).toThrow(/^vocabSize: /);
  expect(() => logitProcessor().processLogits(new Float32Array(5).fill(-Infinity))).toThrow(/every logit is -inf/);
  expect(() => logitProcessor().processLogits(new Float32Array(5).fill(NaN))).toThrow(/its logits are NaN/);
});
