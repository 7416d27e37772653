import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { BenchOptions } from "../../bench/cases.ts";
import type { Clock } from "../../bench/clock.ts";
import { COLD_BYTES, Copies, upload } from "../../bench/copies.ts";
import type { ReadLimit } from "../../bench/limit.ts";
import { IN_FLIGHT, isInFlight, paceOf, Paces, warmUp } from "../../bench/pace.ts";
import { type Contender, type Logits, runCase } from "../../bench/run.ts";

let now = 0;
beforeEach(() => {
  now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now);
});
afterEach(() => {
  vi.restoreAllMocks();
});

const peaked = (batch: number): Pick<Logits, "input" | "vocab" | "batch"> => ({ input: "peaked", vocab: 1000, batch });

/** Someone whose calls take these times one after the other, the last one ever after; `Infinity` fails. */
function contender(...times: number[]): Contender & { readonly calls: number[] } {
  const calls: number[] = [];
  return {
    who: "someone",
    mode: "greedy",
    isPeer: true,
    calls,
    tokens: async (count) => {
      const time = times[Math.min(calls.length, times.length - 1)]!;
      calls.push(count);
      if (time === Infinity) throw new Error("out of luck");
      now += time;
    },
  };
}

describe("pace", () => {
  it("does not count the first call, however long it takes", async () => {
    expect(await warmUp(contender(60_000, 20), peaked(8), new Paces())).toEqual({ pace: "full", notes: [] });
    expect(await warmUp(contender(60_000, 4000), peaked(8), new Paces())).toMatchObject({ pace: "slow" });
  });

  it("takes the second call where it was so slow that there is no other", async () => {
    const one = contender(9000, 7000);
    expect(await warmUp(one, peaked(8), new Paces())).toMatchObject({ pace: "once", time: 7000 });
    expect(one.calls).toEqual([1, 1]);
  });

  it("changes at a quarter of a second and at five seconds", () => {
    expect([249, 250, 5000, 5001].map(paceOf)).toEqual(["full", "slow", "slow", "once"]);
  });

  it("lets quick single rows be several in flight, and lets that warm up as well", async () => {
    expect([isInFlight("full", 1, 99), isInFlight("full", 2, 9), isInFlight("full", 1, 101)]).toEqual([
      true,
      false,
      false,
    ]);
    const one = contender(5, 2);
    await warmUp(one, peaked(1), new Paces());
    expect(one.calls).toEqual([1, 1, IN_FLIGHT]);
  });

  it("leaves out who would be too slow by the number of rows, whatever the rows", () => {
    const paces = new Paces();
    const who = { who: "someone", mode: "top-p" } as const;
    expect(paces.refusal(who, peaked(8))).toBeUndefined();
    paces.learn(who, peaked(8), [1900, 2000, 9000]);
    expect(paces.refusal(who, { ...peaked(8), input: "flat" })).toBeUndefined();
    expect(paces.refusal(who, peaked(20))).toBeUndefined();
    expect(paces.refusal(who, peaked(32))).toBe("not measured: 8 peaked rows took 2 s, so 32 would take some 8 s");
    expect(paces.refusal(who, { ...peaked(32), vocab: 10 })).toBeUndefined();
    expect(paces.refusal({ ...who, mode: "greedy" }, peaked(32))).toBeUndefined();
    paces.learn(who, peaked(1), [7100]);
    paces.learn(who, peaked(1), []);
    expect(paces.refusal(who, peaked(32))).toBe("not measured: 1 peaked row took 7.1 s, so 32 would take some 230 s");
    expect(paces.refusal(who, { ...peaked(1), input: "flat" })).toBe("not measured: 1 peaked row took 7.1 s");
  });

  it("does not call who is left out", async () => {
    const paces = new Paces();
    const one = contender(1);
    paces.learn(one, peaked(1), [6000]);
    expect(await warmUp(one, peaked(8), paces)).toMatchObject({ pace: "stopped" });
    expect(one.calls).toEqual([]);
  });

  it("notes who fails, unless it is ours", async () => {
    const { pace, notes } = await warmUp(contender(Infinity), peaked(8), new Paces());
    expect([pace, ...notes]).toEqual(["stopped", "failed before it was measured: out of luck"]);
    await expect(warmUp({ ...contender(Infinity), isPeer: false }, peaked(8), new Paces())).rejects.toThrow("luck");
  });
});

