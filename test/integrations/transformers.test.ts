/** The processor inside generate() of transformers.js, with the model of the demos from local files. */
import { AutoModelForCausalLM, AutoTokenizer, env, LogitsProcessorList, type Tensor } from "@huggingface/transformers";
import { beforeAll, describe, expect, test } from "vitest";
import { createSampler, type SamplingParams } from "../../src/index.ts";
import { logitsProcessor, type LogitsTensor } from "../../src/integrations/transformers.ts";

env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = "/demo/model/";
env.backends.onnx.wasm!.wasmPaths = "/node_modules/onnxruntime-web/dist/";
env.backends.onnx.wasm!.numThreads = 1;

let model: Awaited<ReturnType<typeof AutoModelForCausalLM.from_pretrained>>;
let tokenizer: Awaited<ReturnType<typeof AutoTokenizer.from_pretrained>>;

beforeAll(async () => {
  tokenizer = await AutoTokenizer.from_pretrained("tales");
  model = await AutoModelForCausalLM.from_pretrained("tales", { dtype: "fp32", device: "wasm" });
});

/** What a processor does; the list calls any function. */
type Process = <T extends LogitsTensor>(ids: readonly (readonly bigint[])[], logits: T) => T;

interface Step {
  /** Tokens of each row before the step. */
  readonly lengths: number[];
  readonly logits: Float32Array;
}

/** Writes down what the processors after it get. */
function spy(): { steps: Step[]; processor: Process } {
  const steps: Step[] = [];
  return {
    steps,
    processor: (ids, logits) => {
      steps.push({ lengths: ids.map((row) => row.length), logits: (logits.data as Float32Array).slice() });
      return logits;
    },
  };
}

/** The new tokens of every row. */
async function generate(
  prompt: string | string[],
  processors: readonly Process[],
  options: object = {},
): Promise<number[][]> {
  const inputs = tokenizer(prompt, { padding: true }) as { input_ids: Tensor };
  const list = new LogitsProcessorList();
  list.extend(processors as never);
  const output = (await model.generate({
    ...inputs,
    max_new_tokens: 12,
    do_sample: false,
    eos_token_id: 999_999, // so that a row's text is as long as asked for
    logits_processor: list,
    ...options,
  })) as unknown as Tensor;
  const start = inputs.input_ids.dims[1]!;
  return (output.tolist() as bigint[][]).map((row) => row.slice(start).map(Number));
}

/** What the sampler draws from logits that were written down. */
async function expected(
  steps: readonly Step[],
  params: readonly SamplingParams[],
  skip: readonly number[] = [],
): Promise<number[][]> {
  const vocabSize = steps[0]!.logits.length / params.length;
  const sampler = await createSampler({ vocabSize, maxBatch: params.length, engine: "cpu" });
  const rows: number[][] = params.map(() => []);
  for (const { lengths, logits } of steps) {
    const at = params.map((row, index) => ({ ...row, position: lengths[index]! - (skip[index] ?? 0) }));
    const { tokens } = await sampler.sample(logits, at);
    tokens.forEach((token, row) => rows[row]!.push(token));
  }
  return rows;
}

const PROMPT = "Once there was";

