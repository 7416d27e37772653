import { logitProcessor } from "webgpu-token-sampler/webllm";

/** What `CreateMLCEngine(model, config)` of WebLLM takes as its second argument. */
export function engineConfig(model: string): {
  logitProcessorRegistry: Map<string, ReturnType<typeof logitProcessor>>;
} {
  const processor = logitProcessor({ temperature: 0.8, topK: 50, minP: 0.05, seed: 7n });
  return { logitProcessorRegistry: new Map([[model, processor]]) };
}
