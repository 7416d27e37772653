import * as ort from "onnxruntime-web/webgpu";
import { generate } from "webgpu-token-sampler/onnxruntime";

/** Writes a text with any causal language model in ONNX; logits and tokens stay on the GPU from step to step. */
export async function write(model: string, prompt: number[], say: (token: number) => void): Promise<void> {
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ["webgpu"],
    preferredOutputLocation: "gpu-buffer",
  });
  const params = { temperature: 0.8, topP: 0.9, seed: 7n };
  const options = { prompt, params, maxTokens: 60, stopTokens: [0], fetchEvery: 4 };
  for await (const { tokens } of generate(ort, session, options)) say(tokens[0]!);
  await session.release();
}
