/** Options of the entries behind models: what is wrong with them is said at once, by its name. */
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import {
  createOrtSampler,
  generate,
  type OrtModule,
  OrtSampler,
  type OrtSession,
} from "../src/integrations/onnxruntime.ts";
import { logitsProcessor } from "../src/integrations/transformers.ts";
import { logitProcessor } from "../src/integrations/webllm.ts";
import { createSampler } from "../src/sampler.ts";
import { failure } from "./support/failure.ts";

const any = (value: unknown): never => value as never;
const ort = {} as OrtModule;
const device = { createBuffer: () => {}, limits: { maxBufferSize: 2 ** 28 } };
const withDevice = { env: { webgpu: { device } } } as unknown as OrtModule;
const session = { inputNames: [] } as unknown as OrtSession;

test.each<[string, () => unknown, RegExp]>([
  ["transformers: unknown", () => logitsProcessor({}, any({ pad_token_id: 0 })), /^options\.pad_token_id: unknown/],
  ["transformers: a fraction", () => logitsProcessor({}, { padTokenId: 0.5 }), /^padTokenId: .*token id, got 0\.5/],
  ["transformers: below 0", () => logitsProcessor({}, { padTokenId: -1 }), /^padTokenId: .*got -1/],
  ["transformers: none", () => logitsProcessor({}, any(null)), /^options: expected an object, got null/],
  ["webllm: unknown", () => logitProcessor({}, any({ vocab: 5 })), /^options\.vocab: unknown/],
  ["generate: no options", () => generate(ort, session, any(undefined)), /^options: expected an object, got undefined/],
  ["generate: no prompt", () => generate(ort, session, any({ maxTokens: 1 })), /^prompt: .* in row 0, got undefined/],
  [
    "generate: a typed array",
    () => generate(ort, session, any({ prompt: new Uint32Array(2) })),
    /^prompt: .*Uint32Array/,
  ],
  [
    "generate: a prompt with a hole",
    // oxlint-disable-next-line no-sparse-arrays
    () => generate(ort, session, any({ prompt: [1, , 2], maxTokens: 1 })),
    /^prompt: expected token ids in row 0, got undefined in place 1/,
  ],
  [
    "generate: fetchEvery without a cache",
    () => generate(ort, session, any({ prompt: [1], maxTokens: 1, fetchEvery: 0 })),
    /^fetchEvery: expected an integer, 1 or more, got 0/,
  ],
  [
    "onnxruntime: more steps than a buffer holds",
    () => createOrtSampler(withDevice, { vocabSize: 5, maxBatch: 2, keep: 2 ** 40 }),
    /^keep: 1099511627776 steps of 2 row\(s\) take 8796093022208 bytes, but the device's maxBufferSize is 268435456$/,
  ],
  ["onnxruntime: no options", () => createOrtSampler(ort, any(undefined)), /^options: expected an object/],
  ["onnxruntime: unknown", () => createOrtSampler(ort, any({ vocabSize: 3, rows: 2 })), /^options\.rows: unknown/],
])("%s", async (_, call, message) => {
  const error = await failure(async () => call());
  expect(error.name).toMatch(/^(TypeError|RangeError)$/);
  expect(error.message).toMatch(message);
});

test("a logits processor says which tensors it takes", () => {
  const process = logitsProcessor({ seed: 1 });
  const logits = (data: unknown, ...dims: number[]): never => any({ data, dims });
  for (const data of [new Uint16Array(5), new Float64Array(5), [0, 0, 0, 0, 0]]) {
    expect(() => process([[1n]], logits(data, 1, 5))).toThrow(/^logits: expected a float32 tensor, got (Ui|Fl|Ar)/);
  }
  for (const [length, ids] of [
    [4, [[1n]]],
    [6, [[1n]]],
    [5, [[1n], [2n]]],
    [10, [[1n]]],
  ] as const) {
    const given = logits(new Float32Array(length), 1, 5);
    expect(() => process(ids, given)).toThrow(
      new RangeError(`logits: expected [${ids.length}, 5], one row for each of input_ids, got ${length} logits`),
    );
  }
});

test("nobody is told of what is there for tests", async () => {
  const error = await failure(() => createSampler(any({ vocabSize: 5, chunk: 1 })));
  expect(error.message).toBe(
    "options.chunk: unknown name; known are vocabSize, maxBatch, device, engine, logitsType, maxHistory, tuning",
  );
});

test("what can be read counts, in options and in what they hold, through all steps", async () => {
  class Tensor {
    readonly location = "cpu";
    constructor(
      readonly type: string,
      readonly data: unknown,
      readonly dims: readonly number[],
    ) {}
    dispose(): void {}
  }
  const model = {
    inputNames: ["input_ids"],
    inputMetadata: [{ name: "input_ids" }],
    run: async () => ({ logits: new Tensor("float32", new Float32Array(5), [1, 5]) }),
  };
  const params: unknown = Object.create({ forcedToken: 2, position: 0 });
  const inherited = { prompt: [1], params, maxTokens: 3, onStep: ({ step }: { step: number }) => seen.push(step) };
  const seen: number[] = [];
  const written: number[] = [];
  const stream = generate({ Tensor } as unknown as OrtModule, any(model), any(Object.create(inherited)));
  for await (const { tokens } of stream) written.push(...tokens);
  expect([written, seen]).toEqual([
    [2, 2, 2],
    [0, 1, 2],
  ]);

  const settings = Object.assign(Object.create({ forced_token: 3 }), { temperature: 0 }) as object;
  // A page's test environment may have arrays of its own.
  const logits = { dims: [1, 5], data: runInNewContext("new Float32Array(5)") as Float32Array };
  logitsProcessor(settings)([[1n]], logits);
  expect([...logits.data]).toEqual([-Infinity, -Infinity, -Infinity, 0, -Infinity]);
});

test.each<[string, boolean, RegExp]>([
  ["on a device that is lost meanwhile", true, /^the device was lost$/],
  ["for another reason", false, /^webgpu-token-sampler: the tokens could not be read back\. AbortError/],
])("a fetch that fails %s says so", async (_, isLost, message) => {
  let gone = false;
  let lose = (): void => {};
  const buffer = { mapAsync: () => Promise.reject(new DOMException("", "AbortError")), destroy: () => {} };
  const device = {
    lost: new Promise<void>((resolve) => (lose = resolve)),
    queue: { submit: () => {} },
    createBuffer: () => buffer,
    createCommandEncoder: () => ({ copyBufferToBuffer: () => {}, finish: () => {} }),
  };
  const sampler = {
    maxBatch: 1,
    vocabSize: 5,
    logitsType: "float32",
    encode: () => {},
    usable: () => {
      if (gone) throw new Error("the device was lost");
    },
  };
  const one = OrtSampler.create(any({ Tensor: { fromGpuBuffer: () => {} } }), any(device), any(sampler), 1);
  one.sample(any({ location: "gpu-buffer", type: "float32", dims: [1, 5] }));
  const fetched = failure(() => one.fetch());
  setTimeout(() => {
    gone = isLost;
    if (isLost) lose();
  }, 20);
  expect((await fetched).message).toMatch(message);
  if (isLost) expect(() => one.sample(any({}))).toThrow(message);
});
