/** GPU = reference on random calls. */
import * as fc from "fast-check";
import { deviceRows, open } from "../everywhere/device.ts";
import { referenceRows, rowDifference } from "../everywhere/outcome.ts";
import { anyCase, callOf, caseOf, type FuzzCase, lineOf } from "./case.ts";

/** Runs one case: how device and reference differ, or undefined. */
export async function runCase(device: GPUDevice, value: FuzzCase): Promise<string | undefined> {
  const { section, call, configuration } = callOf(value);
  const opened = await open(device, section, configuration);
  try {
    const actual = await deviceRows(device, opened, section, call, configuration);
    const expected = referenceRows(section, call);
    for (const [row, outcome] of actual.entries()) {
      const difference = rowDifference(outcome, expected[row]!);
      if (difference !== undefined) return `row ${row}: ${difference}`;
    }
    return undefined;
  } finally {
    opened.sampler.destroy();
  }
}

/** Runs the case of a line. */
export function replay(device: GPUDevice, line: string): Promise<string | undefined> {
  return runCase(device, caseOf(line));
}

export interface FuzzOptions {
  readonly seed: number;
  /** Ends at whichever comes first. */
  readonly milliseconds?: number | undefined;
  readonly runs?: number | undefined;
  /** Whether a failing case is made small. Default true. */
  readonly shrink?: boolean | undefined;
  /** Changes every case before it is run. */
  readonly narrow?: ((value: FuzzCase) => FuzzCase) | undefined;
  /** Called after every case. */
  readonly onCase?: (() => void) | undefined;
  /** Called now and then with what has run so far. */
  readonly log?: ((cases: number, rows: number) => void) | undefined;
}

export interface FuzzOutcome {
  readonly cases: number;
  readonly rows: number;
  /** The smallest failing case that was found, as a line, and what is wrong with it. */
  readonly failure?: { readonly line: string; readonly difference: string };
}

/** Draws cases until the budget is spent or one fails; that one is then made as small as possible. */
export async function fuzz(
  device: GPUDevice,
  { seed, milliseconds, runs, shrink = true, narrow, onCase, log }: FuzzOptions,
): Promise<FuzzOutcome> {
  let [cases, rows] = [0, 0];
  let last: { readonly value: FuzzCase; readonly difference: Promise<string | undefined> } | undefined;
  const arbitrary = narrow === undefined ? anyCase : anyCase.map(narrow);
  const property = fc.asyncProperty(arbitrary, async (value) => {
    cases++;
    rows += value.rows.length;
    if (log !== undefined && cases % 500 === 0) log(cases, rows);
    last = { value, difference: runCase(device, value).catch(String) };
    const difference = await last.difference;
    onCase?.();
    if (difference !== undefined) throw new Error(difference);
  });
  const details = await fc.check(property, {
    seed,
    endOnFailure: !shrink,
    numRuns: runs ?? 2 ** 31 - 1,
    ...(milliseconds !== undefined && { interruptAfterTimeLimit: milliseconds, markInterruptAsFailure: false }),
  });
  // The end of the budget does not end the case that runs then.
  const difference = await last?.difference;
  // A budget that ends within the first case counts as a failure for fast-check, without a case that fails.
  if (details.counterexample !== null) {
    const why = details.errorInstance instanceof Error ? details.errorInstance.message : "";
    return { cases, rows, failure: { line: lineOf(details.counterexample[0]), difference: why } };
  }
  if (last === undefined || difference === undefined) return { cases, rows };
  return { cases, rows, failure: { line: lineOf(last.value), difference } };
}
