import * as ort from "onnxruntime-web/webgpu";
import { createOrtSampler, type OrtSampler } from "webgpu-token-sampler/onnxruntime";

/** A loop of one's own: what the sampler returns is the model's next `input_ids`. */
export async function loop(
  session: ort.InferenceSession,
  feeds: Record<string, ort.Tensor>,
  steps: number,
): Promise<Uint32Array> {
  let sampler: OrtSampler | undefined;
  for (let step = 0; step < steps; step++) {
    const { logits, ...present } = await session.run(feeds);
    sampler ??= await createOrtSampler(ort, { vocabSize: logits!.dims.at(-1)!, keep: steps });
    const ids = sampler.sample(logits!, { topK: 50, seed: 1n });
    logits!.dispose();
    feeds = next(feeds, ids as ort.Tensor, present);
  }
  const tokens = await sampler!.fetch(steps); // one read for the whole text
  sampler!.destroy();
  for (const tensor of Object.values(feeds)) tensor.dispose();
  return tokens;
}

/** The next step's inputs: the token, a mask that is longer by one, and the cache. */
function next(
  feeds: Record<string, ort.Tensor>,
  ids: ort.Tensor,
  present: Record<string, ort.Tensor>,
): Record<string, ort.Tensor> {
  const length = feeds["attention_mask"]!.dims[1]! + 1;
  const mask = new ort.Tensor("int64", new BigInt64Array(length).fill(1n), [1, length]);
  const cache = Object.entries(present).map(
    ([name, tensor]) => [name.replace("present", "past_key_values"), tensor] as const,
  );
  for (const [name] of cache) feeds[name]!.dispose();
  return { input_ids: ids, attention_mask: mask, ...Object.fromEntries(cache) };
}
