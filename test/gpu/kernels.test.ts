/**
 * Every kernel alone against its twin, buffer for buffer. What a kernel writes into is filled with a sentinel and ends
 * in a guard band, so that a write that is missing, partial or astray shows.
 */
import { describe, expect, test } from "vitest";
import { planRow, type SamplingParams } from "../../src/params.ts";
import { draw } from "../../src/reference/draw.ts";
import { list, type WeightedCandidates } from "../../src/reference/list.ts";
import { KEEP_ALL, mass } from "../../src/reference/mass.ts";
import { max } from "../../src/reference/max.ts";
import {
  bitsFloat,
  bitsOfKey,
  distance,
  exp2fix,
  floatBits,
  keyOfBits,
  MAX_DISTANCE,
} from "../../src/reference/numeric.ts";
import { write } from "../../src/reference/write.ts";
import { emptyState } from "../../src/reference/stages.ts";
import { WRITTEN } from "../../src/webgpu/engine.ts";
import type { Constants, KernelName } from "../../src/webgpu/kernels.ts";
import { callBytes, massConstants, packCall, RECORD_STATE, RECORD_WORDS, unpackRecord } from "../../src/webgpu/pack.ts";
import { furtherPipelines, pipelinesFor } from "../../src/webgpu/pipelines.ts";
import { groupsOf, type Tuning, tuningFor } from "../../src/webgpu/tuning.ts";
import { show, stagedSets } from "../support/cases.ts";
import { bufferOf, sharedDevice, wordsOf } from "../support/device.ts";
import { batch, type InputName, inputNames } from "../support/inputs.ts";

const device = await sharedDevice();
const SENTINEL = 0xa5a5_a5a5;
const GUARD = 64;
/** Rows of other calls in front of and behind the ones under test. */
const FIRST_ROW = 2;
/** Words of a record that stages keep from token to token. */
const STATE = [RECORD_STATE, RECORD_STATE + 1, RECORD_STATE + 2];

/** Buffers of one call, as the kernels see them. */
class Bench {
  readonly tuning: Tuning;
  readonly groups: number;
  readonly #pipelines;
  readonly #buffers: Record<string, GPUBuffer>;
  readonly #rows: number;
  readonly #staged: boolean;
  readonly #constants: Partial<Record<KernelName, Constants>>;

  static async create(
    logits: Float32Array,
    vocab: number,
    params: SamplingParams,
    overrides: Partial<Tuning>,
  ): Promise<Bench> {
    const tuning = tuningFor(device, false, overrides);
    return new Bench(await pipelinesFor(device, "float32", tuning), tuning, logits, vocab, params);
  }

