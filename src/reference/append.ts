import type { RowHistory } from "./history.ts";
import { NO_TOKEN } from "./numeric.ts";

/**
 * Appends tokens to a row's output; `NO_TOKEN`, what a row without a candidate draws, is left out. In a full ring the
 * oldest token makes room. The twin of `shaders/append.wgsl`.
 */
export function append(history: RowHistory, tokens: ArrayLike<number>): void {
  const { ring } = history;
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (token === NO_TOKEN) continue;
    if (history.length === ring.length) {
      history.first = history.first + 1 === ring.length ? 0 : history.first + 1;
      history.prompt = Math.max(history.prompt - 1, 0);
    } else {
      history.length++;
    }
    const place = history.first + history.length - 1;
    ring[place >= ring.length ? place - ring.length : place] = token;
    history.outputs++;
  }
}
