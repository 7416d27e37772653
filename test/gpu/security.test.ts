/** What reaches a shader, and what a shader reaches: no text of the caller's, and no memory outside of what it was given. */
import { describe, expect, test } from "vitest";
import { createSampler, type LogitsType, NO_TOKEN, type SamplerOptions, type SamplingParams } from "../../src/index.ts";
import { FIRST_KERNELS, KERNELS, PROCESSING_KERNELS } from "../../src/webgpu/kernels.ts";
import { type ShaderFlags, shaderSource } from "../../src/webgpu/shader.ts";
import { TUNINGS } from "../../src/webgpu/tuning.ts";
import { bufferOf, compiled, recorded, requestDevice, sharedDevice, wordsOf } from "../support/device.ts";
import { failure } from "../support/failure.ts";
import { Random } from "../support/inputs.ts";

const device = await sharedDevice();
const TYPES: readonly LogitsType[] = ["float32", "float16", "bfloat16"];

describe("what reaches a shader", () => {
  const TEXT = "1u; } @compute @workgroup_size(1) fn other() {";
  const hostile: [string, object][] = [
    ["logitsType", { logitsType: TEXT }],
    ["engine", { engine: TEXT }],
    ["vocabSize", { vocabSize: TEXT }],
    ["maxBatch", { maxBatch: TEXT }],
    ...Object.keys(TUNINGS.gpu).map((name): [string, object] => [`tuning.${name}`, { tuning: { [name]: TEXT } }]),
    ["tuning.other", { tuning: { [TEXT]: 1 } }],
    ["tuning", { tuning: TEXT }],
    ["options", { [TEXT]: 1 }],
  ];
  test.each(hostile)("text for %s is refused before anything is compiled", async (name, options) => {
    const own = await requestDevice();
    const { codes } = recorded(own);
    const all = { vocabSize: 100, device: own, ...options } as SamplerOptions;
    const error = await failure(() => createSampler(all));
    expect(error.constructor).toBeOneOf([TypeError, RangeError]);
    expect(error.message).toContain(name.replace(".other", ""));
    expect(codes).toEqual([]);
    own.destroy();
  });
});

