/** The logits are copied to the CPU, and JavaScript samples them there. */
import { MODE_NAMES, MODES, type ModeName } from "../cases.ts";
import { Readback } from "../readback.ts";
import { JavaScriptSampler } from "./javascript.ts";
import type { Calls, LoadedPeer, Peer, Rows } from "./peer.ts";

/** Logits in a buffer of a device, to be copied out and read. */
export function uploadRows(device: GPUDevice, { data }: Rows): GPUBuffer {
  const buffer = device.createBuffer({
    label: "bench.peer-logits",
    size: data.byteLength,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(buffer, 0, data);
  return buffer;
}

export function copyPeer(device: GPUDevice): Peer {
  return {
    name: "copy + JavaScript",
    version: "",
    how: "copied to a mapped buffer and sampled there by hand-written JavaScript",
    load: async (rows): Promise<LoadedPeer> => {
      const { vocab, batch, data } = rows;
      const buffer = uploadRows(device, rows);
      const readback = new Readback(device);
      const sampler = new JavaScriptSampler(vocab);
      const call = (mode: ModeName): Promise<Uint32Array> =>
        readback.read(buffer, data.byteLength, (mapped) => {
          const logits = new Float32Array(mapped);
          const tokens = new Uint32Array(batch);
          for (let row = 0; row < batch; row++) {
            tokens[row] = sampler.sample(logits.subarray(row * vocab, (row + 1) * vocab), MODES[mode], Math.random());
          }
          return tokens;
        });
      const calls =
        (mode: ModeName): Calls =>
        (count) =>
          Promise.all(Array.from({ length: count }, () => call(mode)));
      return {
        modes: Object.fromEntries(MODE_NAMES.map((mode) => [mode, calls(mode)])),
        release: () => {
          readback.destroy();
          buffer.destroy();
        },
      };
    },
  };
}
