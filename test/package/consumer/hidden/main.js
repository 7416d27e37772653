/** A tab that samples when nobody looks at it, and says in its title how that went. */
import { createSampler } from "../node_modules/webgpu-token-sampler/dist/index.js";

const logits = Float32Array.from({ length: 3000 }, (_, at) => ((at * 7919) % 1009) / 128);
const samplers = await Promise.all(
  ["webgpu", "cpu"].map((engine) => createSampler({ vocabSize: 1000, maxBatch: 3, engine })),
);

/** Whether both engines draw the same in so many calls that overlap. */
globalThis.agree = async (calls) => {
  const [gpu, cpu] = await Promise.all(
    samplers.map((sampler) =>
      Promise.all(Array.from({ length: calls }, () => sampler.sample(logits, { seed: 5n, temperature: 2 }))),
    ),
  );
  return gpu.length === calls && gpu.every(({ tokens }, call) => String(tokens) === String(cpu[call].tokens));
};

async function tell() {
  document.title = `${document.visibilityState}: ${await globalThis.agree(20)}`;
}
document.addEventListener("visibilitychange", () => void tell());
document.title = document.visibilityState;