describe("what a shader reaches", () => {
  const SETS: readonly SamplingParams[] = [
    { temperature: 0 },
    { temperature: 3 },
    { temperature: 2, topK: 7 },
    { temperature: 1.5, topK: 300, topP: 0.9 },
    { topP: 0.7, order: "vllm", minP: 0.01 },
    { minP: 0.3, order: "llama.cpp" },
    { repetitionPenalty: 1.3, frequencyPenalty: 0.5, topP: 0.9 },
  ];
  /** For one of the types only, since the kernel takes long to compile. */
  const STAGED: readonly SamplingParams[] = [
    { typicalP: 0.9, repetitionPenalty: 1.2 },
    { mirostat: 2, xtcProbability: 0.5, presencePenalty: 0.1 },
  ];
  const GUARD = 0x5afe_5afe;

  /** Random bits, with runs of what floats have of the extreme. */
  function fill(words: Uint32Array, random: Random): void {
    const extremes = [0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0xffff_ffff, 0, 0x8000_0000, 0x7f7f_ffff, 1];
    for (let at = 0; at < words.length;) {
      const run = 1 + random.below(random.below(8) === 0 ? 200 : 4);
      const extreme = random.below(3) === 0 ? extremes[random.below(extremes.length)] : undefined;
      for (let i = 0; i < run && at < words.length; i++) words[at++] = extreme ?? random.word();
    }
  }

  /** The largest logit of the type everywhere, of which not one may ever be drawn. */
  const poison = (type: LogitsType): number =>
    type === "float32" ? 0x7f7f_ffff : type === "float16" ? 0x7bff_7bff : 0x7f7f_7f7f;

  test.each(TYPES)(
    "%s: whatever bits the logits are, the guard bands around them and around the tokens hold",
    async (type) => {
      const half = type !== "float32";
      for (let round = 0; round < 25; round++) {
        const random = new Random(1000 * TYPES.indexOf(type) + round);
        const vocabSize = 1 + random.below([3, 40, 3000][round % 3]!);
        const rows = 1 + random.below(4);
        const [offset, gap] = [random.below(300), random.below(70)];
        const rowStride = vocabSize + gap;
        const elements = offset + rows * rowStride + random.below(50);
        const words = new Uint32Array(half ? Math.ceil(elements / 2) : elements).fill(poison(type));
        const random32 = new Uint32Array(half ? Math.ceil((vocabSize * rows) / 2) : vocabSize * rows);
        fill(random32, random);
        const [to, from] = half ? [new Uint16Array(words.buffer), new Uint16Array(random32.buffer)] : [words, random32];
        for (let row = 0; row < rows; row++) {
          to.set(from.subarray(row * vocabSize, (row + 1) * vocabSize), offset + row * rowStride);
        }
        const [tokensOffset, tokensType] = [random.below(9), random.below(2) === 0 ? "uint32" : "int64"] as const;
        const width = tokensType === "int64" ? 2 : 1;
        const logits = bufferOf(device, words);
        const tokens = bufferOf(device, new Uint32Array((tokensOffset + rows) * width + 5).fill(GUARD));
        const options = { vocabSize, maxBatch: rows, maxHistory: 16, logitsType: type };
        const one = await createSampler({ ...options, device });
        const cpu = await createSampler({ ...options, engine: "cpu" });
        const data = half ? new Uint16Array(words.buffer) : new Float32Array(words.buffer);
        const mask = Uint32Array.from({ length: Math.ceil(vocabSize / 32) }, () => random.word());
        const sets = [...SETS, { allowedTokens: mask, topK: 9 }, ...(half ? [] : STAGED)];
        for (const [index, set] of sets.entries()) {
          const at = `replay: ${type}, round ${round}, ${JSON.stringify(set)}`;
          const params = { ...set, seed: BigInt(index), position: round };
          const encoder = device.createCommandEncoder();
          one.encode(
            encoder,
            { logits: { buffer: logits, offset, rowStride, rows }, tokens, tokensOffset, tokensType },
            params,
          );
          device.queue.submit([encoder.finish()]);
          const expected = (await cpu.sample({ data, offset, rowStride, rows }, params)).tokens;
          for (const token of expected) expect(token < vocabSize || token === NO_TOKEN, at).toBe(true);
          const band = new Array<number>(tokensOffset * width).fill(GUARD);
          const drawn = [...expected].flatMap((token) => (width === 2 ? [token, 0] : [token]));
          expect([...(await wordsOf(device, tokens))], at).toEqual([
            ...band,
            ...drawn,
            ...new Array<number>(5).fill(GUARD),
          ]);
        }
        expect(await wordsOf(device, logits), "the caller's logits").toEqual(words);
        for (const done of [one, cpu]) done.destroy();
        for (const buffer of [logits, tokens]) buffer.destroy();
      }
    },
  );

  // Last, for what the others have compiled, of this file at least: every type, plain, processed, and with stages.
  test("is made of a handful of texts, chosen by flags, and whole numbers", () => {
    const all = new Set<string>();
    const flags = ["HALF", "BFLOAT", "SUBGROUPS", "PROCESSED", "STAGES"] as const;
    for (const { source, library } of Object.values({ ...KERNELS, ...PROCESSING_KERNELS })) {
      for (let bits = 0; bits < 2 ** flags.length; bits++) {
        const chosen = Object.fromEntries(flags.map((flag, bit) => [flag, ((bits >> bit) & 1) === 1]));
        all.add(shaderSource(source, chosen as unknown as ShaderFlags, library));
      }
    }
    const { codes, constants } = compiled;
    for (const code of codes) expect(all.has(code), code.slice(0, 200)).toBe(true);
    for (const kernel of [...FIRST_KERNELS, ...Object.keys(PROCESSING_KERNELS), "stages"]) {
      expect(
        codes.some((code) => code.includes(`fn ${kernel}_main`)),
        kernel,
      ).toBe(true);
    }
    expect(constants.length).toBeGreaterThan(codes.length);
    for (const constant of constants) expect(constant).toSatisfy(Number.isInteger);
  });
});