describe("rounds of a case", () => {
  const options: BenchOptions = {
    shapes: [],
    inputs: ["peaked"],
    modes: ["greedy"],
    rounds: 3,
    targetMs: 1,
    cold: false,
  };
  const timing = { gpu: 2, wall: 3 };
  const clock = { calibrate: async () => 2, time: async () => timing, recording: () => 1 } as unknown as Clock;
  const limit = { fastest: async () => ({ kernel: "k", record: () => {} }) } as unknown as ReadLimit;
  const logits = (batch: number): Logits => ({
    ...peaked(batch),
    data: new Float32Array(0),
    device: {} as GPUDevice,
    copies: new Copies([]),
  });
  const ours: Contender = { who: "ours", mode: "greedy", record: () => {} };
  const run = (paces = new Paces()) => ({ clock, limit, options, progress: () => {}, name: "case", paces });

  it("leaves a peer out that fails in a round, and goes on", async () => {
    const [, failed, well] = (
      await runCase(logits(8), [ours, contender(1, 1, 5, Infinity), { ...contender(1, 5), who: "other" }], run())
    ).figures;
    expect(failed).toEqual({ who: "someone", mode: "greedy", notes: ["failed in round 2: out of luck"] });
    expect(well).toMatchObject({ tokens: { median: 5, count: 3 } });
    const wrong = { ...contender(1, 1, Infinity), isPeer: false };
    await expect(runCase(logits(8), [ours, wrong], run())).rejects.toThrow("out of luck");
  });

  it("calls slow ones twice, and the slowest never again, by what is measured", async () => {
    const paces = new Paces();
    const [slow, slowest] = [contender(9000, 1000, 2000), { ...contender(9000, 6000), who: "other" }];
    const { figures } = await runCase(logits(8), [ours, slow, slowest], run(paces));
    expect(figures[1]).toMatchObject({ tokens: { median: 2000, count: 2 } });
    expect(figures[2]).toMatchObject({ tokens: { median: 6000, count: 1 } });
    expect([slow.calls.length, slowest.calls.length]).toEqual([4, 2]);
    expect(paces.refusal(slow, peaked(16))).toBeUndefined();
    expect(paces.refusal(slow, peaked(32))).toMatch(/^not measured: 8 peaked rows took 2 s/u);
    expect(paces.refusal(slowest, peaked(8))).toMatch(/^not measured/u);
  });
});

describe("copies of the logits", () => {
  const device = () => {
    const written: unknown[] = [];
    const made = {
      createBuffer: ({ size }: GPUBufferDescriptor) => ({ size }),
      queue: { writeBuffer: (buffer: unknown) => written.push(buffer) },
    };
    return { device: made as unknown as GPUDevice, written };
  };

  it.each([
    [32_000, 1],
    [128_256, 8],
    [1024, 8],
    [2 ** 20, 128],
  ])("are as many as are cold, %i × %i", (vocab, batch) => {
    // A length will do: nothing is copied here.
    const data = { byteLength: 4 * vocab * batch } as Float32Array<ArrayBuffer>;
    const { device: cold, written } = device();
    const copies = upload(cold, data, true);
    expect(written.length * data.byteLength).toBeGreaterThanOrEqual(COLD_BYTES);
    expect((written.length - 1) * data.byteLength).toBeLessThan(COLD_BYTES);
    const read = written.map(() => copies.next());
    expect(read).toEqual(written);
    expect(new Set(read).size).toBe(written.length);
    expect(copies.next()).toBe(read[0]);
  });

  it("is one where it may be warm, and too small a case is none", () => {
    const { device: warm, written } = device();
    const copies = upload(warm, new Float32Array(8), false);
    expect(written).toHaveLength(1);
    expect(copies.next()).toBe(copies.next());
    expect(() => upload(warm, new Float32Array(8), true)).toThrow(/--cold: 32 bytes of logits are too few/u);
  });

  it("are not used up by calls that are recorded only", () => {
    const copies = new Copies(Array.from({ length: 5 }, (_, size) => ({ size }) as GPUBuffer));
    copies.next();
    expect(copies.unread(() => [copies.next().size, copies.next().size])).toEqual([1, 2]);
    expect(copies.next().size).toBe(1);
  });
});
