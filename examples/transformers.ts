import { AutoModelForCausalLM, AutoTokenizer, LogitsProcessorList, type Tensor } from "@huggingface/transformers";
import { logitsProcessor } from "webgpu-token-sampler/transformers";

/** `generate()` of transformers.js, with settings that really apply and a seed. */
export async function write(model: string, prompt: string): Promise<string> {
  const tokenizer = await AutoTokenizer.from_pretrained(model);
  const lm = await AutoModelForCausalLM.from_pretrained(model, { dtype: "fp32" });
  const list = new LogitsProcessorList();
  list.push(logitsProcessor({ temperature: 0.8, top_k: 50, top_p: 0.9, min_p: 0.02, seed: 7n }));
  const options = { max_new_tokens: 60, do_sample: false, logits_processor: list };
  const output = await lm.generate({ ...tokenizer(prompt), ...options });
  return tokenizer.batch_decode(output as Tensor, { skip_special_tokens: true })[0]!;
}
