/** A little of `npm run fuzz`, which takes as long as it is given. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createSampler } from "../../src/index.ts";
import { OUTPUT_NAMES } from "../../src/outputs.ts";
import { STAGE_PARAMS } from "../../src/stages.ts";
import { fuzz, replay } from "../fuzz/fuzz.ts";
import { anyCase, caseOf, type FuzzCase, lineOf, tunings, withoutStages } from "../fuzz/case.ts";
import { sharedDevice } from "../support/device.ts";

const device = await sharedDevice();

const seed = Math.floor(Math.random() * 2 ** 31);
// One tuning and type a time, since all of them are compiled.
const tuning = seed % tunings.length;
const logitsType = (["float32", "float16", "bfloat16"] as const)[(seed >>> 8) % 3]!;

test("GPU = reference on random calls, other ones every time", async () => {
  // So are processed logits or stages, reports or written rows: before the clock starts, so that the time is for cases.
  const staged = (seed >>> 16) % 2 === 1;
  const written = (seed >>> 17) % 2 === 1;
  const narrow = (value: FuzzCase): FuzzCase => {
    const { rows } = value;
    const one = { ...value, tuning, logitsType, written, told: !written };
    if (!staged) return withoutStages(one);
    return { ...one, maxHistory: 0, rows: rows.map((row) => Object.assign({}, row, { process: undefined })) };
  };
  const options = { vocabSize: 1, maxHistory: staged ? 0 : 1, device, logitsType, tuning: tunings[tuning]! };
  const first = await createSampler(options);
  const data = logitsType === "float32" ? new Float32Array(1) : new Uint16Array(1);
  const params = staged ? { typicalP: 0.5 } : {};
  await (written ? first.renormalize(data, params) : first.sample(data, { ...params, rank: true }));
  first.destroy();
  const { cases, failure } = await fuzz(device, { seed, milliseconds: 5000, narrow });
  expect(failure, `seed ${seed}; npm run fuzz -- --replay '${failure?.line}'`).toBeUndefined();
  expect(cases).toBeGreaterThan(0);
});

test("a device that reads other logits is found out, and the line that comes of it shows it again", async () => {
  const { queue } = device;
  const writeBuffer = queue.writeBuffer.bind(queue);
  const small = caseOf(
    '{"vocabSize":40,"tuning":0,"chunkRows":8,"lead":0,"gap":0,"maxHistory":0,"further":0,"draws":1,"told":false,"written":false}',
  );
  const narrow = ({ rows }: FuzzCase): FuzzCase => ({
    ...small,
    tuning,
    logitsType,
    rows: rows.map(({ params: { seed, position }, logitsSeed, replacement }) => {
      return { logits: "lastTokenOnly", logitsSeed, params: { seed, position }, replacement };
    }),
  });
  let line: string;
  queue.writeBuffer = (...args) => {
    writeBuffer(...args);
    const [{ label, size }] = args;
    // In every type these bits are larger than any logit of the case. The self-check's rows are longer.
    if (label === "webgpu-token-sampler.logits" && size < 1000) writeBuffer(args[0], 0, Uint32Array.of(0x7b7f_7b7f));
  };
  try {
    const { cases, failure } = await fuzz(device, { seed, runs: 10, narrow });
    expect(failure?.difference).toMatch(/^row 0: token 0 is [01], expected 39$/);
    ({ line } = failure!);
    expect(caseOf(line).rows, `the smallest of ${cases}`).toHaveLength(1);
    expect(await replay(device, line)).toBe(failure!.difference);
  } finally {
    Reflect.deleteProperty(queue, "writeBuffer");
  }
  expect(await replay(device, line)).toBeUndefined();
});

test("a line replays its case", async () => {
  const line = lineOf({
    vocabSize: 1500,
    logitsType,
    tuning,
    chunkRows: 1,
    lead: 1,
    gap: 2,
    maxHistory: 0,
    further: 1,
    draws: 2,
    told: false,
    written: false,
    rowMap: [1, 1, 0, 0, 0, 0],
    rows: [
      {
        logits: "pool",
        logitsSeed: 3,
        params: { topP: 0.7, seed: 2n ** 64n - 1n, position: 5n },
        replacement: true,
        outputs: { logprobs: "raw", topLogprobs: 3, logprobTokens: [1600], rank: true },
      },
      {
        logits: "edges",
        logitsSeed: 4,
        params: { topK: 9, minP: 0.1, order: "vllm", seed: 0n, position: 0n },
        replacement: false,
      },
    ],
  });
  expect(await replay(device, line)).toBeUndefined();
});

test("a line carries all of its case", () => {
  const cases = fc.sample(anyCase, { numRuns: 300, seed: 1 });
  expect(new Set(cases.flatMap(({ rows }) => rows.flatMap(({ stages }) => Object.keys(stages ?? {}))))).toEqual(
    new Set([...STAGE_PARAMS, "temperature"]),
  );
  expect(new Set(cases.flatMap(({ rows }) => rows.flatMap(({ outputs }) => Object.keys(outputs ?? {}))))).toEqual(
    new Set(OUTPUT_NAMES),
  );
  for (const value of cases) expect(caseOf(lineOf(value))).toEqual(value);
});
