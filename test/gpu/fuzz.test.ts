/** A little of `npm run fuzz`, which takes as long as it is given. */
import { expect, test } from "vitest";
import { fuzz, replay } from "../fuzz/fuzz.ts";
import { lineOf } from "../fuzz/case.ts";
import { sharedDevice } from "../support/device.ts";

const device = await sharedDevice();

test("GPU = reference on random calls, new ones every time", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const { cases, failure } = await fuzz(device, { seed, milliseconds: 8000 });
  expect(failure, `seed ${seed}; npm run fuzz -- --replay '${failure?.line}'`).toBeUndefined();
  expect(cases).toBeGreaterThan(0);
});

test("a line replays its case", async () => {
  const line = lineOf({
    vocabSize: 1500,
    logitsType: "float32",
    tuning: 0,
    chunkRows: 1,
    lead: 1,
    gap: 2,
    rows: [
      { logits: "pool", logitsSeed: 3, params: { topP: 0.7, seed: 2n ** 64n - 1n, position: 5n } },
      { logits: "edges", logitsSeed: 4, params: { topK: 9, minP: 0.1, order: "vllm", seed: 0n, position: 0n } },
    ],
  });
  expect(await replay(device, line)).toBeUndefined();
});
