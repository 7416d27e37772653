import { createSampler } from "webgpu-token-sampler";
import { streamTokens, type TokenSource } from "webgpu-token-sampler/stream";

/** Any model as a stream: `for await (const { tokens } of stream(model, …))`, with `break` and an `AbortSignal`. */
export function stream(
  model: (text: number[]) => Promise<Float32Array>,
  vocabSize: number,
  prompt: number[],
  signal: AbortSignal,
) {
  const open = async (): Promise<TokenSource> => {
    const sampler = await createSampler({ vocabSize });
    const text = [...prompt];
    return {
      rows: 1,
      async step() {
        const { tokens } = await sampler.sample(await model(text), { topP: 0.9, seed: 7n });
        text.push(tokens[0]!);
      },
      fetch: (first, count) => Uint32Array.from(text.slice(prompt.length + first, prompt.length + first + count)),
      close: () => sampler.destroy(),
    };
  };
  return streamTokens(open, {
    maxTokens: 40,
    stopTokens: [0],
    signal,
    onStep: ({ step }) => console.log("step", step),
  });
}
