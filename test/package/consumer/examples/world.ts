/**
 * What the examples of the documentation take for granted. A name that an example uses and does not declare is imported
 * from here; a test says so when there is none. All examples run in one page and share this.
 */
import { createSampler, type Sampler, type SamplingParams } from "webgpu-token-sampler";

export { createSampler } from "webgpu-token-sampler";
export { philox4x32, planRow, sampleRow } from "webgpu-token-sampler/reference";

export const vocabSize = 1000;
/** Sequences that grow at the same time, and positions of each in the model's logits. */
export const [batch, rows, sequence, lastPosition] = [8, 8, 4, 3];

export const logits: Float32Array = Float32Array.from({ length: 3 * vocabSize }, (_, at) => ((at * 7919) % 1009) / 128);

const refused: string[] = [];
const adapter = await navigator.gpu.requestAdapter();
export const device: GPUDevice = await adapter!.requestDevice();
device.addEventListener("uncapturederror", ({ error }) => refused.push(error.message));
export const sampler: Sampler = await createSampler({
  vocabSize,
  maxBatch: batch * sequence,
  maxHistory: 64,
  device,
});
export const params: SamplingParams = { temperature: 0.8, topP: 0.9, seed: 7n };

/** What is known beside the logits. */
export const endOfText = 2;
export const [promptTokens, acceptedTokens] = [
  [5, 6, 7],
  [8, 9],
];
export const grammarMask: Uint32Array = new Uint32Array(Math.ceil(vocabSize / 32)).fill(0x5555_5555);

export const logitsBuffer: GPUBuffer = device.createBuffer({ size: 4 * vocabSize * batch * sequence, usage: 0x88 });
export const tokenBuffer: GPUBuffer = device.createBuffer({ size: 8 * batch * sequence, usage: 0x88 });
export const inputIds: GPUBuffer = device.createBuffer({ size: 8 * batch * sequence, usage: 0x88 });

/** Room for whole rows. */
const room = { size: 4 * vocabSize * batch * sequence, usage: 0x88 };
export const [maskedBuffer, probabilityBuffer] = [device.createBuffer(room), device.createBuffer(room)];

export const encoder: GPUCommandEncoder = device.createCommandEncoder();

/** A model whose logits are what the buffer holds. */
export const model = {
  encodeStep(encoder: GPUCommandEncoder, buffers: { tokens: GPUBuffer; logits: GPUBuffer }): void {
    encoder.clearBuffer(buffers.logits, 0, 0);
  },
};

export const { tokens, status } = await sampler.sample(logits, params);
export const texts: number[][] = [[], [], []];
export const append = (row: number, token: number): unknown => texts[row]?.push(token);
export const finish = (row: number, why: string | undefined): void => console.log(`row ${row}: ${why}`);

/** Waits for the work of an example. */
export async function settled(): Promise<void> {
  await device.queue.onSubmittedWorkDone();
  if (refused.length > 0) throw new Error(`the GPU refused: ${refused.splice(0).join("\n")}`);
}
