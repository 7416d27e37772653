/** What must hold of the reference whatever the logits and the parameters; random cases, made small where one fails. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { planRow, type SamplingParams } from "../../src/params.ts";
import { sampleRow } from "../../src/reference/draw.ts";
import { list } from "../../src/reference/list.ts";
import { distanceScale } from "../../src/reference/numeric.ts";
import { anyParams, caseOf, type FuzzCase, lineOf, logitsOf } from "../fuzz/case.ts";
import { inputNames } from "../support/inputs.ts";

const RUNS = 400;
/** Random cases are new every time unless the seed that a failure prints is set here: `fc.assert` says it. */
const assert = <T>(property: fc.IProperty<T>): void => fc.assert(property, { numRuns: RUNS });

const vocab = fc.oneof(fc.integer({ min: 1, max: 80 }), fc.integer({ min: 1, max: 1500 }));
const kinds = fc.constantFrom("bits", "pool", "octave", "neighbours", "edges", "sparse", ...inputNames);
const anyRow = fc.tuple(kinds, vocab, fc.nat(0xffff)).map(([name, size, seed]) => logitsOf(name, size, seed));
const wide = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
/** Logits with four bits behind the point, whose sums and differences are exact. */
const exactRow = fc.array(fc.integer({ min: -800, max: 800 }), { minLength: 1, maxLength: 400 });
const toLogits = (sixteenths: readonly number[], shift = 0): Float32Array =>
  Float32Array.from(sixteenths, (value) => (value + shift) / 16);

const kept = (logits: Float32Array, params: SamplingParams): { tokens: number[]; weights: number[] } => {
  const { tokens, weights } = list(logits, planRow(params, logits.length));
  return { tokens: [...tokens], weights: [...weights] };
};
const run = (
  logits: Float32Array,
  params: SamplingParams,
  seed: bigint,
  position: bigint,
): ReturnType<typeof sampleRow> => sampleRow(logits, planRow(params, logits.length), seed, position);
const canBeSampled = (logit: number): boolean => !Number.isNaN(logit) && logit !== -Infinity;
const sum = (weights: readonly number[]): number => weights.reduce((total, weight) => total + weight, 0);
const onlyKept = (logits: Float32Array, tokens: readonly number[]): Float32Array => {
  const left = new Float32Array(logits.length).fill(-Infinity);
  for (const token of tokens) left[token] = logits[token]!;
  return left;
};

test("the same number added to every logit changes nothing, where the sums are exact", () => {
  assert(
    fc.property(exactRow, fc.integer({ min: -8000, max: 8000 }), anyParams, wide, (row, shift, params, seed) => {
      const [plain, shifted] = [toLogits(row), toLogits(row, shift)];
      expect(kept(shifted, params)).toEqual(kept(plain, params));
      expect(run(shifted, params, seed, 1n)).toEqual(run(plain, params, seed, 1n));
    }),
  );
});

test("other ids for the same logits: the same tokens are kept under their new ids", () => {
  assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: -800, max: 800 }), { minLength: 1, maxLength: 300 }),
      fc.nat(),
      anyParams,
      (row, turn, params) => {
        // Without ties, so that ids do not matter. Multiplying by a unit permutes them.
        const n = row.length;
        const step = [7, 11, 13, 17, 19, 23].find((prime) => n % prime !== 0)!;
        const newId = (id: number): number => (id * step + turn) % n;
        const moved: number[] = [];
        row.forEach((value, id) => (moved[newId(id)] = value));
        const before = kept(toLogits(row), params);
        const after = kept(toLogits(moved), params);
        expect(after.tokens).toEqual(before.tokens.map(newId));
        expect(after.weights).toEqual(before.weights);
      },
    ),
  );
});

test("a larger k, a larger p, a smaller minP keep what the stricter one keeps, and more", () => {
  assert(
    fc.property(
      anyRow,
      anyParams,
      fc.integer({ min: 1, max: 200 }),
      fc.nat(50),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (logits, params, k, more, a, b) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        const isPrefix = (stricter: SamplingParams, looser: SamplingParams): void => {
          const [few, many] = [kept(logits, stricter).tokens, kept(logits, looser).tokens];
          expect(many.slice(0, few.length)).toEqual(few);
        };
        const alone = { temperature: params.temperature ?? 1 };
        isPrefix({ ...alone, topK: k }, { ...alone, topK: k + more });
        isPrefix({ ...params, topP: low }, { ...params, topP: high });
        isPrefix({ ...params, minP: high, order: "transformers" }, { ...params, minP: low, order: "transformers" });
      },
    ),
  );
});

