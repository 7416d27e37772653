/** What the model learns from: the project's documentation, and texts of a grammar of its own. */
import { Tokenizer } from "@huggingface/tokenizers";
import { proseOf } from "../generate/model.ts";
import { compose, randomOf } from "./grammar.ts";

/** Begins and ends a text. */
export const END = "<|end|>";
/** Stands for a character that is in no text and not in ASCII. */
export const UNKNOWN = "<|unknown|>";

/** A word with its inner hyphens and apostrophes and the space before it, a number, line breaks, or one other character. */
const PIECE = " ?\\p{L}+(?:['’-]\\p{L}+)*| ?\\d+(?:[.,]\\d+)*|\\n+| ?[^\\s\\p{L}\\d]| |\\s";

/** Texts to learn from, and texts that are kept from the model to measure it. */
export interface Corpus {
  readonly tales: { readonly training: readonly string[]; readonly heldOut: readonly string[] };
  readonly docs: { readonly training: readonly string[]; readonly heldOut: readonly string[] };
}

/** @param documents Markdown files */
export function corpusOf(documents: readonly string[], tales: number): Corpus {
  const random = randomOf(1);
  const known = new Set<string>();
  while (known.size < tales) known.add(compose(random));
  // Short texts come out more than once: what is held out must be new.
  const other = randomOf(2);
  const heldOut = new Set<string>();
  while (heldOut.size < tales / 50) {
    const text = compose(other);
    if (!known.has(text)) heldOut.add(text);
  }
  const paragraphs = documents.flatMap((document) => proseOf(document).split("\n\n"));
  return {
    tales: { training: [...known], heldOut: [...heldOut] },
    docs: {
      training: paragraphs.filter((_, index) => index % 12 !== 7),
      heldOut: paragraphs.filter((_, index) => index % 12 === 7),
    },
  };
}

/**
 * A tokenizer in the file format of Hugging Face: every piece of the texts is a token; a word that is in no text is
 * spelt with the longest pieces that there are, in the end with single characters.
 */
export function tokenizerOf(texts: Iterable<string>): { tokenizer: object; config: object } {
  const counts = new Map<string, number>();
  for (let code = 0x20; code < 0x7f; code++) counts.set(String.fromCharCode(code), 0);
  for (const character of "\n’“”–…") counts.set(character, 0);
  const pattern = new RegExp(PIECE, "gu");
  for (const text of texts) {
    for (const piece of text.match(pattern) ?? []) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  }
  const pieces = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  // Unigram takes the way with the largest sum of scores. One piece beats two by far, so whole words win.
  const vocab: (readonly [string, number])[] = [
    [END, 0],
    [UNKNOWN, -100],
    ...pieces.map(([piece]) => [piece, piece.length === 1 ? -20 : -10] as const),
  ];
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    tokenizer: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: [
        { id: 0, content: END, ...special },
        { id: 1, content: UNKNOWN, ...special },
      ],
      normalizer: null,
      pre_tokenizer: { type: "Split", pattern: { Regex: PIECE }, behavior: "Isolated", invert: false },
      post_processor: {
        type: "TemplateProcessing",
        single: [{ SpecialToken: { id: END, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
        pair: [
          { SpecialToken: { id: END, type_id: 0 } },
          { Sequence: { id: "A", type_id: 0 } },
          { Sequence: { id: "B", type_id: 0 } },
        ],
        special_tokens: { [END]: { id: END, ids: [0], tokens: [END] } },
      },
      decoder: { type: "Fuse" },
      model: { type: "Unigram", unk_id: 1, vocab, byte_fallback: false },
    },
    config: {
      tokenizer_class: "PreTrainedTokenizerFast",
      bos_token: END,
      eos_token: END,
      pad_token: END,
      unk_token: UNKNOWN,
      clean_up_tokenization_spaces: false,
      padding_side: "left",
      model_max_length: 1024,
    },
  };
}

/** All texts one after the other, each with {@link END} before it, which the tokenizer puts there. */
export function encodeAll(tokenizer: Tokenizer, texts: readonly string[]): Int32Array {
  return Int32Array.from(texts.flatMap((text) => tokenizer.encode(text).ids));
}
