/** A short one of the runs that `npm run soak` makes long. */
import { expect, test } from "vitest";
import { sharedDevice } from "../support/device.ts";
import { growth, type Reading, soak, type SoakResult } from "../soak/soak.ts";

const device = await sharedDevice();

test("a thousand calls of every kind leave nothing behind, and draw what the CPU draws", async () => {
  const result = await soak(device, 1000, 10);
  expect(result.different).toEqual([]);
  expect(result.readings.at(-1)!.calls).toBe(1000);
  // Bind groups are only collected when the browser sees fit; the long run, which can ask for it, counts them.
  expect(growth(result).filter((text) => !text.startsWith("bindGroups"))).toEqual([]);
});

test("a leak would be found", () => {
  const flat: Reading = { calls: 0, buffers: 30, bytes: 1e6, bindGroups: 20, listeners: 1, heap: 5e6 };
  const of = (reading: (at: number) => Partial<Reading>): SoakResult => ({
    calls: 100_000,
    rows: 1,
    samplers: 250,
    left: { buffers: 0, listeners: 1 },
    readings: Array.from({ length: 100 }, (_, at) => ({ ...flat, calls: (at + 1) * 1000, ...reading(at) })),
    different: [],
  });
  expect(growth(of(() => ({})))).toEqual([]);
  expect(growth({ ...of(() => ({})), left: { buffers: 1, listeners: 2 } })).toHaveLength(2);
  expect(growth(of((at) => ({ listeners: 1 + at })))).toHaveLength(1);
  expect(growth(of((at) => ({ buffers: 30 + at, bytes: 1e6 + 1e5 * at, bindGroups: 20 + 10 * at })))).toHaveLength(3);
  expect(growth(of((at) => ({ heap: 5e6 + 1e5 * at })))).toHaveLength(1);
});