test("top-k keeps exactly k", () => {
  assert(
    fc.property(anyRow, fc.integer({ min: 1, max: 1600 }), (logits, topK) => {
      expect(kept(logits, { topK }).tokens.length).toBe(Math.min(topK, logits.filter(canBeSampled).length));
    }),
  );
});

test("top-k and min-p filter once: what they leave, they leave again", () => {
  assert(
    fc.property(
      anyRow,
      fc.integer({ min: 0, max: 300 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0.01, max: 4, noNaN: true }),
      (logits, topK, minP, temperature) => {
        const params = { topK, minP, temperature };
        const once = kept(logits, params);
        expect(kept(onlyKept(logits, once.tokens), params)).toEqual(once);
      },
    ),
  );
});

test("a filtered row draws what the row of its kept tokens draws unfiltered", () => {
  assert(
    fc.property(anyRow, anyParams, wide, wide, (logits, params, seed, position) => {
      fc.pre((params.temperature ?? 1) >= 1e-5 && params.topK !== 1 && (params.topP ?? 1) > 1e-6);
      const left = onlyKept(logits, kept(logits, params).tokens);
      const expected = run(left, { temperature: params.temperature ?? 1 }, seed, position);
      expect(run(logits, params, seed, position)).toMatchObject({
        token: expected.token,
        weight: expected.weight,
        mass: expected.mass,
      });
    }),
  );
});

test("never a masked token, and always one that is kept, with a weight", () => {
  assert(
    fc.property(anyRow, anyParams, wide, wide, (logits, params, seed, position) => {
      const sample = run(logits, params, seed, position);
      const { tokens, weights } = kept(logits, params);
      expect(tokens.every((token) => canBeSampled(logits[token]!))).toBe(true);
      if (logits.some(canBeSampled)) {
        expect(sample.status).toBe("ok");
        expect(sample.weight).toBeGreaterThan(0);
        expect(sample.weight).toBe(weights[tokens.indexOf(sample.token)]);
        expect(sample.mass).toBe(sum(weights));
      } else {
        expect(sample).toMatchObject({ token: 0xffff_ffff, weight: 0, mass: 0 });
        expect(sample.status).toBe(logits.some(Number.isNaN) ? "nan" : "masked");
      }
    }),
  );
});

test("a nucleus has the mass p, and without its last token it has not", () => {
  assert(
    fc.property(
      anyRow,
      fc.double({ min: 2 ** -19, max: 1 - 2 ** -30, noNaN: true }),
      fc.double({ min: 0.05, max: 4, noNaN: true }),
      (logits, topP, temperature) => {
        const whole = sum(kept(logits, { temperature }).weights);
        const { weights } = kept(logits, { temperature, topP });
        fc.pre(weights.length > 0);
        // 2^-20 is what is taken off p, so that a nucleus that is p does not grow by rounding.
        const share = Math.round(topP * 2 ** 32) / 2 ** 32;
        expect(sum(weights) / whole).toBeGreaterThanOrEqual(share - 2 ** -20 - 2 ** -50);
        expect(sum(weights.slice(0, -1)) / whole).toBeLessThan(share);
      },
    ),
  );
});

test("min-p keeps the ratio: every kept weight reaches it, the next one does not", () => {
  assert(
    fc.property(
      anyRow,
      fc.double({ min: 2 ** -30, max: 1, noNaN: true }),
      fc.double({ min: 0.05, max: 4, noNaN: true }),
      (logits, minP, temperature) => {
        const { weights } = kept(logits, { temperature, minP });
        const all = kept(logits, { temperature }).weights;
        const least = Math.floor(minP * (1 - 2 ** -20) * 2 ** 31);
        expect(weights.every((weight) => weight >= least)).toBe(true);
        expect((all[weights.length] ?? 0) < Math.max(least, 1)).toBe(true);
      },
    ),
  );
});

test("scales that a temperature allows are positive floats", () => {
  assert(
    fc.property(fc.double({ min: 1e-5, max: 1e30, noNaN: true }), (temperature) => {
      const scale = distanceScale(temperature);
      expect(scale).toBe(Math.fround(scale));
      expect(scale).toBeGreaterThan(0);
    }),
  );
});

test("a fuzz case survives its line", () => {
  const value: FuzzCase = {
    vocabSize: 3,
    logitsType: "float16",
    tuning: 1,
    chunkRows: 2,
    lead: 1,
    gap: 0,
    maxHistory: 0,
    further: 0,
    draws: 1,
    told: false,
    written: false,
    rows: [
      {
        logits: "bits",
        logitsSeed: 9,
        params: { topP: 0.1 + 0.2, seed: 2n ** 64n - 1n, position: 0n },
        replacement: true,
      },
    ],
  };
  expect(caseOf(lineOf(value))).toEqual(value);
});
