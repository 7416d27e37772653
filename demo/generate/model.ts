/**
 * A small language model with real logits: an interpolated Kneser–Ney n-gram model over the pieces of a text.
 *
 * It is here to have something worth sampling from that needs no download: its distributions are peaked where the
 * text has only one way to go on, and wide where there are many.
 */
import { Tokenizer } from "./tokenizer.ts";

/** How many tokens the model looks at, the predicted one included. */
export const ORDER = 4;
/**
 * What is taken off every count and given to the shorter context. The usual estimate for so small a text is above
 * 0.8; less of it keeps closer to the text, which reads better and is all that a demo wants.
 */
const DISCOUNT = 0.4;
/** Share of the mass that is spread evenly, so that no token is impossible and every logit is finite. */
const EVEN_SHARE = 1e-4;

/** What was seen after one context: tokens, and how often (or, for shorter contexts, after how many others). */
interface Followers {
  readonly ids: number[];
  readonly counts: number[];
  total: number;
}

export class LanguageModel {
  readonly tokenizer: Tokenizer;
  /** Probabilities of tokens without any context. */
  readonly #base: Float64Array;
  /** `#contexts[n]` has the contexts of `n + 1` tokens, by their key. */
  readonly #contexts: ReadonlyArray<ReadonlyMap<number, Followers>>;
  readonly #probabilities: Float64Array;

  /** @param text prose, see {@link proseOf}; paragraphs are separated by empty lines */
  constructor(text: string) {
    this.tokenizer = new Tokenizer(text);
    const { vocabSize } = this.tokenizer;
    // Keys are numbers, exact up to 2^53.
    if (vocabSize ** ORDER > Number.MAX_SAFE_INTEGER) {
      throw new RangeError(`text: a vocabulary of ${vocabSize} tokens is too large for order ${ORDER}`);
    }
    const tokens = this.tokenizer.encode(text);

    // Kneser–Ney: the longest context counts occurrences; shorter ones count how many different tokens came before,
    // so that a word that always follows the same word is not expected anywhere else.
    const contexts = Array.from({ length: ORDER - 1 }, () => new Map<number, Followers>());
    const base = new Float64Array(vocabSize);
    for (let order = ORDER; order >= 1; order--) {
      const seen = new Set<number>();
      for (let end = order; end <= tokens.length; end++) {
        const gram = tokens.slice(end - order, end);
        if (order < ORDER) {
          const wider = this.#key(tokens.slice(Math.max(0, end - order - 1), end));
          if (seen.has(wider)) continue;
          seen.add(wider);
        }
        const next = gram.pop()!;
        if (order === 1) base[next] = base[next]! + 1;
        else count(contexts[order - 2]!, this.#key(gram), next);
      }
    }
    const total = base.reduce((sum, value) => sum + value, 0);
    for (let id = 0; id < vocabSize; id++) {
      base[id] = (1 - EVEN_SHARE) * (base[id]! / total) + EVEN_SHARE / vocabSize;
    }
    this.#base = base;
    this.#contexts = contexts;
    this.#probabilities = new Float64Array(vocabSize);
  }

  get vocabSize(): number {
    return this.tokenizer.vocabSize;
  }

  /**
   * Writes the logits of the next token: natural logarithms of its probabilities.
   *
   * @param context the text so far; the last three tokens matter
   * @param logits where they go, `[vocabSize]`
   */
  logits(context: readonly number[], logits: Float32Array): void {
    const probabilities = this.#probabilities;
    probabilities.set(this.#base);
    for (let length = 1; length < ORDER && length <= context.length; length++) {
      const followers = this.#contexts[length - 1]!.get(this.#key(context.slice(-length)));
      if (followers === undefined) break; // nor is any longer context known
      const { ids, counts, total } = followers;
      const passedDown = (DISCOUNT * ids.length) / total;
      for (let id = 0; id < probabilities.length; id++) probabilities[id] = probabilities[id]! * passedDown;
      for (let index = 0; index < ids.length; index++) {
        const id = ids[index]!;
        probabilities[id] = probabilities[id]! + (counts[index]! - DISCOUNT) / total;
      }
    }
    for (let id = 0; id < probabilities.length; id++) logits[id] = Math.log(probabilities[id]!);
  }

  #key(gram: readonly number[]): number {
    return gram.reduce((key, id) => key * this.vocabSize + id, 0);
  }
}

function count(contexts: Map<number, Followers>, key: number, next: number): void {
  let followers = contexts.get(key);
  if (followers === undefined) contexts.set(key, (followers = { ids: [], counts: [], total: 0 }));
  const index = followers.ids.indexOf(next);
  if (index < 0) {
    followers.ids.push(next);
    followers.counts.push(1);
  } else {
    followers.counts[index] = followers.counts[index]! + 1;
  }
  followers.total++;
}

/** The prose of a Markdown page: no headings, code, tables, lists of sources or markup, one line per paragraph. */
export function proseOf(markdown: string): string {
  return markdown
    .replace(/^```[^]*?^```$/gmu, "")
    .split(/\n{2,}/u)
    .map((block) => block.trim())
    .filter((block) => /^[\p{L}"]/u.test(block))
    .map((block) =>
      block
        .replace(/\[([^\]]*)\]\([^)]*\)/gu, "$1")
        .replace(/[`*_]/gu, "")
        .replace(/\s+/gu, " "),
    )
    .filter((block) => block.endsWith("."))
    .join("\n\n");
}
