/** What whole rows are computed with, against the plain functions that say what it means. */
import { expect, test } from "vitest";
import { GROUP_SIZE, max } from "../../src/reference/max.ts";
import { distance, distanceScale, exp2fix } from "../../src/reference/numeric.ts";
import { weightTable } from "../../src/reference/weights.ts";
import { inputNames, inputs, Random } from "../support/inputs.ts";

test("max: the delegates of every input, and of the same below zero, are the largest of their groups", () => {
  const wrong: string[] = [];
  for (const name of inputNames) {
    const row = inputs[name](1000, 4);
    for (const logits of [row, row.map((logit) => -Math.abs(logit)), row.map((logit) => logit - 30)]) {
      const { delegates } = max(logits);
      delegates.forEach((delegate, group) => {
        const some = [...logits.subarray(group * GROUP_SIZE, (group + 1) * GROUP_SIZE)];
        const largest = Math.min(
          Math.max(-Infinity, ...some.filter((logit) => logit > -Infinity)),
          3.4028234663852886e38,
        );
        if (delegate !== largest) wrong.push(`${name}, group ${group}: ${delegate}, not ${largest}`);
      });
    }
  }
  expect(wrong).toEqual([]);
});

test("the table's weights are those of the polynomial", () => {
  const random = new Random(5);
  const row = new Float32Array(2 ** 15);
  const wrong: string[] = [];
  for (const temperature of [1e-5, 0.8, 1, 30, 1e15]) {
    const scale = distanceScale(temperature);
    for (const largest of [12, 0, -7.5, 1e-40, 3e38].map(Math.fround)) {
      const table = weightTable(row, largest, scale)!;
      const compare = (logit: number): void => {
        const weight = table.weightAt(table.heightOf(logit, largest, scale / 2));
        const expected = logit > -Infinity ? exp2fix(distance(largest, logit, scale)) : 0;
        if (weight !== expected) wrong.push(`${logit} of ${largest} at ${temperature}: ${weight}, not ${expected}`);
      };
      for (let i = 0; i < 20_000; i++) {
        // Octaves below the largest, so that every temperature sees all of them.
        const logit = Math.fround(largest - ((random.unit() * 33) / scale) * 2 ** 21);
        compare(logit);
      }
      // On both sides of where far distances begin.
      for (let i = -40; i <= 40; i++) compare(Math.fround(largest - ((2 ** 23 + i) / scale) * 2));
      for (const logit of [largest, -Infinity, Number.NaN, -3.4028234663852886e38]) compare(logit);
    }
  }
  expect(wrong).toEqual([]);
});

test("there is no table where it would not hold, or not pay", () => {
  const [large, scale] = [new Float32Array(2 ** 15), distanceScale(1)];
  expect(weightTable(large, 1, scale)).toBeDefined();
  expect(weightTable(large.subarray(1), 1, scale)).toBeUndefined();
  expect(weightTable(large, 3.4028234663852886e38, scale)).toBeUndefined();
  expect(weightTable(large, 1, distanceScale(1e18))).toBeUndefined();
});
