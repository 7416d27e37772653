/**
 * maskLogits and renormalize: both engines give the same bits, in arrays and in buffers. Those of processed and of 16-bit
 * logits are compared in processing.test.ts, those of stages in stages.test.ts, where their kernels are compiled anyway.
 */
import { expect, test } from "vitest";
import { createSampler, type Sampler } from "../../src/index.ts";
import { show } from "../support/cases.ts";
import { bufferOf, COPY_SRC, sharedDevice, STORAGE, wordsOf } from "../support/device.ts";
import { batch, inputNames } from "../support/inputs.ts";
import { floatToHalf, LARGEST_FINITE } from "../support/oracle.ts";

const device = await sharedDevice();
/** Odd, so that rows of float16 share words. */
const vocab = 203;
const rows = inputNames.length;
const logits = batch(inputNames, vocab, rows, 4);

async function pair(extra: object = {}): Promise<{ gpu: Sampler; cpu: Sampler }> {
  const shape = { vocabSize: vocab, maxBatch: rows, ...extra };
  return {
    gpu: await createSampler({ ...shape, device, engine: "webgpu" }),
    cpu: await createSampler({ ...shape, engine: "cpu" }),
  };
}

/** Equal bits, so that -0 is not 0. */
function same(actual: Float32Array | Uint16Array, expected: Float32Array | Uint16Array, label: string): void {
  expect(actual.constructor).toBe(expected.constructor);
  const bits = (values: Float32Array | Uint16Array): ArrayLike<number> =>
    values instanceof Float32Array ? new Uint32Array(values.buffer, values.byteOffset, values.length) : values;
  expect(bits(actual), label).toEqual(bits(expected));
}

test("kept logits and their probabilities are those of candidates", async () => {
  const both = await pair();
  for (const params of [
    {},
    { temperature: 0 },
    { topK: 20 },
    { temperature: 0.8, topP: 0.9 },
    { temperature: 2, minP: 0.05, order: "vllm" },
    { temperature: 0.5, topK: 40, minP: 0.01, order: "llama.cpp" },
  ] as const) {
    const masked = await both.gpu.maskLogits(logits, params);
    const probabilities = await both.gpu.renormalize(logits, params);
    same(masked, await both.cpu.maskLogits(logits, params), show(params));
    same(probabilities, await both.cpu.renormalize(logits, params), show(params));
    const lists = await both.gpu.candidates(logits, params);
    for (const [row, list] of lists.entries()) {
      const expected = new Float32Array(vocab).fill(-Infinity);
      const expectedP = new Float32Array(vocab);
      for (const [index, id] of list.tokens.entries()) {
        expected[id] = Math.min(logits[row * vocab + id]!, LARGEST_FINITE);
        expectedP[id] = list.probabilities[index]!;
      }
      const label = `${inputNames[row]}, ${show(params)}`;
      expect(masked.subarray(row * vocab, (row + 1) * vocab), label).toEqual(expected);
      expect(probabilities.subarray(row * vocab, (row + 1) * vocab), label).toEqual(expectedP);
    }
  }
  both.gpu.destroy();
});

test("sampling what was masked draws the token of sampling with the filters, at a temperature of 1", async () => {
  const { gpu } = await pair();
  for (const filters of [{ topK: 40 }, { topP: 0.8 }, { minP: 0.1 }]) {
    const masked = await gpu.maskLogits(logits, filters);
    const random = { seed: 3n, position: 9 };
    const expected = (await gpu.sample(logits, { ...filters, ...random })).tokens;
    expect((await gpu.sample(masked, random)).tokens, show(filters)).toEqual(expected);
  }
  gpu.destroy();
});

test.each([{}, { __chunk: { rows: 2, bytes: 4000 } }])(
  "%j: into buffers, at an offset and a stride; what lies between stays",
  async (extra) => {
    const { gpu, cpu } = await pair(extra);
    const source = bufferOf(device, logits);
    const [first, stride, sentinel] = [5, vocab + 8, 0x5a5a_5a5a];
    const target = (): GPUBuffer => bufferOf(device, new Uint32Array(first + rows * stride).fill(sentinel));
    const place = { logits: source, outputOffset: first, outputRowStride: stride };
    const outputs = [target(), target(), target()] as const;
    const params = inputNames.map((_, row) => ({ topK: 3 + 5 * row, temperature: 0.5 + row / 10 }));
    const encoder = device.createCommandEncoder();
    gpu.encodeMaskLogits(encoder, { ...place, output: outputs[0] }, params);
    gpu.encodeRenormalize(encoder, { ...place, output: outputs[1] }, params);
    gpu.encodeRenormalize(encoder, { ...place, output: outputs[2], outputType: "float16" }, params);
    device.queue.submit([encoder.finish()]);
    const probabilities = await cpu.renormalize(logits, params);
    const expected = [await cpu.maskLogits(logits, params), probabilities, floatToHalf(probabilities)];
    for (const [index, values] of expected.entries()) {
      const buffer = (await wordsOf(device, outputs[index]!)).buffer as ArrayBuffer;
      const [Type, words] =
        index === 2 ? [Uint16Array, new Uint16Array(values.buffer)] : [Uint32Array, new Uint32Array(values.buffer)];
      const wanted = new Type(buffer.byteLength / Type.BYTES_PER_ELEMENT).fill(sentinel);
      for (let row = 0; row < rows; row++)
        wanted.set(words.subarray(row * vocab, (row + 1) * vocab), first + row * stride);
      expect(new Type(buffer)).toEqual(wanted);
    }
    gpu.destroy();
  },
);

