import { describe, expect, test } from "vitest";
import { batch, emptyInputNames, type InputName, inputNames, inputs, Random } from "./inputs.ts";
import { oracle } from "./oracle.ts";
import { gTest, rejectsAt, runsTest, serialCorrelation } from "./statistics.ts";

const LARGEST_FINITE = 3.4028234663852886e38;
const bitsOf = (row: Float32Array): Uint32Array => new Uint32Array(row.buffer, row.byteOffset, row.length);
const count = (row: Float32Array, is: (logit: number) => boolean): number => row.filter(is).length;
const nucleus = (name: InputName, vocab: number, seed: number, temperature: number): number[] =>
  oracle(inputs[name](vocab, seed), { temperature, topP: 0.9, seed: 0n, position: 0n }).kept;

describe("every input", () => {
  test.each(inputNames)("%s: any vocabulary, and the same bits again for the same seed", (name) => {
    for (const vocab of [1, 2, 7, 129, 1000]) {
      const row = inputs[name](vocab, 3);
      expect(row).toHaveLength(vocab);
      expect(bitsOf(inputs[name](vocab, 3))).toEqual(bitsOf(row));
      for (const seed of [0, 1, 2, 3, 4]) {
        const isCandidate = (logit: number): boolean => !Number.isNaN(logit) && logit !== -Infinity;
        const hasCandidate = inputs[name](vocab, seed).some(isCandidate);
        // One logit of random bits may well be a NaN.
        if (name !== "rawBits" || vocab > 2) expect(hasCandidate).toBe(!emptyInputNames.includes(name));
      }
    }
  });

  test.each(inputNames.filter((name) => name !== "allMasked"))("%s: another seed is another row", (name) => {
    expect(bitsOf(inputs[name](1000, 1))).not.toEqual(bitsOf(inputs[name](1000, 2)));
  });
});

