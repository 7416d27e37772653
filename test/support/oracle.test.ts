import { describe, expect, test } from "vitest";
import { emptyInputNames, inputNames, inputs, Random } from "./inputs.ts";
import {
  bfloatToFloat,
  exp2fix,
  firstBeyond,
  floatToBfloat,
  floatToHalf,
  halfToFloat,
  NO_TOKEN,
  oracle,
  type OracleParams,
  philox4x32,
  uniform64,
  weightOf,
} from "./oracle.ts";
import { gTest, rejectsAt } from "./statistics.ts";

const FULL = 2n ** 31n;
const at = { seed: 7n, position: 0n } as const;
const logitsOf = (...probabilities: number[]): Float32Array => Float32Array.from(probabilities, Math.log);
const keptBy = (logits: Float32Array, params: Omit<OracleParams, "seed" | "position">): number[] =>
  oracle(logits, { ...params, ...at }).kept;

describe("Philox4x32-10", () => {
  // The known answers published with Random123.
  test.each([
    [[0n, 0n, 0n, 0n], [0n, 0n], "6627e8d5 e169c58d bc57ac4c 9b00dbd8"],
    [
      [0xffffffffn, 0xffffffffn, 0xffffffffn, 0xffffffffn],
      [0xffffffffn, 0xffffffffn],
      "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ],
    [
      [0x243f6a88n, 0x85a308d3n, 0x13198a2en, 0x03707344n],
      [0xa4093822n, 0x299f31d0n],
      "d16cfe09 94fdcceb 5001e420 24126ea1",
    ],
  ] as const)("counter %s, key %s", (counter, key, answer) => {
    const words = philox4x32(counter, key).map((word) => word.toString(16).padStart(8, "0"));
    expect(words.join(" ")).toBe(answer);
  });

  test("the uniform takes seed and position low word first, and the outputs high word first", () => {
    expect(uniform64(0n, 0n)).toBe(0x6627e8d5e169c58dn);
    expect(uniform64(0x299f31d0a4093822n, 0x85a308d3243f6a88n, 0x13198a2en, 0x03707344n)).toBe(0xd16cfe0994fdccebn);
  });
});

describe("exp2fix", () => {
  test("falls at every step of the first octave, and is within 2^-22 of the truth", () => {
    let previous = exp2fix(0n);
    let others = 0;
    let worst = 0;
    for (let t = 1; t < 2 ** 20; t++) {
      const weight = exp2fix(BigInt(t));
      if (weight >= previous) others++;
      previous = weight;
      worst = Math.max(worst, Math.abs(Number(weight) / 2 ** (31 - t / 2 ** 20) - 1));
    }
    expect(others).toBe(0);
    expect(worst).toBeLessThanOrEqual(2 ** -22);
  }, 30_000);

  test("gives these very integers", () => {
    // From a separate program, in Python, with rational numbers.
    let sum = 0n;
    for (let t = 0n; t < 2n ** 20n; t += 29n) sum += exp2fix(t);
    expect(sum).toBe(56012145415040n);
    const some = [1n, 4095n, 4096n, 524287n, 1048575n, 3333333n, 32505856n, 32505857n, 33554431n];
    expect(some.map(exp2fix)).toEqual([
      2147481984n,
      2141678336n,
      2141676800n,
      1518501376n,
      1073742592n,
      237127200n,
      1n,
      1n,
      1n,
    ]);
  });

  test("falls or stays across the end of every octave", () => {
    let rises = 0;
    for (let n = 1n; n <= 31n; n++) {
      let previous = FULL;
      for (let t = n * 2n ** 20n - 3000n; t < n * 2n ** 20n + 3000n; t++) {
        const weight = exp2fix(t);
        if (weight > previous) rises++;
        previous = weight;
      }
    }
    expect(rises).toBe(0);
  });

  test("below the first octave is off by half a unit at most, besides", () => {
    let worst = 0;
    for (let t = 2 ** 20; t <= 2 ** 25; t += 997) {
      const truth = 2 ** (31 - t / 2 ** 20);
      worst = Math.max(worst, Math.abs(Number(exp2fix(BigInt(t))) - truth) - truth * 2 ** -22);
    }
    expect(worst).toBeLessThanOrEqual(0.5);
  });

  test("halves exactly from octave to octave, down to one and then to nothing", () => {
    for (let n = 0n; n < 32n; n++) expect(exp2fix(n << 20n)).toBe(FULL >> n);
    expect(exp2fix(32n << 20n)).toBe(0n);
  });
});

describe("weights", () => {
  test("are full for the largest, near the softmax for the others, and 0 from 32 octaves on", () => {
    expect(weightOf(5, 5, 0.8)).toBe(FULL);
    for (const z of [4.9, 3, 0, -5]) {
      const f = Math.fround(z);
      expect(Number(weightOf(f, 5, 0.8)) / 2 ** 31).toBeCloseTo(Math.exp((f - 5) / 0.8), 6);
    }
    // 32 octaves are 22.1807 nats.
    expect(weightOf(-22.18, 0, 1)).toBe(1n);
    expect(weightOf(-22.181, 0, 1)).toBe(0n);
  });

  test("are these very integers: every operation is rounded to f32 on its own", () => {
    // From a separate program, in Python.
    let sum = 0n;
    for (let i = 0; i < 4096; i++) sum += weightOf(Math.fround(i / -171 - 1e-3 * (i % 7)), Math.fround(3.3), 0.7);
    expect(sum).toBe(2304675568n);
  });

  test("survive the whole range of floats and temperatures", () => {
    const largest = 3.4028234663852886e38;
    for (const t of [1e-5, 1, 1e5]) expect(weightOf(-largest, largest, t)).toBe(0n);
    expect(weightOf(-largest, largest, 1e38)).toBeGreaterThan(0n);
    expect(weightOf(-1, 1, Infinity)).toBe(FULL);
    expect(weightOf(-0, 0, 1)).toBe(FULL);
  });
});

describe("truncation", () => {
  const five = logitsOf(0.4, 0.3, 0.15, 0.1, 0.05);

  test.each([
    [1, 1],
    [2, 2],
    [5, 5],
    [0, 5],
    [9, 5],
  ])("top-k %d of .4 .3 .15 .1 .05 keeps %d", (topK, count) => {
    expect(keptBy(five, { topK })).toEqual([0, 1, 2, 3, 4].slice(0, count));
  });

  test.each([
    [0, 1],
    [0.4, 1],
    [0.7, 2],
    [0.85, 3],
    [0.95, 4],
    [1, 5],
  ])("top-p %d of .4 .3 .15 .1 .05 keeps %d", (topP, count) => {
    expect(keptBy(five, { topP })).toEqual([0, 1, 2, 3, 4].slice(0, count));
  });

  test("top-p .9 of .9 .05 .03 .01 .01 keeps one", () => {
    expect(keptBy(logitsOf(0.9, 0.05, 0.03, 0.01, 0.01), { topP: 0.9 })).toEqual([0]);
  });

  test("a higher temperature widens the nucleus and a lower one narrows it", () => {
    expect(keptBy(five, { temperature: 2, topP: 0.85 })).toHaveLength(4);
    expect(keptBy(Float32Array.of(2, 1.5, 0.5, 0, -1), { temperature: 0.5, topP: 0.85 })).toHaveLength(2);
  });

  test.each([
    [0, 5],
    [0.125, 5],
    [0.25, 4],
    [0.375, 3],
    [0.75, 2],
    [0.76, 1],
    [1, 1],
  ])("min-p %d of .4 .3 .15 .1 .05 keeps %d", (minP, count) => {
    expect(keptBy(five, { minP })).toHaveLength(count);
  });

  test("ties are cut by id, and signed zeros are ties", () => {
    expect(keptBy(Float32Array.of(1, 2, 2, 1, 2), { topK: 2 })).toEqual([1, 2]);
    expect(keptBy(Float32Array.of(-0, 0, -0, 0), { topK: 3 })).toEqual([0, 1, 2]);
  });

  test("top-p stops where the mass is exactly what is needed, and not one unit later", () => {
    // Two equals weigh 2^32 together, so that need = P − 2^12.
    const equals = Float32Array.of(1, 1);
    expect(keptBy(equals, { topP: (2 ** 31 + 2 ** 12) / 2 ** 32 })).toHaveLength(1);
    expect(keptBy(equals, { topP: (2 ** 31 + 2 ** 12 + 1) / 2 ** 32 })).toHaveLength(2);
  });

  test("top-p rounds the mass that is needed up", () => {
    // Three equals and P − 2^12 = (2^33 + 1) / 3 need half a unit more than two of them weigh.
    const topP = ((2 ** 33 + 1) / 3 + 2 ** 12) / 2 ** 32;
    expect(keptBy(Float32Array.of(1, 1, 1), { topP })).toHaveLength(3);
  });

  test("min-p keeps a weight that is exactly the least allowed", () => {
    const row = Float32Array.of(0, -1);
    const weight = Number(weightOf(-1, 0, 1));
    const minPFor = (least: number): number => (least + 0.5) / (1 - 2 ** -20) / 2 ** 31;
    expect(keptBy(row, { minP: minPFor(weight) })).toHaveLength(2);
    expect(keptBy(row, { minP: minPFor(weight + 1) })).toHaveLength(1);
  });

  test("a filter sees masses of what the previous one kept", () => {
    // Of .4 .3 alone, .57 reaches p = .55, of all five it does not.
    expect(keptBy(five, { topP: 0.55 })).toEqual([0, 1]);
    expect(keptBy(five, { topK: 2, topP: 0.55 })).toEqual([0]);
  });

  test("the order matters as the presets say", () => {
    const four = logitsOf(0.5, 0.3, 0.15, 0.05);
    // Min-p first leaves .5 .3, of which the first is .625.
    expect(keptBy(four, { topP: 0.6, minP: 0.5, order: "vllm" })).toEqual([0]);
    expect(keptBy(four, { topP: 0.6, minP: 0.5 })).toEqual([0, 1]);
    // At T = 4 the nucleus is wider, unless the filters look at T = 1.
    const hot = { temperature: 4, topP: 0.8 } as const;
    expect(keptBy(four, hot)).toEqual([0, 1, 2]);
    expect(keptBy(four, { ...hot, order: "llama.cpp" })).toEqual([0, 1]);
    const { weights } = oracle(four, { ...hot, order: "llama.cpp", ...at });
    expect(Number(weights[1]) / 2 ** 31).toBeCloseTo((0.3 / 0.5) ** 0.25, 6);
  });
});

describe("one row", () => {
  test("infinities and NaN", () => {
    const largest = 3.4028234663852886e38;
    expect(keptBy(Float32Array.of(largest, Infinity, NaN, -Infinity, 1), { topK: 2 })).toEqual([0, 1]);
    expect(keptBy(Float32Array.of(NaN, -Infinity, -3e38), {})).toEqual([2]);
  });

  test("no candidate gives no token, and says why", () => {
    for (const temperature of [0, 1]) {
      const row = (...logits: number[]): unknown => oracle(Float32Array.from(logits), { temperature, ...at });
      const none = { token: NO_TOKEN, kept: [], weights: [], mass: 0n, random: 0n };
      expect(row(-Infinity, -Infinity)).toEqual({ ...none, status: "masked" });
      expect(row(NaN, NaN)).toEqual({ ...none, status: "nan" });
      expect(row(-Infinity, NaN)).toEqual({ ...none, status: "nan" });
    }
  });

  test("greedy takes the first of the best, and begins below 1e-5", () => {
    const logits = Float32Array.of(1, 3, 3, 2);
    const greedy = { token: 1, status: "ok", kept: [1], weights: [FULL], mass: FULL, random: 0n };
    expect(oracle(logits, { temperature: 0, ...at })).toEqual(greedy);
    expect(oracle(logits, { temperature: 9.9e-6, topK: 3, ...at })).toEqual(greedy);
    expect(oracle(logits, { temperature: 1e-5, ...at }).kept).toEqual([1, 2, 3, 0]);
  });

  test("the draw walks the kept tokens by id, not by rank", () => {
    // Ids 2 and 0 hold 2^31 and 2^30: the first third of the range is id 0's.
    const logits = Float32Array.of(-Math.LN2, -9, 0);
    for (let position = 0n; position < 50n; position++) {
      const { token, kept, mass, random } = oracle(logits, { topK: 2, seed: 3n, position });
      expect(kept).toEqual([2, 0]);
      expect(token).toBe(random < mass - FULL ? 0 : 2);
    }
  });

  test("a token owns the numbers from the sum before it to one less than its own", () => {
    const row = [
      { id: 9, weight: 5n },
      { id: 4, weight: 2n },
      { id: 6, weight: 0n },
      { id: 1, weight: 0n },
    ];
    expect([0n, 1n, 2n, 6n, 7n].map((random) => firstBeyond(row, random))).toEqual([4, 4, 9, 9, NO_TOKEN]);
  });

  test.each(inputNames)("%s: kept is ordered, the masses add up, and the token is one that can be drawn", (name) => {
    for (const vocab of [1, 7, 500]) {
      const logits = inputs[name](vocab, vocab);
      for (const order of ["transformers", "vllm", "llama.cpp"] as const) {
        const params = { temperature: 0.8, topK: 100, topP: 0.95, minP: 0.01, order, seed: 1n, position: 2n };
        const { token, status, kept, weights, mass, random } = oracle(logits, params);
        if (emptyInputNames.includes(name)) {
          expect(token).toBe(NO_TOKEN);
          continue;
        }
        expect(status).toBe("ok");
        expect(weights[0]).toBe(FULL);
        expect(weights).toHaveLength(kept.length);
        expect(weights.reduce((a, b) => a + b)).toBe(mass);
        expect(random >= 0n && random < mass).toBe(true);
        expect(weights[kept.indexOf(token)]).toBeGreaterThan(0n);
        for (let i = 1; i < kept.length; i++) expect(weights[i - 1]).toBeGreaterThanOrEqual(weights[i] as bigint);
      }
    }
  });

  test("tokens come as often as their weights say", () => {
    const logits = Float32Array.of(0.5, -2, 1.25, -30, 0.5, -0.75);
    const counts = new Array<number>(logits.length).fill(0);
    const { kept, weights } = oracle(logits, { temperature: 0.9, ...at });
    for (let position = 0n; position < 5000n; position++) {
      const { token } = oracle(logits, { temperature: 0.9, seed: 11n, position });
      counts[token] = (counts[token] as number) + 1;
    }
    const expected = counts.map((_, id) => Number(weights[kept.indexOf(id)]));
    expect(gTest(counts, expected)).not.toSatisfy(rejectsAt(1e-6));
    // The same counts do not fit the weights of other tokens.
    expect(gTest(counts, [...expected].reverse())).toSatisfy(rejectsAt(1e-6));
  });
});

describe("16-bit floats", () => {
  const every = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);

  test("half: known values", () => {
    const bits = Uint16Array.of(0x0000, 0x8000, 0x0001, 0x03ff, 0x0400, 0x3c00, 0xc000, 0x7bff, 0x7c00, 0xfc00);
    const values = [0, -0, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, 1, -2, 65504, Infinity, -Infinity];
    expect([...halfToFloat(bits)]).toEqual(values);
    expect(halfToFloat(Uint16Array.of(0x7c01, 0xfe00))).toEqual(Float32Array.of(NaN, NaN));
  });

  test("bfloat: known values", () => {
    const bits = Uint16Array.of(0x0000, 0x8000, 0x0001, 0x3f80, 0xc040, 0x7f7f, 0x7f80, 0xff80);
    const values = [0, -0, 2 ** -133, 1, -3, 255 * 2 ** 120, Infinity, -Infinity];
    expect([...bfloatToFloat(bits)]).toEqual(values);
    expect(bfloatToFloat(Uint16Array.of(0x7f81, 0xffc0))).toEqual(Float32Array.of(NaN, NaN));
  });

  test.each([
    ["half", halfToFloat, floatToHalf, 0x7c00],
    ["bfloat", bfloatToFloat, floatToBfloat, 0x7f80],
  ] as const)("%s: all 65,536 patterns come back, NaN as NaN", (_name, widen, narrow, infinity) => {
    const back = narrow(widen(every));
    const wrong = every.filter((bits) => {
      if ((bits & 0x7fff) > infinity) return ((back[bits] as number) & 0x7fff) <= infinity;
      return back[bits] !== bits;
    });
    expect([...wrong]).toEqual([]);
  });

  test.each([
    ["half", halfToFloat, floatToHalf, 0x7c00],
    ["bfloat", bfloatToFloat, floatToBfloat, 0x7f80],
  ] as const)(
    "%s: between two neighbours the nearer is taken, and in the middle the even one",
    (_n, widen, narrow, infinity) => {
      const nudge = (value: number, by: number): number => {
        const float = Float32Array.of(value);
        const word = new Uint32Array(float.buffer);
        word[0] = (word[0] as number) + by;
        return float[0] as number;
      };
      const wrong: number[] = [];
      for (let low = 0; low < infinity - 1; low++) {
        const [a, b] = widen(Uint16Array.of(low, low + 1)) as unknown as [number, number];
        // Exact in f32: the wider format has bits to spare, except under bfloat's smallest, whose middle is still one.
        const middle = a / 2 + b / 2;
        const even = low % 2 === 0 ? low : low + 1;
        const [under, on, over] = narrow(Float32Array.of(nudge(middle, -1), middle, nudge(middle, 1)));
        if (under !== low || on !== even || over !== low + 1) wrong.push(low);
      }
      expect(wrong).toEqual([]);
    },
  );

  test("too large for the format becomes infinity, from the middle on", () => {
    expect([...floatToHalf(Float32Array.of(65519.996, 65520, -1e30, Infinity))]).toEqual([
      0x7bff, 0x7c00, 0xfc00, 0x7c00,
    ]);
    expect([...floatToBfloat(Float32Array.of(3.3895314e38, 3.4028235e38, -Infinity))]).toEqual([
      0x7f7f, 0x7f80, 0xff80,
    ]);
  });

  test("a view into a larger buffer is read where it lies", () => {
    const whole = Float32Array.of(1, 2, -3, 4);
    expect([...floatToHalf(whole.subarray(2))]).toEqual([0xc200, 0x4400]);
    expect([...floatToBfloat(whole.subarray(2))]).toEqual([0xc040, 0x4080]);
  });

  test("random floats agree with the rounding of the definition", () => {
    const random = new Random(5);
    for (let i = 0; i < 2000; i++) {
      const value = Math.fround(random.normal() * 2 ** (random.below(30) - 20));
      const [back] = halfToFloat(floatToHalf(Float32Array.of(value))) as unknown as [number];
      const spacing = Math.max(2 ** -24, 2 ** (Math.floor(Math.log2(Math.abs(value))) - 10));
      expect(Math.abs(back - value)).toBeLessThanOrEqual(spacing / 2);
    }
  });
});