test("float16 logits from odd places into odd places, where rows share words", async () => {
  const { gpu, cpu } = await pair({ logitsType: "float16" });
  const [offset, rowStride, outputOffset, outputRowStride] = [3, vocab + 2, 5, vocab + 4];
  const data = new Uint16Array(offset + rows * rowStride).fill(0x7bff); // the largest there is
  const halves = floatToHalf(logits);
  const expected = new Uint16Array(2 * Math.ceil((outputOffset + rows * outputRowStride) / 2)).fill(0x5a5a);
  const output = bufferOf(device, expected);
  for (let row = 0; row < rows; row++) {
    data.set(halves.subarray(row * vocab, (row + 1) * vocab), offset + row * rowStride);
  }
  const layout = { offset, rowStride, rows };
  const params = inputNames.map((_, row) => ({ topK: 3 + 5 * row }));
  const encoder = device.createCommandEncoder();
  const target = { logits: { buffer: bufferOf(device, data), ...layout }, output, outputOffset, outputRowStride };
  gpu.encodeMaskLogits(encoder, target, params);
  device.queue.submit([encoder.finish()]);
  const masked = await cpu.maskLogits({ data, ...layout }, params);
  for (let row = 0; row < rows; row++) {
    expected.set(masked.subarray(row * vocab, (row + 1) * vocab), outputOffset + row * outputRowStride);
  }
  same(new Uint16Array((await wordsOf(device, output)).buffer), expected, "float16");
  gpu.destroy();
});

test("into a buffer that is larger than one binding", async () => {
  const { gpu, cpu } = await pair();
  const source = bufferOf(device, logits);
  // So far apart that they cannot be bound together.
  const limit = device.limits.maxStorageBufferBindingSize;
  const stride = Math.ceil((limit * 1.2) / (4 * rows));
  const size = 4 * stride * rows;
  const output = device.createBuffer({ size, usage: STORAGE | COPY_SRC });
  const read = bufferOf(device, new Float32Array(vocab * rows));
  const expected = [await cpu.maskLogits(logits, { topK: 7 }), await cpu.renormalize(logits, { topK: 7 })];
  for (const [index, call] of (["encodeMaskLogits", "encodeRenormalize"] as const).entries()) {
    const encoder = device.createCommandEncoder();
    gpu[call](encoder, { logits: source, output, outputRowStride: stride }, { topK: 7 });
    for (let row = 0; row < rows; row++)
      encoder.copyBufferToBuffer(output, 4 * stride * row, read, 4 * vocab * row, 4 * vocab);
    device.queue.submit([encoder.finish()]);
    same(new Float32Array((await wordsOf(device, read)).buffer), expected[index]!, call);
  }
  output.destroy();
  gpu.destroy();
});

test("bad targets are errors that name what is wrong, before anything is recorded", async () => {
  const { gpu, cpu } = await pair();
  const source = bufferOf(device, logits);
  const output = bufferOf(device, new Uint32Array(rows * vocab));
  const encoder = device.createCommandEncoder();
  const target = { logits: source, output };
  expect(() => gpu.encodeMaskLogits(encoder, { ...target, outputOffset: 1 })).toThrow(/^output: .*the buffer has/);
  expect(() => gpu.encodeMaskLogits(encoder, { ...target, outputRowStride: 5 })).toThrow(/^outputRowStride: /);
  expect(() => gpu.encodeRenormalize(encoder, { ...target, outputType: "int8" as "float16" })).toThrow(/^outputType: /);
  expect(() => gpu.encodeMaskLogits(encoder, { ...target, output: source })).toThrow(/^output: expected another/);
  expect(() => gpu.encodeMaskLogits(encoder, { ...target, more: 1 } as typeof target)).toThrow(/^target.more: /);
  expect(() => gpu.encodeRenormalize({} as GPUCommandEncoder, target)).toThrow(/^encoder: /);
  for (const call of ["encodeMaskLogits", "encodeRenormalize"] as const) {
    for (const none of [undefined, null, 7]) {
      expect(() => gpu[call](encoder, none as unknown as typeof target)).toThrow(
        /^target: expected \{ logits, output \}, got (undefined|null|7)/,
      );
    }
  }
  expect(() => gpu.encodeMaskLogits(encoder, target, { topP: 2 })).toThrow(/params.topP/);
  expect(() => cpu.encodeMaskLogits(encoder, target)).toThrow(/needs the "webgpu" engine/);
  await expect(gpu.maskLogits(logits, { minP: 7 })).rejects.toThrow(/params.minP/);
  gpu.destroy();
  expect(() => gpu.encodeMaskLogits(encoder, undefined as unknown as typeof target)).toThrow(/was destroyed/);
});
