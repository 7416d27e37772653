/** The n-gram model of `npm start`, trained here and now on the project's own pages. */
import guide from "../../../docs/guide.md?raw";
import rules from "../../../docs/rules.md?raw";
import essay from "../../../docs/sampling.md?raw";
import { LanguageModel as Ngrams, proseOf } from "../../generate/model.ts";
import type { LanguageModel } from "./model.ts";

export class NgramModel implements LanguageModel {
  readonly stopTokens: readonly number[] = [];
  readonly #model = new Ngrams([essay, guide, rules].map(proseOf).join("\n\n"));

  get vocabSize(): number {
    return this.#model.vocabSize;
  }

  encode(text: string): number[] {
    return this.#model.tokenizer.encode(text);
  }

  piece(token: number): string {
    return this.#model.tokenizer.decode([token]);
  }

  logits(context: readonly number[]): Promise<Float32Array<ArrayBuffer>> {
    const logits = new Float32Array(this.vocabSize);
    this.#model.logits(context, logits);
    return Promise.resolve(logits);
  }
}
