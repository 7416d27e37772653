/** Measures decoding loops in this page; `scripts/bench-onnxruntime.mjs` asks for it and prints what comes out. */
import * as ort from "onnxruntime-web/webgpu";
import { generate } from "webgpu-token-sampler/onnxruntime";
import { largeModel } from "./large.ts";

export interface Options {
  readonly steps: number;
  readonly rounds: number;
  readonly vocab: number;
  readonly batches: readonly number[];
}

export interface Measured {
  readonly model: string;
  readonly batch: number;
  readonly loop: string;
  /** Steps per second, one entry per round. */
  readonly rates: number[];
  /** Bytes read back from the GPU in one round, by anybody on the page, over its steps. */
  bytesPerStep: number;
  readsPerStep: number;
}

let [bytes, reads] = [0, 0];
const { mapAsync } = GPUBuffer.prototype; // oxlint-disable-line typescript/unbound-method -- called with its own `this`
GPUBuffer.prototype.mapAsync = function (mode, offset, size) {
  if (mode === GPUMapMode.READ) {
    bytes += size ?? this.size - (offset ?? 0);
    reads++;
  }
  return mapAsync.call(this, mode, offset, size);
};

async function sessions(file: Uint8Array): Promise<Record<"gpu" | "cpu", ort.InferenceSession>> {
  const executionProviders = ["webgpu"];
  const gpu = await ort.InferenceSession.create(file, { executionProviders, preferredOutputLocation: "gpu-buffer" });
  const locations = gpu.outputNames.map((name) => [name, name === "logits" ? "cpu" : "gpu-buffer"] as const);
  const cpu = await ort.InferenceSession.create(file, {
    executionProviders,
    preferredOutputLocation: Object.fromEntries(locations),
  });
  return { gpu, cpu };
}

async function measure(name: string, file: Uint8Array, { steps, rounds }: Options, batch: number): Promise<Measured[]> {
  const { gpu, cpu } = await sessions(file);
  const prompt = Array.from({ length: batch }, (_, row) => [0, 2 + row, 40 + row]);
  const params = prompt.map((_, row) => ({ temperature: 0.8, topP: 0.9, seed: BigInt(row) }));
  const loop = (session: ort.InferenceSession, fetchEvery: number, loop: string) => {
    const measured: Measured = { model: name, batch, loop, rates: [], bytesPerStep: 0, readsPerStep: 0 };
    return { session, fetchEvery, measured };
  };
  const loops = [
    loop(cpu, 1, "logits downloaded, sampled on the CPU"),
    loop(gpu, 1, "sampled on the GPU, tokens fetched every step"),
    loop(gpu, 16, "sampled on the GPU, tokens fetched every 16 steps"),
  ];
  const texts = new Set<string>();
  // Round 0 compiles shaders for all lengths, and is not measured.
  for (let round = 0; round <= rounds; round++) {
    for (const { session, fetchEvery, measured } of loops) {
      const text: number[] = [];
      let start = 0;
      for await (const { step, tokens } of generate(ort, session, {
        prompt,
        params,
        maxTokens: steps + fetchEvery,
        fetchEvery,
      })) {
        text.push(...tokens);
        // The first steps make the sampler and run the prompt.
        if (step === fetchEvery - 1) [start, bytes, reads] = [performance.now(), 0, 0];
      }
      const seconds = (performance.now() - start) / 1000;
      texts.add(text.slice(0, steps * batch).join());
      if (round === 0) continue;
      measured.rates.push(steps / seconds);
      measured.bytesPerStep = bytes / steps;
      measured.readsPerStep = reads / steps;
    }
    console.log(`${name}, batch ${batch}: round ${round} of ${rounds}`);
  }
  if (texts.size !== 1) throw new Error(`${name}, batch ${batch}: the loops wrote ${texts.size} different texts`);
  await gpu.release();
  await cpu.release();
  return loops.map(({ measured }) => measured);
}

async function bench(options: Options): Promise<{ results: Measured[]; adapter: string }> {
  const tales = new Uint8Array(await (await fetch("/demo/model/tales/onnx/model.onnx")).arrayBuffer());
  const models = [
    ["tales", tales],
    [`product of thin matrices, ${options.vocab.toLocaleString("en-US")} tokens`, largeModel(options.vocab)],
  ] as const;
  const results: Measured[] = [];
  for (const [name, file] of models) {
    for (const batch of options.batches) results.push(...(await measure(name, file, options, batch)));
  }
  const { vendor, architecture, description } = (await ort.env.webgpu.device).adapterInfo;
  return { results, adapter: [vendor, architecture, description].filter(Boolean).join(" ") };
}

Object.assign(globalThis, { bench });