describe("what generate() returns", () => {
  test.each([
    [
      { temperature: 0.7, top_k: 40, top_p: 0.9, min_p: 0.02, seed: 7n },
      { temperature: 0.7, topK: 40, topP: 0.9, minP: 0.02, seed: 7n },
    ],
    [
      { temperature: 1.5, top_p: 0.8, order: "llama.cpp", seed: 1 },
      { temperature: 1.5, topP: 0.8, order: "llama.cpp", seed: 1 },
    ],
    [
      { temperature: 3, seed: 2 },
      { temperature: 3, seed: 2 },
    ],
    [{ temperature: 0 }, { temperature: 0 }],
  ] as const)("%o: the sampler's tokens, greedy search or sampling", async (settings, params) => {
    for (const do_sample of [false, true]) {
      const { steps, processor } = spy();
      const tokens = await generate(PROMPT, [processor, logitsProcessor(settings)], { do_sample });
      expect(steps).toHaveLength(12);
      expect(tokens).toEqual(await expected(steps, [params]));
    }
  });

  test("a batch: every row with its own settings; padding does not count as position", async () => {
    const prompts = ["Once there was", "Long ago a baker named", "Dear"];
    const settings = [
      { temperature: 0.5, seed: 1 },
      { top_k: 5, seed: 2 },
      { top_p: 0.7, temperature: 2, seed: 3 },
    ] as const;
    const params = [
      { temperature: 0.5, seed: 1 },
      { topK: 5, seed: 2 },
      { topP: 0.7, temperature: 2, seed: 3 },
    ];
    const { steps, processor } = spy();
    const tokens = await generate(prompts, [processor, logitsProcessor(settings, { padTokenId: 0 })]);
    const lengths = prompts.map((prompt) => tokenizer.encode(prompt).length);
    expect(new Set(lengths).size, "prompts of different lengths").toBeGreaterThan(1);
    // The token that begins a text is the one that fills up, so it does not count either.
    const skip = lengths.map((length) => Math.max(...lengths) - length + 1);
    expect(tokens).toEqual(await expected(steps, params, skip));
  });

  test("one setting for all rows: rows with the same prompt and seed say the same", async () => {
    const [one, other] = await generate([PROMPT, PROMPT], [logitsProcessor({ temperature: 2, seed: 5 })]);
    expect(one).toEqual(other);
    const [first, second] = await generate([PROMPT, PROMPT], [logitsProcessor({ temperature: 2 })]);
    expect(first, "without a seed, rows have their own").not.toEqual(second);
  });

  test("same prompt and seed, same text; a text handed in again goes on as if it had not stopped", async () => {
    const processor = logitsProcessor({ temperature: 1.2, top_p: 0.95, seed: 11 });
    const [whole] = await generate(PROMPT, [processor]);
    expect(await generate(PROMPT, [processor])).toEqual([whole]);
    const half = tokenizer.encode(PROMPT).concat(whole!.slice(0, 5));
    const { processor: from, steps } = spy();
    const ids = BigInt64Array.from(half, BigInt);
    const { Tensor } = await import("@huggingface/transformers");
    const output = (await model.generate({
      input_ids: new Tensor("int64", ids, [1, half.length]),
      attention_mask: new Tensor("int64", new BigInt64Array(half.length).fill(1n), [1, half.length]),
      max_new_tokens: 7,
      do_sample: false,
      eos_token_id: 999_999,
      logits_processor: [from, processor],
    } as never)) as unknown as Tensor;
    const rest = (output.tolist() as bigint[][])[0]!.slice(half.length).map(Number);
    expect(rest).toEqual((await expected(steps, [{ temperature: 1.2, topP: 0.95, seed: 11 }]))[0]);
    expect(rest).toEqual(whole!.slice(5));
  });
});

describe("settings that look back", () => {
  test("penalties see the prompt and what was written since, padding not", async () => {
    const prompts = ["Once there was", "Long ago a baker named"];
    const settings = {
      temperature: 0,
      repetition_penalty: 1.5,
      frequency_penalty: 0.5,
      no_repeat_ngram_size: 2,
    } as const;
    const params = { temperature: 0, repetitionPenalty: 1.5, frequencyPenalty: 0.5, noRepeatNgramSize: 2 };
    const { steps, processor } = spy();
    const tokens = await generate(prompts, [processor, logitsProcessor(settings, { padTokenId: 0 })]);
    const vocabSize = steps[0]!.logits.length / 2;
    const sampler = await createSampler({ vocabSize, maxBatch: 2, maxHistory: 64, engine: "cpu" });
    prompts.forEach((prompt, row) => sampler.history.set(row, tokenizer.encode(prompt).slice(1)));
    const drawn: number[][] = [[], []];
    for (const { logits } of steps) {
      (await sampler.sample(logits, params)).tokens.forEach((token, row) => drawn[row]!.push(token));
    }
    expect(tokens).toEqual(drawn);
    expect(tokens, "they have an effect").not.toEqual(await generate(prompts, [logitsProcessor({ temperature: 0 })]));
  });

  test("a mask that changes from step to step is read in every step", async () => {
    const allowed = new Uint32Array(Math.ceil(2461 / 32));
    const writes = [5, 77, 1234, 2460];
    const settings = { allowed_tokens: allowed };
    let step = 0;
    /** @param next the mask to write */
    const grammar = (next: () => Uint32Array<ArrayBuffer>): Process => {
      step = 0;
      return (_, logits) => {
        settings.allowed_tokens = next().fill(0);
        const id = writes[step++]!;
        settings.allowed_tokens[id >> 5] = 1 << (id & 31);
        return logits;
      };
    };
    const inPlace = [grammar(() => allowed), logitsProcessor(settings)];
    expect(await generate(PROMPT, inPlace, { max_new_tokens: 4 })).toEqual([writes]);
    const anew = [grammar(() => new Uint32Array(allowed.length)), logitsProcessor(settings)];
    expect(await generate(PROMPT, anew, { max_new_tokens: 4 })).toEqual([writes]);
  });
});

