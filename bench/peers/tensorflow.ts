/** TensorFlow.js on its WebGPU backend, composed of its operations. */
import * as tf from "@tensorflow/tfjs-core";
import { webgpu_util } from "@tensorflow/tfjs-backend-webgpu";
import type { ModeName } from "../cases.ts";
import manifest from "./package.json";
import { type Calls, type LoadedPeer, MIN_P, type Peer, TEMPERATURE, TOP_K, TOP_P } from "./peer.ts";

type Sample = (logits: tf.Tensor) => tf.Tensor;

/** Draws from rows of logits; a row of one output. */
const draw = (logits: tf.Tensor): tf.Tensor => tf.multinomial(logits as tf.Tensor2D, 1);

/** The k best, cut where their mass reaches p, and one of them drawn. */
function best(logits: tf.Tensor, k: number, p: number): tf.Tensor {
  const { values, indices } = tf.topk(logits, k, true);
  let scaled = tf.div(values, TEMPERATURE);
  if (p < 1) {
    const before = tf.cumsum(tf.softmax(scaled), 1, true);
    scaled = tf.where(tf.less(before, p), scaled, tf.fill(scaled.shape, -1e30));
  }
  return tf.gather(indices, draw(scaled), 1, 1);
}

const sampleOf = (vocab: number): Readonly<Record<ModeName, Sample>> => ({
  greedy: (logits) => tf.argMax(logits, -1),
  none: (logits) => draw(tf.div(logits, TEMPERATURE)),
  "top-k": (logits) => best(logits, Math.min(TOP_K, vocab), 1),
  "top-k+top-p": (logits) => best(logits, Math.min(TOP_K, vocab), TOP_P),
  "top-p": (logits) => best(logits, vocab, TOP_P),
  "min-p": (logits) => {
    const scaled = tf.div(logits, TEMPERATURE);
    const threshold = tf.add(tf.max(scaled, -1, true), Math.log(MIN_P));
    return draw(tf.where(tf.greaterEqual(scaled, threshold), scaled, tf.fill(scaled.shape, -1e30)));
  },
});

export async function tensorflowPeer(): Promise<Peer> {
  if (!webgpu_util.isWebGPUSupported() || !(await tf.setBackend("webgpu")))
    throw new Error("TensorFlow.js: its WebGPU backend did not start");
  await tf.ready();
  return {
    name: "TensorFlow.js",
    version: manifest.dependencies["@tensorflow/tfjs-core"],
    how: "argMax, topk and multinomial on its WebGPU backend; top-p sorts everything with topk",
    load: async ({ vocab, batch, data }): Promise<LoadedPeer> => {
      const { device } = tf.backend() as unknown as { device: GPUDevice };
      const buffer = device.createBuffer({
        label: "bench.peer-logits",
        size: data.byteLength,
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      });
      device.queue.writeBuffer(buffer, 0, data);
      const logits = tf.tensor({ buffer, zeroCopy: true }, [batch, vocab], "float32");
      const calls =
        (sample: Sample): Calls =>
        async (count) => {
          const outputs = Array.from({ length: count }, () => tf.tidy(() => sample(logits)));
          const tokens = await Promise.all(outputs.map((output) => output.data()));
          tf.dispose(outputs);
          return tokens;
        };
      return {
        modes: Object.fromEntries(Object.entries(sampleOf(vocab)).map(([mode, sample]) => [mode, calls(sample)])),
        release: () => {
          logits.dispose();
          buffer.destroy();
        },
      };
    },
  };
}
