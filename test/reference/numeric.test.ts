import { describe, expect, test } from "vitest";
import { bitsOfHalf, widen } from "../../src/reference/convert.ts";
import {
  bitsFloat,
  bitsOfKey,
  distance,
  distanceOfWeight,
  distanceScale,
  drawPoint,
  exp2fix,
  floatBits,
  keyOfBits,
  keyOfDistance,
  massNeeded,
  MAX_DISTANCE,
  probabilityOf,
} from "../../src/reference/numeric.ts";
import { philox4x32, seedOfRow, uniformOf } from "../../src/reference/philox.ts";
import { Random } from "../support/inputs.ts";
import * as oracle from "../support/oracle.ts";
import { nearestFloat } from "../support/processing.ts";

describe("philox4x32", () => {
  // The known answers that Random123 publishes (kat_vectors, philox4x32 10).
  test.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const)("counter %j, key %j", (counter, key, answer) => {
    expect(philox4x32(counter, key)).toEqual(answer);
  });

  test("is the oracle's, for seeds and positions of all sizes", () => {
    for (const seed of [0n, 1n, 2n ** 32n, 2n ** 64n - 1n, 0x1234_5678_9abc_def0n]) {
      for (const position of [0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 64n - 1n]) {
        const [high, low] = uniformOf(seed, position);
        expect((BigInt(high) << 32n) | BigInt(low)).toBe(oracle.uniform64(seed, position));
      }
    }
  });

  test("rows without a seed get different ones", () => {
    const seeds = new Set(Array.from({ length: 1000 }, (_, row) => seedOfRow(7n, row)));
    expect(seeds.size).toBe(1000);
  });
});

describe("exp2fix", () => {
  test("is the oracle's, at every octave's ends and at random", () => {
    const random = new Random(1);
    const points = [0, 1, MAX_DISTANCE - 1, MAX_DISTANCE];
    for (let octave = 1; octave < 32; octave++)
      points.push(octave * 2 ** 20 - 1, octave * 2 ** 20, octave * 2 ** 20 + 1);
    for (let i = 0; i < 20_000; i++) points.push(random.below(MAX_DISTANCE + 1));
    for (const point of points) expect(BigInt(exp2fix(point))).toBe(oracle.exp2fix(BigInt(point)));
  });

  test("never rises, over every distance there is", () => {
    let previous = exp2fix(0);
    let rises = 0;
    for (let t = 1; t <= MAX_DISTANCE; t++) {
      const weight = exp2fix(t);
      if (weight > previous) rises++;
      previous = weight;
    }
    expect(rises).toBe(0);
  });

  test("distanceOfWeight is its inverse: the last distance that still weighs so much", () => {
    for (const threshold of [1, 2, 3, 1000, 12_345_678, 2 ** 30, 2 ** 31 - 2048, 2 ** 31]) {
      const t = distanceOfWeight(threshold);
      expect(exp2fix(t)).toBeGreaterThanOrEqual(threshold);
      expect(exp2fix(t + 1)).toBeLessThan(threshold);
    }
    expect(distanceOfWeight(0)).toBe(MAX_DISTANCE);
  });
});

