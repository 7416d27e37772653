import { createSampler } from "webgpu-token-sampler";

/** Stands for a model: the logits of the next token are a function of the last one. */
const MODEL = `
@group(0) @binding(0) var<storage, read> token: array<u32>;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
override VOCAB: u32;
@compute @workgroup_size(64) fn model(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= VOCAB) { return; }
  let mixed = (token[0] * 2654435761u + id.x) * 2246822519u;
  logits[id.x] = f32((mixed >> 16u) & 1023u) / 64.0;
}`;

/** Model and sampler, `steps` times, in one command buffer; the tokens are fetched once, at the end. */
export async function run(device: GPUDevice, steps: number, vocabSize = 32_000): Promise<Uint32Array> {
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const token = device.createBuffer({ size: 4, usage: STORAGE | COPY_SRC });
  const logits = device.createBuffer({ size: 4 * vocabSize, usage: STORAGE });
  const text = device.createBuffer({ size: 4 * steps, usage: COPY_DST | MAP_READ });
  const module = device.createShaderModule({ code: MODEL });
  const compute = { module, constants: { VOCAB: vocabSize } };
  const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute });
  const entries = [token, logits].map((buffer, binding) => ({ binding, resource: { buffer } }));
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const sampler = await createSampler({ vocabSize, device });

  const encoder = device.createCommandEncoder();
  for (let step = 0; step < steps; step++) {
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(Math.ceil(vocabSize / 64));
    pass.end();
    sampler.encode(encoder, { logits, tokens: token }, { temperature: 0.7, topP: 0.9, seed: 7n });
    encoder.copyBufferToBuffer(token, 0, text, 4 * step, 4);
  }
  device.queue.submit([encoder.finish()]);

  await text.mapAsync(GPUMapMode.READ);
  const tokens = new Uint32Array(text.getMappedRange()).slice();
  sampler.destroy();
  for (const buffer of [token, logits, text]) buffer.destroy();
  return tokens;
}