  private constructor(
    pipelines: Awaited<ReturnType<typeof pipelinesFor>>,
    tuning: Tuning,
    logits: Float32Array,
    vocab: number,
    params: SamplingParams,
  ) {
    this.tuning = tuning;
    this.#pipelines = pipelines;
    this.#rows = logits.length / vocab;
    this.groups = groupsOf(vocab, tuning);
    const plan = planRow(params, vocab);
    this.#staged = plan.stages !== undefined;
    this.#constants = { mass: massConstants([plan]), write: { OUTPUT: WRITTEN.logits } };
    const shape = {
      vocab,
      groups: this.groups,
      first: 0,
      rowStride: vocab,
      firstRow: FIRST_ROW,
      tokenFirst: 1,
      tokenStride: 1,
    };
    const call = packCall(
      shape,
      Array.from({ length: this.#rows }, () => plan),
      () => 77n,
      this.#staged,
    );
    // For write: rows of an output that do not touch, from the fourth element on.
    const output = { tokenFirst: 3, tokenStride: vocab + 5 };
    const plans = Array.from({ length: this.#rows }, () => plan);
    const writeCall = packCall({ ...shape, ...output }, plans, () => 77n, this.#staged);
    const records = new Uint32Array(RECORD_WORDS * (this.#rows + 2 * FIRST_ROW)).fill(SENTINEL);
    for (let row = FIRST_ROW; row < FIRST_ROW + this.#rows; row++)
      for (const word of [0, 1, 2, ...STATE]) records[row * RECORD_WORDS + word] = 0;
    const sentinels = (words: number): GPUBuffer => bufferOf(device, new Uint32Array(words + GUARD).fill(SENTINEL));
    this.#buffers = {
      logits: bufferOf(device, logits),
      call: bufferOf(device, call),
      delegates: sentinels(this.#rows * this.groups),
      masses: sentinels(4 * this.#rows * this.groups),
      records: bufferOf(device, records),
      tokens: sentinels(1 + this.#rows),
      writeCall: bufferOf(device, writeCall),
      output: sentinels(3 + this.#rows * (vocab + 5)),
      listing: sentinels(3 * (FIRST_ROW + this.#rows) + 3 * vocab * this.#rows),
    };
    // Headers of the listing: nothing counted yet, room for the whole row, one row after the other.
    const header = new Uint32Array(3 * (FIRST_ROW + this.#rows));
    for (let row = 0; row < this.#rows; row++) {
      header.set([0, vocab, FIRST_ROW + this.#rows + row * vocab], 3 * (FIRST_ROW + row));
    }
    device.queue.writeBuffer(this.#buffers["listing"]!, 0, header);
  }

  run(...kernels: KernelName[]): void {
    const group = (name: "inputs" | "workspace" | "tokens" | "listing" | "output", ...names: string[]): GPUBindGroup =>
      device.createBindGroup({
        layout: this.#pipelines.layouts[name],
        entries: names.map((buffer, binding) => ({
          binding,
          resource: {
            buffer: this.#buffers[buffer]!,
            ...(buffer.endsWith("all") && { size: callBytes(this.#rows, this.#staged) }),
          },
        })),
      });
    const further = furtherPipelines(device, this.#pipelines, "float32", this.tuning);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setBindGroup(0, group("inputs", "logits", "logits"));
    pass.setBindGroup(1, group("workspace", "call", "delegates", "masses", "records"), [0]);
    for (const kernel of kernels) {
      const row = kernel === "draw" || kernel === "stages";
      const constants = this.#constants[kernel] ?? {};
      pass.setPipeline(further.kernel(kernel, { processed: false, staged: this.#staged, constants }));
      if (row) pass.setBindGroup(2, group("tokens", "tokens"));
      if (kernel === "write") {
        pass.setBindGroup(1, group("workspace", "writeCall", "delegates", "masses", "records"), [0]);
        pass.setBindGroup(2, group("output", "output"));
      }
      if (kernel === "list") pass.setBindGroup(2, group("listing", "listing"));
      if (row) pass.dispatchWorkgroups(this.#rows);
      else pass.dispatchWorkgroups(Math.ceil(this.groups / this.tuning.streamWorkgroup), this.#rows);
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
  }

  /** What a buffer holds, its guard band checked and taken off. */
  async read(name: string): Promise<Uint32Array> {
    const words = await wordsOf(device, this.#buffers[name]!);
    if (name === "records") return words;
    expect(
      words.subarray(words.length - GUARD).every((word) => word === SENTINEL),
      `${name}: guard band`,
    ).toBe(true);
    return words.subarray(0, words.length - GUARD);
  }

  destroy(): void {
    for (const buffer of Object.values(this.#buffers)) buffer.destroy();
  }
}

/** The group a token belongs to: `quad_of` in shaders/lib/logits.wgsl, turned round. */
function groupOf({ lanes, quads }: Tuning, lead: number, id: number): number {
  const quad = Math.floor((lead + id) / 4);
  const tile = Math.floor(quad / (lanes * quads));
  return tile * lanes + (quad % lanes);
}

/** The largest key of every group of every row, which is what `max` leaves of them. */
function delegatesOf(
  logits: Float32Array,
  vocab: number,
  { tuning, groups }: Pick<Bench, "tuning" | "groups">,
): Uint32Array {
  const delegates = new Uint32Array((logits.length / vocab) * groups);
  for (const [place, logit] of logits.entries()) {
    const row = Math.floor(place / vocab);
    const at = row * groups + groupOf(tuning, (row * vocab) % 4, place % vocab);
    delegates[at] = Math.max(delegates[at]!, keyOfBits(floatBits(logit)));
  }
  return delegates;
}

/** Compares what `list` has written down of a row, in the order of the row, with its twin. */
function expectListed(listing: Uint32Array, row: number, kept: WeightedCandidates, label: string): void {
  const [count, , first] = listing.subarray(3 * (FIRST_ROW + row));
  const entries = Array.from({ length: count! }, (_, entry) => [
    ...listing.subarray(3 * (first! + entry), 3 * (first! + entry) + 3),
  ]);
  entries.sort((a, b) => b[1]! - a[1]! || a[0]! - b[0]!);
  expect(
    entries.map(([id]) => id),
    label,
  ).toEqual([...kept.tokens]);
  expect(
    entries.map(([, , weight]) => weight),
    label,
  ).toEqual([...kept.weights]);
}

/** One invocation, and many. Other sizes are asked of whole samplers: up to 256 in engines.test.ts, all in test/everywhere. */
const tunings: Partial<Tuning>[] = [
  { lanes: 1, quads: 4, streamWorkgroup: 1, drawWorkgroup: 1, subgroups: false },
  { lanes: 16, quads: 8, streamWorkgroup: 64, drawWorkgroup: 64, subgroups: true },
];
const cases: [InputName, number][] = inputNames.flatMap((name): [InputName, number][] => [
  [name, 2],
  [name, 997],
  [name, 5003],
]);
const settings: SamplingParams[] = [
  { temperature: 0.8 },
  { temperature: 0.8, topP: 0.9 },
  { temperature: 2, minP: 0.01 },
  { temperature: 1.5, topP: 0.8, minP: 0.02, order: "vllm" },
  { temperature: 1.5, topP: 0.8, minP: 0.02, order: "llama.cpp" },
];

describe.each(tunings)("%j", (tuning) => {
  test("max: delegates and the row's largest key", async () => {
    for (const [name, vocab] of cases) {
      const logits = batch([name], vocab, 3, 1);
      const bench = await Bench.create(logits, vocab, {}, tuning);
      bench.run("max");
      const largest = [0, 0, 0];
      for (let row = 0; row < 3; row++) {
        const twin = max(logits.subarray(row * vocab, (row + 1) * vocab));
        largest[row] = twin.max === -Infinity ? 0 : keyOfBits(floatBits(twin.max));
      }
      expect(await bench.read("delegates"), `${name}, ${vocab}`).toEqual(delegatesOf(logits, vocab, bench));
      const records = await bench.read("records");
      expect(
        [2, 3, 4].map((row) => records[row * RECORD_WORDS]),
        `${name}, ${vocab}`,
      ).toEqual(largest);
      bench.destroy();
    }
  });

  test("mass: the weights of every group", async () => {
    for (const [name, vocab] of cases) {
      const params = settings[vocab % settings.length]!;
      const plan = planRow(params, vocab);
      const logits = batch([name], vocab, 3, 2);
      const bench = await Bench.create(logits, vocab, params, tuning);
      bench.run("max", "mass");
      const expected = new Float64Array(3 * bench.groups);
      const limited = plan.minPDistance < MAX_DISTANCE && (plan.minPFirst || params.topP === undefined);
      const scale = params.topP === undefined ? plan.drawScale : plan.filterScale;
      const totals = [0, 0, 0];
      for (let row = 0; row < 3; row++) {
        const logitsOfRow = logits.subarray(row * vocab, (row + 1) * vocab);
        const found = max(logitsOfRow);
        for (let id = 0; id < vocab; id++) {
          const key = keyOfBits(floatBits(logitsOfRow[id]!));
          if (key === 0) continue;
          const z = bitsFloat(bitsOfKey(key));
          if (limited && distance(found.max, z, plan.filterScale) > plan.minPDistance) continue;
          const weight = exp2fix(distance(found.max, z, scale));
          const at = row * bench.groups + groupOf(bench.tuning, (row * vocab) % 4, id);
          expected[at] = expected[at]! + weight;
          totals[row]! += weight;
        }
        if (!limited && found.max !== -Infinity) expect(mass(logitsOfRow, found, scale, KEEP_ALL)).toBe(totals[row]);
      }
      const words = await bench.read("masses");
      const actual = Float64Array.from(expected, (_, group) => {
        const at = 2 * (group + Math.floor(group / bench.groups) * bench.groups);
        return words[at + 1]! * 2 ** 32 + words[at]!;
      });
      expect(actual, `${name}, ${vocab}, ${show(params)}`).toEqual(expected);
      bench.destroy();
    }
  });

  test("draw and list: the token, its weight, the mass, the kept set with its weights", async () => {
    for (const [index, [name, vocab]] of cases.entries()) {
      for (const params of [
        settings[index % settings.length]!,
        { topK: 40, topP: 0.9, minP: 0.01 },
        { temperature: 0 },
        { topK: 700 },
      ]) {
        const seeded = { ...params, seed: BigInt(index), position: 5 };
        const plan = planRow(seeded, vocab);
        const logits = batch([name], vocab, 3, 3);
        const bench = await Bench.create(logits, vocab, seeded, tuning);
        bench.run("max", "mass", "draw", "list");
        const [records, tokens, listing] = [
          await bench.read("records"),
          await bench.read("tokens"),
          await bench.read("listing"),
        ];
        expect(tokens[0]).toBe(SENTINEL);
        for (let row = 0; row < 3; row++) {
          const label = `batch([${name}], ${vocab}, 3, 3), row ${row}, ${show(seeded)}`;
          const logitsOfRow = logits.subarray(row * vocab, (row + 1) * vocab);
          const twin = draw(logitsOfRow, max(logitsOfRow), plan, seeded.seed, 5n);
          expect(unpackRecord(records, FIRST_ROW + row), label).toEqual(twin);
          expect(tokens[1 + row], label).toBe(twin.token);
          const [rising, low, high] = records.subarray((FIRST_ROW + row) * RECORD_WORDS);
          expect([rising, low, high], `${label}: the counter moves on, the maximum is put back`).toEqual([0, 6, 0]);

          const kept = list(logitsOfRow, plan);
          expectListed(listing, row, kept, label);
        }
        for (const row of [0, 1, FIRST_ROW + 3, FIRST_ROW + 4]) {
          const untouched = records.subarray(row * RECORD_WORDS, (row + 1) * RECORD_WORDS);
          expect(
            untouched.every((word) => word === SENTINEL),
            "records of other rows",
          ).toBe(true);
        }
        bench.destroy();
      }
    }
  });

  test("stages and list: the token, its weight, the mass, the kept set with its weights, and what is kept for the next", async () => {
    // One case a set, or two: a CPU takes long for the barriers of large workgroups.
    const every = Math.ceil(cases.length / (tuning.drawWorkgroup === 1 ? 2 : 1));
    for (const [index, params] of stagedSets.entries()) {
      for (const [name, vocab] of cases.filter((_, at) => at % every === index % every)) {
        const seeded = { ...params, seed: BigInt(index), position: 5 };
        const plan = planRow(seeded, vocab);
        const logits = batch([name], vocab, 3, 3);
        const bench = await Bench.create(logits, vocab, seeded, tuning);
        const states = [emptyState(), emptyState(), emptyState()];
        // Three tokens of each row, since some stages depend on what was drawn.
        for (let step = 0; step < 3; step++) {
          bench.run("max", "stages");
          if (step === 0) bench.run("list");
          const records = await bench.read("records");
          const listing = await bench.read("listing");
          for (let row = 0; row < 3; row++) {
            const label = `batch([${name}], ${vocab}, 3, 3), row ${row}, token ${step}, ${show(seeded)}`;
            const logitsOfRow = logits.subarray(row * vocab, (row + 1) * vocab);
            const before = states[row]!;
            const { state = before, ...twin } = draw(logitsOfRow, max(logitsOfRow), plan, seeded.seed, 5n, before);
            expect(unpackRecord(records, FIRST_ROW + row), label).toEqual(twin);
            const words = records.subarray((FIRST_ROW + row) * RECORD_WORDS + RECORD_STATE);
            expect([words[0]! | 0, words[1], words[2]], label).toEqual([
              state.mirostat,
              state.adaptiveSum,
              state.adaptiveTotal,
            ]);
            states[row] = state;
            if (step > 0) continue;
            const kept = list(logitsOfRow, plan, undefined, { seed: seeded.seed, position: 5n, state: before });
            expectListed(listing, row, kept, label);
          }
        }
        bench.destroy();
      }
    }
  });

  test("write: the logits of the kept tokens", async () => {
    for (const name of inputNames) {
      const vocab = 997;
      const params = { topK: 40, seed: 1n };
      const plan = planRow(params, vocab);
      const logits = batch([name], vocab, 3, 3);
      const bench = await Bench.create(logits, vocab, params, tuning);
      bench.run("max", "draw", "write");
      const output = await bench.read("output");
      const expected = new Uint32Array(output.length).fill(SENTINEL);
      for (let row = 0; row < 3; row++) {
        const logitsOfRow = logits.subarray(row * vocab, (row + 1) * vocab);
        const written = write(logitsOfRow, list(logitsOfRow, plan), "logits");
        expected.set(new Uint32Array(written.buffer), 3 + row * (vocab + 5));
      }
      expect(output, `batch([${name}], ${vocab}, 3, 3)`).toEqual(expected);
      bench.destroy();
    }
  });
});

test("a broken twin is found out", async () => {
  const logits = batch(["flat"], 997, 1, 1);
  const bench = await Bench.create(logits, 997, { topP: 0.9, seed: 1n, position: 0 }, {});
  bench.run("max", "mass", "draw");
  const broken = planRow({ topP: 0.95 }, 997);
  const record = unpackRecord(await bench.read("records"), FIRST_ROW);
  expect(record).toEqual(draw(logits, max(logits), planRow({ topP: 0.9 }, 997), 1n, 0n));
  expect(record).not.toEqual(draw(logits, max(logits), broken, 1n, 0n));
  const delegates = await bench.read("delegates");
  expect(delegates).toEqual(delegatesOf(logits, 997, bench));
  // One that has other lanes, and one that reads from the other end.
  const { tuning, groups } = bench;
  const other = { ...tuning, lanes: 2 * tuning.lanes, quads: tuning.quads / 2 };
  expect(delegates).not.toEqual(delegatesOf(logits, 997, { tuning: other, groups }));
  expect(delegates).not.toEqual(delegatesOf(logits.slice().reverse(), 997, bench));
  bench.destroy();
});
