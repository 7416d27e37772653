/** What the bench's page runs; `scripts/bench.mjs` opens it and calls `bench`. */
import type { BenchOptions, BenchOutcome } from "./cases.ts";
import { bench, requestBenchDevice } from "./run.ts";

Object.assign(globalThis, {
  bench: async (options: BenchOptions): Promise<BenchOutcome> =>
    bench(await requestBenchDevice(navigator.gpu, options.shapes), options, (line) => console.log(line)),
});
