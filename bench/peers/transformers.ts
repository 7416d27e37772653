/**
 * transformers.js as its `generate` samples: the logits are downloaded, its logits processors run on all rows, and its
 * sampler takes them row by row. It has no top-p and no min-p (4.3.1 takes the parameters and ignores them).
 */
import { env } from "transformers-source/env.js";
import { GenerationConfig } from "transformers-source/generation/configuration_utils.js";
import { LogitsProcessorList, TemperatureLogitsWarper } from "transformers-source/generation/logits_process.js";
import { LogitsSampler } from "transformers-source/generation/logits_sampler.js";
import { Tensor } from "transformers-source/utils/tensor.js";
import { MODES, type ModeName } from "../cases.ts";
import { Readback } from "../readback.ts";
import { uploadRows } from "./copy.ts";
import manifest from "./package.json";
import type { Calls, LoadedPeer, Peer } from "./peer.ts";

const SUPPORTED = ["greedy", "none", "top-k"] as const satisfies readonly ModeName[];

export function transformersPeer(device: GPUDevice, wasmFolder: string): Peer {
  env.backends.onnx.wasm.wasmPaths = wasmFolder;
  env.backends.onnx.wasm.numThreads = 1;
  return {
    name: "transformers.js",
    version: manifest.dependencies["@huggingface/transformers"],
    how: "needs the logits on the CPU, so they are copied there; no top-p and no min-p",
    load: async (rows): Promise<LoadedPeer> => {
      const { vocab, batch, data } = rows;
      const buffer = uploadRows(device, rows);
      const readback = new Readback(device);
      const calls = (mode: (typeof SUPPORTED)[number]): Calls => {
        const { temperature } = MODES[mode];
        const config = new GenerationConfig({
          do_sample: temperature > 0,
          temperature,
          top_k: mode === "top-k" ? MODES[mode].topK : 0,
        });
        const processors = new LogitsProcessorList();
        if (temperature > 0) processors.push(new TemperatureLogitsWarper(temperature));
        const sampler = LogitsSampler.getSampler(config);
        const ids = Array.from({ length: batch }, () => [0n]);
        const call = async (): Promise<bigint[]> => {
          const copy = await readback.read(buffer, data.byteLength, (mapped) => new Float32Array(mapped.slice(0)));
          const scores = processors(ids, new Tensor("float32", copy, [batch, vocab]));
          const tokens: bigint[] = [];
          for (let row = 0; row < batch; row++) {
            const [first] = await sampler(scores[row]!);
            tokens.push(BigInt(first![0]));
          }
          return tokens;
        };
        return (count) => Promise.all(Array.from({ length: count }, call));
      };
      return {
        modes: Object.fromEntries(SUPPORTED.map((mode) => [mode, calls(mode)])),
        release: () => {
          readback.destroy();
          buffer.destroy();
        },
      };
    },
  };
}
