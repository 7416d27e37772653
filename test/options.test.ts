/** Options of the entries behind models: what is wrong with them is said at once, by its name. */
import { expect, test } from "vitest";
import { createOrtSampler, generate, type OrtModule, type OrtSession } from "../src/integrations/onnxruntime.ts";
import { logitsProcessor } from "../src/integrations/transformers.ts";
import { logitProcessor } from "../src/integrations/webllm.ts";
import { createSampler } from "../src/sampler.ts";
import { failure } from "./support/failure.ts";

const any = (value: unknown): never => value as never;
const ort = {} as OrtModule;
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
    /^prompt: .* in row 0, got Array/,
  ],
  ["onnxruntime: no options", () => createOrtSampler(ort, any(undefined)), /^options: expected an object/],
  ["onnxruntime: unknown", () => createOrtSampler(ort, any({ vocabSize: 3, rows: 2 })), /^options\.rows: unknown/],
])("%s", async (_, call, message) => {
  const error = await failure(async () => call());
  expect(error.name).toMatch(/^(TypeError|RangeError)$/);
  expect(error.message).toMatch(message);
});

test("nobody is told of what is there for tests", async () => {
  const error = await failure(() => createSampler(any({ vocabSize: 5, chunk: 1 })));
  expect(error.message).toBe(
    "options.chunk: unknown name; known are vocabSize, maxBatch, device, engine, logitsType, maxHistory, tuning",
  );
});