describe("what the library does by itself", () => {
  test("its top_p changes nothing; the processor's does", async () => {
    const greedy = await generate(PROMPT, [logitsProcessor({ temperature: 0 })]);
    const own = { do_sample: true, top_k: 0, top_p: 1e-6, temperature: 3 };
    expect(await generate(PROMPT, [], own), "a nucleus of one token would be greedy").not.toEqual(greedy);
    expect(await generate(PROMPT, [logitsProcessor({ top_p: 1e-6, temperature: 3 })])).toEqual(greedy);
  });

  test("repetition_penalty comes before the processor, temperature with do_sample too", async () => {
    const first = async (options: object): Promise<Float32Array> => {
      const { steps, processor } = spy();
      await generate(PROMPT, [processor, logitsProcessor({ temperature: 0 })], { max_new_tokens: 1, ...options });
      return steps[0]!.logits;
    };
    const plain = await first({});
    const ids = new Set(tokenizer.encode(PROMPT));
    const penalised = plain.map((z, id) => (!ids.has(id) ? z : z < 0 ? z * 1.25 : z / 1.25));
    expect(await first({ repetition_penalty: 1.25 })).toEqual(penalised);
    expect(await first({ temperature: 2 }), "greedy search has no temperature").toEqual(plain);
    expect(await first({ temperature: 2, do_sample: true })).toEqual(plain.map((z) => z / 2));
  });
});

test("another text is never taken for the next step, even where it is a token longer", () => {
  const row = (): LogitsTensor & { readonly data: Float32Array } => ({
    data: Float32Array.of(3, 2, 1, 0),
    dims: [1, 4],
  });
  const drawn = (process: Process, ids: readonly bigint[]): number => process([ids], row()).data.indexOf(0);
  const settings = { temperature: 0, presence_penalty: 1.5 };
  const one = logitsProcessor(settings);
  const text = [3n, 3n];
  for (const next of [0, 1, 0]) {
    expect(drawn(one, text)).toBe(next);
    text.push(BigInt(next)); // as generate() does, in place
  }
  const other = [0n, 0n, 0n, 0n, 0n, 0n];
  expect(drawn(one, other.slice(0, 5))).toBe(drawn(logitsProcessor(settings), other.slice(0, 5)));
  expect(drawn(one, other), "the next step: its last token is output").toBe(1);
});

test("bad settings are errors by name", async () => {
  await expect(generate(PROMPT, [logitsProcessor({ top_logprobs: 5 })])).rejects.toThrow(
    /params\.topLogprobs: a logits processor gives no numbers about tokens, got 5/,
  );
  await expect(generate(PROMPT, [logitsProcessor({ top_p: 2 })])).rejects.toThrow(/params\.topP: /);
  expect(() => logitsProcessor({ top_q: 2 } as never)).toThrow(/^settings\.top_q: unknown name; known are .*top_p/);
  expect(() => logitsProcessor([{}, { topP: 0.5 } as never])).toThrow(/^settings\[1\]\.topP: unknown name/);
  await expect(generate(PROMPT, [logitsProcessor([{}, {}])])).rejects.toThrow(/^params: expected one object/);
  const masked: Process = (_, logits) => {
    (logits.data as Float32Array).fill(-Infinity);
    return logits;
  };
  await expect(generate(PROMPT, [masked, logitsProcessor()])).rejects.toThrow(/row 0: .* every logit is -inf/);
});
