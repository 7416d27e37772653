/** A strict program with WebGPU types: the package takes and gives the program's own. */
import { createSampler, type Sampler } from "webgpu-token-sampler";

export async function run(device: GPUDevice, logits: GPUBuffer, tokens: GPUBuffer): Promise<Sampler> {
  const sampler = await createSampler({ vocabSize: 5, device });
  const encoder: GPUCommandEncoder = device.createCommandEncoder();
  sampler.encode(encoder, { logits: { buffer: logits, rows: 1 }, tokens, tokensType: "int64" }, { topK: 3 });
  device.queue.submit([encoder.finish()]);
  await sampler.sample(logits);
  // @ts-expect-error: a texture is not a buffer
  await sampler.sample(device.createTexture({ size: [1], format: "r32float", usage: 1 }));
  // @ts-expect-error: a queue is not a device
  await createSampler({ vocabSize: 5, device: device.queue });
  return sampler;
}
