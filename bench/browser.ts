/** What the bench's page runs; `scripts/bench.mjs` opens it and calls `bench`, `scripts/tune.mjs` calls `tune`. */
import type { BenchOptions, BenchOutcome } from "./cases.ts";
import { prepareControls } from "./controls.ts";
import { bench, requestBenchDevice } from "./run.ts";
import { tune, type TuneOutcome } from "./tune.ts";

Object.assign(globalThis, {
  bench: async (options: BenchOptions): Promise<BenchOutcome> =>
    bench(
      await requestBenchDevice(navigator.gpu, options.shapes),
      options,
      (line) => console.log(line),
      options.controls === true ? prepareControls : undefined,
    ),
  tune: async (options: BenchOptions): Promise<TuneOutcome> =>
    tune(await requestBenchDevice(navigator.gpu, options.shapes), options, (line) => console.log(line)),
});
