/** What the bench's page runs; `scripts/bench.mjs` opens it and calls `bench`. */
import { type BenchOptions, type Figure, measure, MODES } from "./measure.ts";

async function bench(options: BenchOptions): Promise<{ adapter: string; figures: Figure[] }> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new Error("no WebGPU adapter");
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({
    requiredFeatures: adapter.features.has("subgroups") ? ["subgroups"] : [],
    requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
  });
  const { vendor, architecture, description } = adapter.info;
  const figures = await measure(device, options, (line) => console.log(line));
  return { adapter: [vendor, architecture, description].filter(Boolean).join(" "), figures };
}

Object.assign(globalThis, { bench, modes: Object.keys(MODES) });
