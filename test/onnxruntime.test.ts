/** generate() behind a model whose logits lie in CPU memory: module and session are stand-ins, so that everything it is fed shows. */
import { describe, expect, test } from "vitest";
import { createSampler } from "../src/index.ts";
import {
  generate,
  type GenerateOptions,
  type OrtModule,
  type OrtSession,
  type OrtTensor,
} from "../src/integrations/onnxruntime.ts";
import { failure } from "./support/failure.ts";
import { batch } from "./support/inputs.ts";
import { floatToHalf } from "./support/oracle.ts";

/** Tokens, and what a row of the model is padded to. */
const [V, WIDTH, STEPS] = [101, 104, 4];

class Tensor implements OrtTensor {
  readonly location = "cpu";
  readonly gpuBuffer = undefined;
  disposed = 0;

  constructor(
    readonly type: string,
    readonly data: ArrayBufferView,
    readonly dims: readonly number[],
  ) {}

  dispose(): void {
    this.disposed++;
  }
}

const ort = { env: { webgpu: { device: undefined } }, Tensor } as unknown as OrtModule;

/** Logits of every step, `[rows, WIDTH]`; the padding is more likely than any token. */
function logitsOf(rows: number, step: number): Float32Array {
  const logits = batch(["flat", "peaked"], WIDTH, rows, step);
  return logits.map((logit, at) => (at % WIDTH < V ? logit : 60_000));
}

/** A model with a cache, which gives the logits of all positions it is fed, in the types that it is asked for. */
function model(type: "float32" | "float16", pack: (halves: Uint16Array) => ArrayBufferView = (halves) => halves) {
  const fed: Record<string, { readonly dims: readonly number[]; readonly values: number[] }>[] = [];
  const made: Tensor[] = [];
  const give = (...given: ConstructorParameters<typeof Tensor>): Tensor => {
    const tensor = new Tensor(...given);
    made.push(tensor);
    return tensor;
  };
  const input = (name: string, type: string, shape: (string | number)[]) => ({ name, isTensor: true, type, shape });
  const session: OrtSession = {
    inputNames: ["input_ids", "attention_mask", "position_ids", "past_key_values.0.key"],
    outputNames: ["logits", "present.0.key"],
    inputMetadata: [
      input("input_ids", "int64", ["batch", "length"]),
      input("attention_mask", "int64", ["batch", "total"]),
      input("position_ids", "int64", ["batch", "length"]),
      input("past_key_values.0.key", type, ["batch", 2, "past", 3]),
    ],
    run: async (feeds: Record<string, Tensor>) => {
      const step = fed.length;
      const values = ({ data }: Tensor): number[] => Array.from(data as BigInt64Array, Number);
      fed.push(
        Object.fromEntries(Object.entries(feeds).map(([name, of]) => [name, { dims: of.dims, values: values(of) }])),
      );
      const [rows, length] = feeds["input_ids"]!.dims as [number, number];
      const all = new Float32Array(rows * length * WIDTH).fill(70_000);
      const last = logitsOf(rows, step);
      for (let row = 0; row < rows; row++) {
        all.set(last.subarray(row * WIDTH, (row + 1) * WIDTH), ((row + 1) * length - 1) * WIDTH);
      }
      const data = type === "float32" ? all : pack(floatToHalf(all));
      const key = type === "float32" ? new Float32Array(rows * 6) : new Uint16Array(rows * 6);
      return {
        logits: give(type, data, [rows, length, WIDTH]),
        "present.0.key": give(type, key, [rows, 2, 1, 3]),
      };
    },
  };
  return { session, fed, made };
}

async function write(session: OrtSession, options: Partial<GenerateOptions>): Promise<number[][]> {
  const steps: number[][] = [];
  const all = { prompt: [3, 4], maxTokens: STEPS, ...options };
  for await (const { tokens } of generate(ort, session, all)) steps.push([...tokens]);
  return steps;
}

/** What the sampler draws from the same logits. */
async function expected(rows: number, type: "float32" | "float16", params: object): Promise<number[][]> {
  const sampler = await createSampler({ vocabSize: V, maxBatch: rows, logitsType: type, engine: "cpu" });
  const steps: number[][] = [];
  for (let step = 0; step < STEPS; step++) {
    const floats = logitsOf(rows, step);
    const data = type === "float32" ? floats : floatToHalf(floats);
    steps.push([...(await sampler.sample({ data, rowStride: WIDTH, rows }, params)).tokens]);
  }
  return steps;
}

const params = { temperature: 1.5, seed: 9n };

describe("logits in CPU memory, padded behind the vocabulary", () => {
  test.each<["float32" | "float16", string, ((halves: Uint16Array) => ArrayBufferView)?]>([
    ["float32", "as numbers"],
    ["float16", "as bits"],
    [
      "float16",
      "as a Float16Array, of which Node has none: somewhere in a buffer",
      (halves) => {
        const all = new Int16Array(halves.length + 3).fill(0x7bff);
        all.set(new Int16Array(halves.buffer), 3);
        return all.subarray(3);
      },
    ],
  ])("%s, %s", async (type, _, pack) => {
    const { session, made } = model(type, pack);
    expect(await write(session, { vocabSize: V, params })).toEqual(await expected(1, type, params));
    expect(new Set((await expected(1, type, params)).flat()).size, "not one token over and over").toBeGreaterThan(1);
    expect(made.map(({ disposed }) => disposed)).toEqual(made.map(() => 1));
  });

  test("without a vocabulary the padding counts", async () => {
    const steps = await write(model("float32").session, { params });
    expect(steps.flat().every((token) => token >= V)).toBe(true);
  });
});

test("shorter rows are filled up on the left with the token that is asked for, masked, and begin at position 0", async () => {
  const { session, fed } = model("float16");
  const prompt = [[3, 4, 5], [6]];
  const steps = await write(session, { prompt, vocabSize: V, params, padToken: 9 });
  expect(steps).toEqual(await expected(2, "float16", params));
  expect(fed[0]).toMatchObject({
    input_ids: { dims: [2, 3], values: [3, 4, 5, 9, 9, 6] },
    attention_mask: { dims: [2, 3], values: [1, 1, 1, 0, 0, 1] },
    position_ids: { dims: [2, 3], values: [0, 1, 2, 0, 0, 0] },
    "past_key_values.0.key": { dims: [2, 2, 0, 3] },
  });
  expect(fed[1]).toMatchObject({
    input_ids: { dims: [2, 1], values: steps[0]! },
    attention_mask: { dims: [2, 4], values: [1, 1, 1, 1, 0, 0, 1, 1] },
    position_ids: { dims: [2, 1], values: [3, 1] },
    "past_key_values.0.key": { dims: [2, 2, 1, 3] },
  });
});

test("several draws of a row are refused, and what the model gave is disposed of", async () => {
  for (const several of [{ draws: 2 }, [{}, { draws: 3 }]]) {
    const { session, made } = model("float32");
    const error = await failure(() => write(session, { prompt: [[1], [2]], params: several }));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toMatch(/draws: expected 1/);
    expect(made.map(({ disposed }) => disposed)).toEqual([1, 1]);
  }
});
