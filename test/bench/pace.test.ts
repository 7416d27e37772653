import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { BenchOptions } from "../../bench/cases.ts";
import type { Clock } from "../../bench/clock.ts";
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
    buffers: [],
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
