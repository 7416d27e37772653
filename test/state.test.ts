/** What stages keep of rows, through the interface, on the CPU engine: its values, and every bad argument by name. */
import { describe, expect, test } from "vitest";
import { createSampler, type Sampler } from "../src/index.ts";
import { failure } from "./support/failure.ts";

const [V, ROWS] = [8, 3];
const sampler = (): Promise<Sampler> => createSampler({ vocabSize: V, maxBatch: ROWS, engine: "cpu" });
/** Every token has a probability of 1/8: a surprise of three bits. */
const even = new Float32Array(ROWS * V);
const any = (value: unknown): never => value as never;

test("Mirostat's limit is told in bits, from twice its target on", async () => {
  const one = await sampler();
  expect(await one.state.read(1)).toEqual({ mirostat: 0, adaptiveP: undefined });
  // Two bits below the target, half of which are learned; then above it.
  const params = { mirostat: 2, mirostatEta: 0.5, seed: 1n } as const;
  await one.sample(even, { ...params, mirostatTau: 5 });
  expect(await one.state.read(1)).toEqual({ mirostat: 1, adaptiveP: undefined });
  await one.sample(even, [{}, { ...params, mirostatTau: 2.25 }, {}]);
  expect((await one.state.read(1)).mirostat).toBe(0.625);
  expect((await one.state.read(0)).mirostat, "a row that did without").toBe(1);
});

test("adaptive-p's average is told as a probability, and is undefined before the first token", async () => {
  const one = await sampler();
  const params = { adaptiveP: 0.25, adaptiveDecay: 0.5, seed: 1n };
  await one.sample(even.subarray(0, V), params);
  expect((await one.state.read(1)).adaptiveP, "a row that was not drawn").toBeUndefined();
  // Half of it is the target, where it begins, and half the token.
  expect(await one.state.read(0)).toEqual({ mirostat: 0, adaptiveP: (0.25 + 0.125) / 2 });
  await one.sample(even.subarray(0, V), params);
  expect((await one.state.read(0)).adaptiveP).toBe((0.25 + 0.125 + 2 * 0.125) / 4);
});

describe("bad arguments", () => {
  const encoder = any({ clearBuffer() {} });
  const row = (name: string, got: string): RegExp =>
    new RegExp(`^${name.replace(/[[\]]/g, "\\$&")}: expected a row from 0 to 2, got ${got}$`);
  test.each<
    [string, (state: Sampler["state"]) => unknown, typeof TypeError | typeof RangeError | typeof Error, RegExp]
  >([
    ["read: a row too many", (s) => s.read(3), RangeError, row("row", "3")],
    ["read: a row below 0", (s) => s.read(-1), RangeError, row("row", "-1")],
    ["read: no row", (s) => s.read(any(undefined)), TypeError, /^row: expected a number, got undefined$/],
    ["reset: half a row", (s) => s.reset(0.5), RangeError, row("row", "0.5")],
    ["reset: a row by text", (s) => s.reset(any("1")), TypeError, /^row: expected a number, got "1"$/],
    ["copy: from a row too many", (s) => s.copy(3, 0), RangeError, row("from", "3")],
    ["copy: to a row too many", (s) => s.copy(0, 3), RangeError, row("to", "3")],
    ["copy: to no row", (s) => s.copy(0, any(undefined)), TypeError, /^to: expected a number, got undefined$/],
    ["reorder: a row too many", (s) => s.reorder([0, 3]), RangeError, row("sources[1]", "3")],
    ["reorder: more than there are", (s) => s.reorder([0, 1, 2, 0]), RangeError, /^sources: expected at most 3 rows/],
    ["reorder: no list", (s) => s.reorder(any(1)), TypeError, /^sources: expected a list of rows, got 1$/],
    ["reset: no encoder", (s) => s.reset(0, any({})), TypeError, /^encoder: expected a GPUCommandEncoder, got Object$/],
    ["copy: no encoder", (s) => s.copy(0, 0, any(null)), TypeError, /^encoder: .*got null$/],
    ["reorder: no encoder", (s) => s.reorder([], any(7)), TypeError, /^encoder: .*got 7$/],
    ["reset: an encoder on the CPU", (s) => s.reset(0, encoder), Error, /^encoder: this sampler runs on the "cpu"/],
    ["copy: an encoder on the CPU", (s) => s.copy(0, 1, encoder), Error, /^encoder: this sampler runs on the "cpu"/],
    ["reorder: an encoder on the CPU", (s) => s.reorder([1], encoder), Error, /^encoder: this sampler .* "cpu"/],
  ])("%s", async (_, call, type, message) => {
    const one = await sampler();
    await one.sample(even, { mirostat: 2, seed: 1n });
    const before = await Promise.all([0, 1, 2].map((at) => one.state.read(at)));
    const error = await failure(async () => call(one.state));
    expect(error).toBeInstanceOf(type);
    expect(error.message).toMatch(message);
    expect(await Promise.all([0, 1, 2].map((at) => one.state.read(at)))).toEqual(before);
  });

  test("after destroy", async () => {
    const one = await sampler();
    one.destroy();
    for (const call of [() => one.state.reset(), () => one.state.copy(0, 1), () => one.state.read(0)]) {
      expect((await failure(async () => call())).message).toMatch(/the sampler was destroyed/);
    }
  });
});
