import { describe, expect, test } from "vitest";
import guide from "../docs/guide.md?raw";
import rules from "../docs/rules.md?raw";
import essay from "../docs/sampling.md?raw";
import { Lockstep } from "../demo/generate/lockstep.ts";
import { LanguageModel, ORDER, proseOf } from "../demo/generate/model.ts";
import { parseOptions, UsageError } from "../demo/generate/options.ts";
import { paramsFor, ROWS } from "../demo/generate/rows.ts";
import { SyntheticLogits } from "../demo/generate/synthetic.ts";
import { Tokenizer } from "../demo/generate/tokenizer.ts";

const text = [essay, guide, rules].map(proseOf).join("\n\n");
const model = new LanguageModel(text);
const contexts = [
  "",
  "The",
  "A temperature of",
  "\n\nIf the text should be",
  "zq!zq!",
  ...ROWS.map(({ prompt }) => prompt),
];

function logitsAfter(context: string, of = model): Float32Array {
  const logits = new Float32Array(of.vocabSize);
  of.logits(of.tokenizer.encode(context), logits);
  return logits;
}

describe("tokenizer", () => {
  test("gives back every text that it takes", () => {
    const anything = "A top-k of 40,  it's 0.5;\n\n\n(x) #1 ~ don't\n";
    for (const sample of [text, anything, "", " ", "\n", "unheardofword 31415"]) {
      const { tokenizer } = model;
      expect(tokenizer.decode(tokenizer.encode(sample))).toBe(sample);
    }
  });

  test("has no piece twice", () => {
    expect(new Set(model.tokenizer.pieces).size).toBe(model.vocabSize);
  });

  test("refuses what it does not know", () => {
    const tokenizer = new Tokenizer("abc");
    expect(() => tokenizer.encode("a ☃")).toThrow('"☃"');
    expect(() => tokenizer.decode([tokenizer.vocabSize])).toThrow(RangeError);
  });
});

describe("language model", () => {
  test.each(contexts)("has probabilities that add up to one after %j", (context) => {
    const logits = logitsAfter(context);
    expect(logits.every(Number.isFinite)).toBe(true);
    expect(logits.reduce((sum, logit) => sum + Math.exp(logit), 0)).toBeCloseTo(1, 5);
  });

  test("gives the same bits again, in another order of calls and in another model", () => {
    const again = new LanguageModel(text);
    const expected = contexts.map((context) => logitsAfter(context));
    for (const [index, context] of [...contexts.entries()].reverse()) {
      expect(logitsAfter(context, again)).toEqual(expected[index]);
    }
  });

  test("looks at the last tokens only", () => {
    const end = "the most probable";
    expect(model.tokenizer.encode(` ${end}`)).toHaveLength(ORDER - 1);
    expect(logitsAfter(`Greedy takes ${end}`)).toEqual(logitsAfter(`top-k ${end}`));
  });

  test("has Kneser–Ney's probabilities, worked out by hand", () => {
    // Pieces "a", " b", " a", " c"; " b" comes after "a" and " a".
    const small = new LanguageModel("a b a b a c");
    const { tokenizer, vocabSize } = small;
    const id = (piece: string): number => tokenizer.encode(piece)[0]!;
    const even = 1e-4 / vocabSize;
    // Without context: " b" follows two tokens, " a" and " c" one each; "a" follows none but begins the text.
    const base = (1 - 1e-4) * (2 / 5) + even;
    expect(Math.exp(logitsAfter("", small)[id(" b")]!)).toBeCloseTo(base, 6);
    // After " a" (the z before it is unknown with it): " b" once, after " b"; " c" once, after " b".
    const after = (1 - 0.4) / 2 + ((0.4 * 2) / 2) * base;
    expect(Math.exp(logitsAfter("z a", small)[id(" b")]!)).toBeCloseTo(after, 6);
  });

  test("learns from prose, not from code, tables and headings", () => {
    const page =
      "# Title\n\nOne `word` and\na [link](./x.md).\n\n```ts\ncode();\n```\n\n| a | b |\n| - | - |\n\nThe _end_.\n";
    expect(proseOf(page)).toBe("One word and a link.\n\nThe end.");
  });
});

describe("synthetic logits", () => {
  test("are finite, seeded, and new at every step", () => {
    const source = new SyntheticLogits(1000, 5n);
    const twin = new SyntheticLogits(1000, 5n);
    const [first, second, other] = [new Float32Array(3000), new Float32Array(3000), new Float32Array(3000)];
    source.fill(first);
    source.fill(second);
    twin.fill(other);
    expect(first.every(Number.isFinite)).toBe(true);
    expect(other).toEqual(first);
    expect(second).not.toEqual(first);
    expect(first.slice(0, 1000)).not.toEqual(first.slice(1000, 2000));
  });
});

describe("lockstep", () => {
  /** Draws these tokens, whatever the logits. */
  const drawing = (...steps: number[][]) => ({
    sample: () => {
      const tokens = Uint32Array.from(steps.shift()!);
      return Promise.resolve({ tokens, logprobs: new Float32Array(tokens.length), status: [] });
    },
  });

  test("counts what is the same", async () => {
    const engines = new Lockstep([drawing([1, 2], [3, 4]), drawing([1, 2], [3, 4])]);
    await engines.sample(new Float32Array(0), []);
    const { tokens } = await engines.sample(new Float32Array(0), []);
    expect([...tokens]).toEqual([3, 4]);
    expect(engines).toMatchObject({ compared: 4, steps: 2, timedTokens: 2, difference: undefined });
  });

  test("keeps the first difference", async () => {
    const engines = new Lockstep([drawing([1, 2], [3, 4], [0, 0]), drawing([1, 2], [3, 5], [9, 9])]);
    for (let step = 0; step < 3; step++) await engines.sample(new Float32Array(0), []);
    expect(engines.difference).toEqual({ step: 1, row: 1, tokens: [4, 5] });
    expect(engines.compared).toBe(3);
  });
});

describe("command line", () => {
  test("has defaults", () => {
    expect(parseOptions([])).toEqual({ engine: "auto", steps: 64, seed: 7n, vocab: undefined, batch: 8, help: false });
    expect(parseOptions(["--vocab", "151936", "--batch=32"])).toMatchObject({ vocab: 151_936, batch: 32, steps: 20 });
  });

  test.each([
    [["--speed"], "--speed"],
    [["extra"], "extra"],
    [["--engine", "cuda"], '--engine: expected auto, webgpu or cpu, got "cuda"'],
    [["--steps", "0"], "--steps"],
    [["--steps", "1e3"], "--steps"],
    [["--seed", "18446744073709551616"], "--seed"],
    [["--batch", "4"], "--batch: only with --vocab"],
    [["--vocab", "4194304", "--batch", "65"], "--vocab times --batch"],
  ])("refuses %j", (argv, message) => {
    expect(() => parseOptions(argv)).toThrow(UsageError);
    expect(() => parseOptions(argv)).toThrow(message);
  });

  test("gives every row a seed of its own, also at the end of the range", () => {
    const seeds = paramsFor(20, 2n ** 64n - 3n).map(({ seed }) => seed);
    expect(seeds.slice(0, 4)).toEqual([2n ** 64n - 3n, 2n ** 64n - 2n, 2n ** 64n - 1n, 0n]);
    expect(new Set(seeds).size).toBe(20);
  });
});
