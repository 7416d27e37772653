/** What a program does with the package. The same code in every consumer; `entries.js` has the package's exports by path. */
import { entries } from "./entries.js";

export async function outcome(engine = "auto") {
  const { createSampler } = entries["."];
  const [vocabSize, rows] = [1000, 3];
  const logits = Float32Array.from({ length: rows * vocabSize }, (_, at) => ((at * 7919) % 1009) / 128);
  const sampler = await createSampler({ vocabSize, maxBatch: rows, engine });
  const { tokens, status } = await sampler.sample(logits, [
    { temperature: 0 },
    { temperature: 0.8, topK: 50, minP: 0.02, seed: 1n },
    { temperature: 1.2, topP: 0.9, seed: 2n },
  ]);
  const [kept] = await sampler.candidates(logits.subarray(0, vocabSize), { topP: 0.1 });
  sampler.destroy();
  return {
    engine: sampler.engine,
    tokens: [...tokens],
    status,
    kept: [...kept.tokens],
    exports: Object.fromEntries(Object.entries(entries).map(([path, names]) => [path, Object.keys(names).sort()])),
  };
}
