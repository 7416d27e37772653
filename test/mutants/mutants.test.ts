/** The list of `npm run mutants` follows the code: a fault that cannot be planted would pass for one that was found. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { mutants } from "./mutants.mjs";

test("every fault can be planted in one place, and is another one", () => {
  const stale = mutants.filter(({ file, search }) => readFileSync(file, "utf8").split(search).length !== 2);
  expect(stale.map(({ name, file, search }) => `${name}: ${file} must hold once:\n${search}`)).toEqual([]);
  expect(mutants.filter(({ search, replace }) => search === replace)).toEqual([]);
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
  const faults = mutants.map(({ file, search, replace }) => JSON.stringify([file, search, replace]));
  expect(new Set(faults).size).toBe(mutants.length);
});
