import { expect, test } from "vitest";
import { planRow } from "../../src/params.ts";
import { sampleRow } from "../../src/reference/draw.ts";
import { list } from "../../src/reference/list.ts";
import { paramSets, show } from "../support/cases.ts";
import { type InputName, inputNames, inputs } from "../support/inputs.ts";
import { oracle } from "../support/oracle.ts";

/** Compares one row with the oracle; a message that replays the case, or undefined. */
function compare(name: InputName, vocab: number, seed: number, index: number): string | undefined {
  return compareOne(name, vocab, seed, paramSets[index]!, BigInt(index));
}

function compareOne(
  name: InputName,
  vocab: number,
  seed: number,
  params: (typeof paramSets)[number],
  position = 0n,
): string | undefined {
  const logits = inputs[name](vocab, seed);
  const random = { seed: 0x1234_5678_9abc_def0n + BigInt(seed), position };
  const plan = planRow(params, vocab);
  const expected = oracle(logits, { ...params, ...random });
  const sample = sampleRow(logits, plan, random.seed, random.position);
  const listed = list(logits, plan);
  const same =
    sample.token === expected.token &&
    sample.status === expected.status &&
    BigInt(sample.mass) === (expected.status === "ok" ? expected.mass : 0n) &&
    listed.tokens.length === expected.kept.length &&
    expected.kept.every((id, rank) => id === listed.tokens[rank]) &&
    expected.weights.every((weight, rank) => weight === BigInt(listed.weights[rank]!));
  if (same) return undefined;
  return `inputs.${name}(${vocab}, ${seed}) with ${show(params)}: token ${sample.token} of ${listed.tokens.length}, mass ${sample.mass}; expected ${expected.token} of ${expected.kept.length}, mass ${expected.mass}`;
}

const every = paramSets.map((_, index) => index);

test.each(inputNames)("%s: every parameter set on small vocabularies", (name) => {
  const differences = [1, 2, 3, 5, 31, 64, 127, 1000].flatMap((vocab) =>
    every.map((index) => compare(name, vocab, vocab + index, index)),
  );
  expect(differences.filter((difference) => difference !== undefined)).toEqual([]);
});

test.each(inputNames)("%s: every parameter set on 4,097 tokens", (name) => {
  const differences = every.map((index) => compare(name, 4097, index, index));
  expect(differences.filter((difference) => difference !== undefined)).toEqual([]);
});

test.each(["peaked", "flat", "tiesAtCut", "equal", "rawBits", "clustered"] as const)(
  "%s: some parameter sets on 50,257 tokens",
  (name) => {
    const differences = every.filter((index) => index % 8 === 2).map((index) => compare(name, 50_257, 1, index));
    expect(differences.filter((difference) => difference !== undefined)).toEqual([]);
  },
);

test.each(["tiesAtCut", "twoValues", "flat", "huge", "positiveInfinity"] as const)(
  "%s: top-k of many tokens before top-p, on 33,000 tokens",
  (name) => {
    const params = { topK: 2000, topP: 0.9, minP: 0.001, temperature: 0.7 };
    const all = [params, { ...params, order: "vllm" } as const, { ...params, topK: 0 }];
    // The first row leaves in the scratch arrays what the second one finds.
    const differences = all.flatMap((one) => [2, 3].map((seed) => compareOne(name, 33_000, seed, one)));
    expect(differences.filter((difference) => difference !== undefined)).toEqual([]);
  },
);

test("a nucleus whose mass is just reached ends there", () => {
  // The share is a half: five of ten tokens, to the unit.
  const params = { topK: 10, topP: 0.5 + 2 ** -20 };
  expect(compareOne("equal", 200, 1, params)).toBeUndefined();
  expect(list(inputs.equal(200, 1), planRow(params, 200)).tokens).toHaveLength(5);
});

test("a list stays as it is when another row is listed", () => {
  for (const params of [{ topK: 20 }, { topP: 0.5 }]) {
    const plan = planRow(params, 200);
    const first = list(inputs.equal(200, 1), plan);
    const before = first.tokens.slice();
    list(inputs.masked90(200, 2), plan);
    expect(first.tokens).toEqual(before);
  }
});
