/** The examples, run as they are. */
import { env } from "@huggingface/transformers";
import * as ort from "onnxruntime-web/webgpu";
import { afterAll, expect, test, vi } from "vitest";
import { loadModel } from "../../demo/model/load.ts";
import { loop } from "../../examples/onnxruntime-loop.ts";
import { write as writeOnnx } from "../../examples/onnxruntime.ts";
import { stream } from "../../examples/stream.ts";
import { write as writeTransformers } from "../../examples/transformers.ts";
import { engineConfig } from "../../examples/webllm.ts";
import { run } from "../../examples/webgpu.ts";
import { createSampler } from "../../src/index.ts";
import { requestDevice } from "../support/device.ts";

env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = "/demo/model/";
// transformers.js shares ONNX Runtime with the page, and points it at a server on the internet.
env.backends.onnx.wasm!.wasmPaths = "/node_modules/onnxruntime-web/dist/";

const model = await loadModel(ort, "/demo/model/tales");
afterAll(() => model.release());

/** Words that the model knows, one after the other, and not one of them over and over. */
function expectText(text: string, words: number): void {
  const found = text.match(/\p{L}+/gu) ?? [];
  expect(found.length, text).toBeGreaterThanOrEqual(words);
  expect(new Set(found).size, text).toBeGreaterThan(words / 3);
}

test("onnxruntime: writes a tale", async () => {
  const tokens: number[] = [];
  await writeOnnx("/demo/model/tales/onnx/model.onnx", model.encode("Once there was"), (token) => tokens.push(token));
  expectText(model.decode(tokens), 20);
  expect(tokens).not.toContain(model.stopTokens[0]);
});

test("onnxruntime-loop: the same tokens as a stream with the same parameters", async () => {
  const { generate } = await import("../../src/integrations/onnxruntime.ts");
  const ids = model.encode("Once there was");
  const dims = [1, ids.length];
  const empty = model.session.inputNames
    .filter((name) => name.startsWith("past_key_values."))
    .map((name) => [name, new ort.Tensor("float32", new Float32Array(0), [1, 4, 0, 24])] as const);
  const feeds = {
    input_ids: new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), dims),
    attention_mask: new ort.Tensor("int64", new BigInt64Array(ids.length).fill(1n), dims),
    ...Object.fromEntries(empty),
  };
  const tokens = await loop(model.session, feeds, 12);
  const expected: number[] = [];
  const params = { topK: 50, seed: 1n };
  for await (const step of generate(ort, model.session, { prompt: ids, maxTokens: 12, params }))
    expected.push(step.tokens[0]!);
  expect([...tokens]).toEqual(expected);
});

test("transformers: writes a tale", async () => {
  const text = await writeTransformers("tales", "Once there was");
  expect(text).toMatch(/^Once there was/);
  expectText(text, 20);
  expect(await writeTransformers("tales", "Once there was"), "same seed, same text").toBe(text);
});

test("webllm: a registry with a processor for the model", () => {
  const processor = engineConfig("some-model").logitProcessorRegistry.get("some-model")!;
  const logits = processor.processLogits(Float32Array.of(1, 2, 30, 4));
  expect([...logits]).toEqual([-1e9, -1e9, 0, -1e9]);
});

test("webgpu: one command buffer draws what the sampler draws step by step", async () => {
  const device = await requestDevice();
  const [vocabSize, steps] = [5003, 16];
  const tokens = await run(device, steps, vocabSize);
  const sampler = await createSampler({ vocabSize, engine: "cpu" });
  let last = 0;
  for (const token of tokens) {
    const logits = Float32Array.from({ length: vocabSize }, (_, id) => {
      const mixed = Math.imul((Math.imul(last, 2654435761) + id) >>> 0, 2246822519) >>> 0;
      return ((mixed >>> 16) & 1023) / 64;
    });
    const expected = await sampler.sample(logits, { temperature: 0.7, topP: 0.9, seed: 7n });
    expect(token).toBe(expected.tokens[0]);
    last = token;
  }
  expect(new Set(tokens).size).toBeGreaterThan(steps / 2);
  device.destroy();
});

test("stream: any model, with a callback and an abort", async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  const controller = new AbortController();
  const seen: number[] = [];
  const next = async (text: number[]): Promise<Float32Array> =>
    Float32Array.from({ length: 99 }, (_, id) => (id === 0 ? -Infinity : ((id * text.length) % 7) / 2));
  const tokens = stream(next, 99, [1, 2, 3], controller.signal);
  await expect(async () => {
    for await (const {
      tokens: [token],
    } of tokens)
      if (seen.push(token!) === 10) controller.abort();
  }).rejects.toThrow(/abort/);
  expect(seen).toHaveLength(10);
  expect(log).toHaveBeenCalledTimes(10);
  log.mockRestore();
});