describe("keys", () => {
  const random = new Random(2);
  const special = [
    0, -0, 1, -1, 1e-45, -1e-45, 1.1754943508222875e-38, 3.4028234663852886e38, -3.4028234663852886e38,
  ].map(Math.fround);
  const floats = [...special, ...Array.from({ length: 3000 }, () => bitsFloat(random.word()))].filter(Number.isFinite);

  test("order floats as numbers do, equal for equal", () => {
    const sorted = [...floats].sort((a, b) => a - b);
    for (let i = 1; i < sorted.length; i++) {
      const [low, high] = [keyOfBits(floatBits(sorted[i - 1]!)), keyOfBits(floatBits(sorted[i]!))];
      if (sorted[i - 1] === sorted[i]) expect(low).toBe(high);
      else expect(low).toBeLessThan(high);
    }
  });

  test("lead back to the float", () => {
    for (const float of floats) expect(bitsFloat(bitsOfKey(keyOfBits(floatBits(float)))) === float).toBe(true);
  });

  test("NaN and -inf have key 0, +inf that of the largest float", () => {
    for (const bits of [0x7f80_0001, 0x7fc0_0000, 0x7fff_ffff, 0xff80_0001, 0xffff_ffff, 0xff80_0000]) {
      expect(keyOfBits(bits)).toBe(0);
    }
    expect(keyOfBits(0x7f80_0000)).toBe(keyOfBits(0x7f7f_ffff));
    expect(keyOfBits(0xff7f_ffff)).toBeGreaterThan(0);
  });

  test("keyOfDistance is the last key within a distance", () => {
    for (const temperature of [0.1, 0.8, 1, 30]) {
      const scale = distanceScale(temperature);
      for (const max of [3, 0, -7.5, 1e-40, 3e38]) {
        for (const limit of [0, 1, 1000, 4_000_000, 30_000_000]) {
          const key = keyOfDistance(max, limit, scale);
          expect(distance(max, bitsFloat(bitsOfKey(key)), scale)).toBeLessThanOrEqual(limit);
          if (bitsOfKey(key) !== 0xff7f_ffff) {
            expect(distance(max, bitsFloat(bitsOfKey(key - 1)), scale)).toBeGreaterThan(limit);
          }
        }
      }
    }
  });
});

test("massNeeded and drawPoint are exact", () => {
  const random = new Random(3);
  for (let i = 0; i < 2000; i++) {
    const mass = random.below(2 ** 21) * 2 ** 32 + random.word();
    const share = random.word();
    expect(BigInt(massNeeded(share, mass))).toBe((BigInt(share) * BigInt(mass) + (1n << 32n) - 1n) / (1n << 32n));
    const [high, low] = [random.word(), random.word()];
    expect(BigInt(drawPoint(high, low, mass))).toBe((((BigInt(high) << 32n) + BigInt(low)) * BigInt(mass)) >> 64n);
  }
});

describe("16-bit logits", () => {
  const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);

  test("every float16 widens exactly", () => {
    const expected = oracle.halfToFloat(all);
    const actual = widen(all, "float16");
    for (let bits = 0; bits < 65_536; bits++) {
      if (!Object.is(actual[bits], expected[bits])) throw new Error(`float16 ${bits}: ${actual[bits]}`);
    }
    expect(bitsOfHalf(1)).toBe(0x3380_0000); // the smallest subnormal, 2^-24
  });

  test("every bfloat16 widens exactly", () => {
    const expected = oracle.bfloatToFloat(all);
    const actual = widen(all, "bfloat16");
    for (let bits = 0; bits < 65_536; bits++) {
      if (!Object.is(actual[bits], expected[bits])) throw new Error(`bfloat16 ${bits}: ${actual[bits]}`);
    }
  });
});

test("a probability is the float32 nearest to the true quotient, also where a float64 is halfway between two", () => {
  const cases: [number, number][] = [
    [0, 5],
    [5, 5],
    [2 ** 24 + 1, 2 ** 25], // ties
    [2 ** 24 + 3, 2 ** 25],
  ];
  const random = new Random(5);
  for (let index = 0; index < 2000; index++) {
    const weight = random.word();
    cases.push([weight, weight + random.word() * 2 ** random.below(18)]);
  }
  // A product with 2^24 + odd that is 1 or -1 modulo 2^48, so that the quotient is next to half a unit in the last place.
  for (const odd of [1, 3, 12345]) {
    const halfway = BigInt(2 ** 24 + odd);
    let inverse = 1n;
    for (let step = 0; step < 6; step++) inverse = BigInt.asUintN(48, inverse * (2n - halfway * inverse));
    for (const [mass, off] of [
      [inverse, 1n],
      [2n ** 48n - inverse, -1n],
    ] as const) {
      const weight = Number((halfway * mass - off) / 2n ** 48n);
      cases.push([weight, Number(mass)]);
    }
  }
  for (const [weight, mass] of cases) {
    const nearest = nearestFloat({ over: BigInt(weight), under: BigInt(mass) });
    expect(probabilityOf(weight, mass), `${weight} / ${mass}`).toBe(nearest);
  }
});