describe("inputs are what their names say", () => {
  test.each([32_768, 50_257, 128_256])(
    "peaked, %d tokens: a nucleus of 20–200 at T = 0.8",
    (vocab) => {
      for (const seed of [1, 2]) {
        const { length } = nucleus("peaked", vocab, seed, 0.8);
        expect(length).toBeGreaterThanOrEqual(20);
        expect(length).toBeLessThanOrEqual(200);
      }
    },
    30_000,
  );

  test("clustered: the nucleus lies within 128 neighbouring ids", () => {
    for (const seed of [1, 2]) {
      const ids = nucleus("clustered", 32_768, seed, 0.8);
      expect(ids.length).toBeGreaterThanOrEqual(20);
      expect(Math.max(...ids) - Math.min(...ids)).toBeLessThan(128);
    }
  }, 30_000);

  test("flat: a nucleus of tens of thousands at 128,256", () => {
    for (const temperature of [0.8, 1]) {
      const { length } = nucleus("flat", 128_256, 1, temperature);
      expect(length).toBeGreaterThan(20_000);
      expect(length).toBeLessThan(100_000);
    }
  }, 30_000);

  test("equal, oneHot, twoValues and tiesAtCut have as many values as they should", () => {
    const values = (name: InputName): number => new Set(inputs[name](1000, 1)).size;
    expect(values("equal")).toBe(1);
    expect(values("oneHot")).toBe(2);
    expect(count(inputs.oneHot(1000, 1), (z) => z === 30)).toBe(1);
    expect(values("twoValues")).toBe(2);
    expect(values("tiesAtCut")).toBe(8);
  });

  test("tiesAtCut: both top-k and top-p cut among equals", () => {
    const row = inputs.tiesAtCut(1000, 1);
    for (const filter of [{ topK: 50 }, { topK: 400 }, { topP: 0.5 }, { topP: 0.9 }]) {
      const kept = new Set(oracle(row, { ...filter, seed: 0n, position: 0n }).kept);
      const least = Math.min(...row.filter((_, id) => kept.has(id)));
      expect(row.some((z, id) => z === least && !kept.has(id))).toBe(true);
    }
  });

  test("adjacentFloats: all sixteen, one unit in the last place apart", () => {
    const words = [...new Set(bitsOf(inputs.adjacentFloats(1000, 1)))].sort((a, b) => a - b);
    expect(words).toHaveLength(16);
    expect((words[15] as number) - (words[0] as number)).toBe(15);
  });

  test("subnormals: none is a normal float, hardly any is zero, and both signs occur", () => {
    const row = inputs.subnormals(1000, 1);
    expect(count(row, (z) => Math.abs(z) < 2 ** -126)).toBe(1000);
    expect(count(row, (z) => z !== 0)).toBeGreaterThan(990);
    expect(count(row, (z) => z < 0)).toBeGreaterThan(400);
    expect(count(row, (z) => z > 0)).toBeGreaterThan(400);
  });

  test("signedZeros: zeros, of both signs", () => {
    const row = inputs.signedZeros(1000, 1);
    expect(count(row, (z) => Object.is(z, 0))).toBeGreaterThan(400);
    expect(count(row, (z) => Object.is(z, -0))).toBeGreaterThan(400);
    expect(count(row, (z) => z === 0)).toBe(1000);
  });

  test("huge: the four values, finite", () => {
    const expected = [LARGEST_FINITE, -LARGEST_FINITE, Math.fround(3e38), Math.fround(-3e38)];
    expect(new Set(inputs.huge(1000, 1))).toEqual(new Set(expected));
  });

  test("masks and NaNs are as many as they should be", () => {
    expect(count(inputs.masked90(1000, 1), (z) => z === -Infinity)).toBe(900);
    expect(count(inputs.allMasked(1000, 1), (z) => z === -Infinity)).toBe(1000);
    expect(count(inputs.nanSprinkled(1000, 1), Number.isNaN)).toBe(10);
    expect(count(inputs.nanSprinkled(2, 1), Number.isNaN)).toBe(1);
    expect(count(inputs.allNaN(1000, 1), Number.isNaN)).toBe(1000);
    expect(new Set(bitsOf(inputs.allNaN(1000, 1))).size).toBe(6);
    const mixed = inputs.nanAndMasked(1000, 1);
    expect(count(mixed, Number.isNaN)).toBe(10);
    expect(count(mixed, (z) => z === -Infinity)).toBe(990);
    const last = inputs.lastTokenOnly(1000, 1);
    expect(count(last, (z) => z === -Infinity)).toBe(999);
    expect(last[999]).toBeGreaterThan(-Infinity);
  });

  test("positiveInfinity: three, and a finite equal", () => {
    const row = inputs.positiveInfinity(1000, 1);
    expect(count(row, (z) => z === Infinity)).toBe(3);
    expect(count(row, (z) => z === LARGEST_FINITE)).toBe(1);
    expect(inputs.positiveInfinity(1, 1)[0]).toBe(Infinity);
  });

  test("ascending and descending are sorted by id", () => {
    const up = inputs.ascending(1000, 1);
    const down = inputs.descending(1000, 1);
    for (let id = 1; id < 1000; id++) {
      expect(up[id]).toBeGreaterThanOrEqual(up[id - 1] as number);
      expect(down[id]).toBeLessThanOrEqual(down[id - 1] as number);
    }
  });

  test("rawBits: every bit is set in about half of the words", () => {
    const words = bitsOf(inputs.rawBits(4000, 1));
    for (let bit = 0; bit < 32; bit++) {
      const set = words.reduce((total, word) => total + ((word >>> bit) & 1), 0);
      expect(Math.abs(set - 2000)).toBeLessThan(200);
    }
  });
});

describe("batch", () => {
  test("lays the rows one after another, each of which can be made alone", () => {
    const names = ["peaked", "allNaN", "rawBits"] as const;
    const words = bitsOf(batch(names, 33, 5, 40));
    expect(words).toHaveLength(165);
    for (let row = 0; row < 5; row++) {
      const alone = inputs[names[row % 3] as InputName](33, 40 + row);
      expect(words.subarray(row * 33, row * 33 + 33)).toEqual(bitsOf(alone));
    }
  });

  test("needs a name", () => {
    expect(() => batch([], 8, 1, 0)).toThrow(RangeError);
    expect(batch([], 8, 0, 0)).toHaveLength(0);
  });
});

describe("Random", () => {
  const random = new Random(12345);
  const units = Float64Array.from({ length: 20_000 }, () => random.unit());
  const rejects = rejectsAt(1e-6, 3);

  test("is uniform and independent enough to make inputs with", () => {
    const counts = new Array<number>(64).fill(0);
    for (const unit of units) counts[Math.floor(unit * 64)] = (counts[Math.floor(unit * 64)] as number) + 1;
    expect(gTest(counts, new Array<number>(64).fill(1))).not.toSatisfy(rejects);
    expect(serialCorrelation(units)).not.toSatisfy(rejects);
    expect(runsTest(units)).not.toSatisfy(rejects);
  });

  test("its ids are distinct and in range", () => {
    expect(new Set(random.ids(100, 60)).size).toBe(60);
    expect([...random.ids(100, 100)].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  test("its words are the same everywhere", () => {
    const known = new Random(1);
    expect([known.word(), known.word(), known.word()]).toEqual([393288148, 2174103013, 3814759091]);
  });
});
