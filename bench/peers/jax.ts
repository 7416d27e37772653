/** jax-js on WebGPU, every mode one jitted function. */
import { defaultDevice, init, jit, lax, nn, numpy as np, random, type Array as JaxArray } from "@jax-js/jax";
import type { ModeName } from "../cases.ts";
import manifest from "./package.json";
import { type Calls, type LoadedPeer, MIN_P, type Peer, TEMPERATURE, TOP_K, TOP_P } from "./peer.ts";

type Sample = (key: JaxArray, logits: JaxArray) => JaxArray;

/** The k best, cut where their mass reaches p, and one of them drawn. */
function best(key: JaxArray, logits: JaxArray, k: number, p: number): JaxArray {
  const [values, indices] = lax.topK(logits, k);
  let scaled = values.mul(1 / TEMPERATURE);
  if (p < 1) {
    const shares = nn.softmax(scaled.ref, -1);
    const before = np.cumsum(shares.ref, -1).sub(shares);
    scaled = np.where(before.less(p), scaled, -Infinity);
  }
  const drawn = random.categorical(key, scaled);
  return np.takeAlongAxis(indices, np.expandDims(drawn, -1), -1);
}

const sampleOf = (vocab: number): Readonly<Record<ModeName, Sample>> => ({
  greedy: (key, logits) => {
    key.dispose();
    return np.argmax(logits, -1);
  },
  none: (key, logits) => random.categorical(key, logits.mul(1 / TEMPERATURE)),
  "top-k": (key, logits) => best(key, logits, Math.min(TOP_K, vocab), 1),
  "top-k+top-p": (key, logits) => best(key, logits, Math.min(TOP_K, vocab), TOP_P),
  "top-p": (key, logits) => best(key, logits, vocab, TOP_P),
  "min-p": (key, logits) => {
    const scaled = logits.mul(1 / TEMPERATURE);
    const threshold = np.max(scaled.ref, -1, { keepdims: true }).add(Math.log(MIN_P));
    return random.categorical(key, np.where(scaled.ref.greaterEqual(threshold), scaled, -Infinity));
  },
});

export async function jaxPeer(): Promise<Peer> {
  if (!(await init("webgpu")).includes("webgpu")) throw new Error("jax-js: its WebGPU backend did not start");
  defaultDevice("webgpu");
  let seed = 0;
  return {
    name: "jax-js",
    version: manifest.dependencies["@jax-js/jax"],
    how: "argmax, topK and random.categorical under jit; topK is a full argsort",
    load: async ({ vocab, batch, data }): Promise<LoadedPeer> => {
      const logits = np.array(data.slice(), { shape: [batch, vocab] });
      await logits.ref.blockUntilReady();
      const functions: { dispose(): void }[] = [];
      const calls = (sample: Sample): Calls => {
        const compiled = jit(sample);
        functions.push(compiled);
        return async (count) => {
          const outputs = Array.from({ length: count }, () => compiled(random.key(seed++), logits.ref));
          return Promise.all(outputs.map((output) => output.data() as Promise<Int32Array>));
        };
      };
      return {
        modes: Object.fromEntries(Object.entries(sampleOf(vocab)).map(([mode, sample]) => [mode, calls(sample)])),
        release: () => {
          for (const compiled of functions) compiled.dispose();
          logits.dispose();
        },
      };
    },
  };
}
