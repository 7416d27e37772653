import { expect, test } from "vitest";
import { createSampler } from "../../src/index.ts";
import { batch, inputNames } from "../support/inputs.ts";

test("both engines are there, and agree on a first batch", async () => {
  const shape = { vocabSize: 1000, maxBatch: inputNames.length };
  const gpu = await createSampler({ ...shape, engine: "webgpu" });
  const cpu = await createSampler({ ...shape, engine: "cpu" });
  const logits = batch(inputNames, shape.vocabSize, shape.maxBatch, 1);
  const params = { temperature: 0.8, topK: 50, topP: 0.95, seed: 7n };
  expect(await gpu.sample(logits, params)).toEqual(await cpu.sample(logits, params));
  gpu.destroy();
});
