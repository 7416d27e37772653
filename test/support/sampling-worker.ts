/** A sampler in a worker: samples the same logits so many times. */
import { createSampler, type SamplingParams } from "../../src/index.ts";

interface Task {
  readonly vocabSize: number;
  readonly rows: number;
  readonly logits: Float32Array;
  readonly params: SamplingParams;
  readonly calls: number;
}

let device: GPUDevice | undefined;

addEventListener("message", ({ data }: MessageEvent<Task>) => void answer(data).catch(reportError));

async function answer({ vocabSize, rows, logits, params, calls }: Task): Promise<void> {
  const adapter = await navigator.gpu.requestAdapter();
  device ??= await adapter!.requestDevice();
  const sampler = await createSampler({ vocabSize, maxBatch: rows, device, engine: "webgpu" });
  const results = await Promise.all(Array.from({ length: calls }, () => sampler.sample(logits, params)));
  sampler.destroy();
  postMessage(
    results.map(({ tokens }) => tokens),
    { transfer: [] },
  );
}
