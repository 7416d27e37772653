/** The rows of logits that the playground shows. */

export interface Token {
  readonly text: string;
  readonly logit: number;
}

export const ROW_NAMES = ["article", "real", "own"] as const;
export type RowName = (typeof ROW_NAMES)[number];

/** Most tokens of a row of one's own. */
export const MOST_TOKENS = 200;

/** Five animals with probabilities of 0.4, 0.3, 0.15, 0.1 and 0.05. */
export const ARTICLE: readonly Token[] = (
  [
    ["猫", 0.4],
    ["狗", 0.3],
    ["鸟", 0.15],
    ["鱼", 0.1],
    ["马", 0.05],
  ] as const
).map(([text, probability]) => ({ text, logit: Math.log(probability) }));

/** A row that a model gave, cut to its most probable tokens. */
export interface RealRow {
  readonly prompt: string;
  readonly tokens: readonly Token[];
}

const REAL_PROMPT = "The token is";
const REAL_COUNT = 50;

/** Fifty tokens of the n-gram model's row; the model is loaded for it. */
export async function realRow(): Promise<RealRow> {
  const { NgramModel } = await import("../generate/ngram.ts");
  const model = new NgramModel();
  const logits = await model.logits(model.encode(REAL_PROMPT));
  const ids = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
  return {
    prompt: REAL_PROMPT,
    tokens: ids.slice(0, REAL_COUNT).map((id) => ({ text: model.piece(id), logit: logits[id]! })),
  };
}

/** The logits as the sampler takes them. */
export function logitsOf(tokens: readonly Token[]): Float32Array<ArrayBuffer> {
  return Float32Array.from(tokens, ({ logit }) => logit);
}

/** Lines of a token and its logit, with white space between them; the token may have spaces inside. */
export function printTokens(tokens: readonly Token[]): string {
  const number = (logit: number): string => (logit === -Infinity ? "-inf" : String(Number(logit.toFixed(4))));
  return tokens.map(({ text, logit }) => `${text} ${number(logit)}`).join("\n");
}

export type ParsedTokens =
  { readonly tokens: readonly Token[] } | { readonly line: number; readonly problem: "form" | "range" | "many" };

/** Reads what `printTokens` writes; `-inf` masks a token. */
export function parseTokens(text: string): ParsedTokens {
  const tokens: Token[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const [, token, number] = /^(.*\S)\s+(\S+)\s*$/u.exec(line) ?? [];
    const logit = number === "-inf" ? -Infinity : Number(number);
    if (token === undefined || Number.isNaN(logit)) return { line: index + 1, problem: "form" };
    if (logit !== -Infinity && !(Math.abs(logit) <= 1e6)) return { line: index + 1, problem: "range" };
    if (tokens.length === MOST_TOKENS) return { line: index + 1, problem: "many" };
    tokens.push({ text: token, logit });
  }
  return tokens.length === 0 ? { line: 1, problem: "form" } : { tokens };
}

/** A token as it can be seen: a space in front and a line break have signs of their own. */
export function visible(text: string): string {
  return text.replaceAll("\n", "⏎").replace(/^ | $/gu, "␣");
}
