/**
 * Text as tokens: words, punctuation and line breaks, a word together with the space before it.
 *
 * The pieces are those of a text, plus every single printable ASCII character, so that a prompt may use words that
 * the text has not.
 */

/** A word with its inner hyphens and apostrophes, a number with its inner points and commas, or one other character. */
const PIECE = / ?(?:\p{L}+(?:['’-]\p{L}+)*|\d+(?:[.,]\d+)*)|\n+| ?[^\s\p{L}\d]| |\s/gu;

export class Tokenizer {
  /** Text of every token; its index is the token id. */
  readonly pieces: readonly string[];
  readonly #ids: ReadonlyMap<string, number>;

  /** @param text what the vocabulary is taken from */
  constructor(text: string) {
    const pieces = new Set<string>(["\n"]);
    for (let code = 0x20; code < 0x7f; code++) pieces.add(String.fromCharCode(code));
    for (const piece of split(text)) pieces.add(piece);
    // Characters of the text that only stand inside longer pieces: a prompt may put them together anew.
    for (const character of text) pieces.add(character);
    this.pieces = [...pieces];
    this.#ids = new Map(this.pieces.map((piece, id) => [piece, id]));
  }

  get vocabSize(): number {
    return this.pieces.length;
  }

  /**
   * @throws RangeError for a character that neither the text nor ASCII has
   */
  encode(text: string): number[] {
    return split(text).flatMap((piece) => {
      const id = this.#ids.get(piece);
      return id === undefined ? Array.from(piece, (character) => this.#character(character)) : [id];
    });
  }

  /**
   * @throws RangeError for an id outside of the vocabulary
   */
  decode(ids: Iterable<number>): string {
    return Array.from(ids, (id) => {
      const piece = this.pieces[id];
      if (piece === undefined) throw new RangeError(`token: expected 0 to ${this.vocabSize - 1}, got ${id}`);
      return piece;
    }).join("");
  }

  #character(character: string): number {
    const id = this.#ids.get(character);
    if (id === undefined) {
      throw new RangeError(`text: the character ${JSON.stringify(character)} is not in the vocabulary`);
    }
    return id;
  }
}

function split(text: string): string[] {
  return text.match(PIECE) ?? [];
}
