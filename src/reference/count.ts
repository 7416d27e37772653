import type { ProcessPlan } from "../processing.ts";
import { type RowHistory, tokenAt } from "./history.ts";
import { type Marks, REPEAT_SHIFT, repeatOf, SEEN, setBit } from "./marks.ts";

/**
 * Looks through a row's lists and its history, and marks the tokens they speak of. The twin of `shaders/count.wgsl`.
 *
 * @param marks all zero; written into
 */
export function count(marks: Marks, plan: ProcessPlan, history: RowHistory): void {
  const { length } = history;
  for (const id of plan.biasIds) setBit(marks.touched, id);
  for (const id of plan.suppressed) setBit(marks.banned, id);
  if (history.outputs < plan.minTokens) for (const id of plan.stops) setBit(marks.banned, id);
  for (const word of plan.badWords) {
    const said = word.length - 1;
    if (said <= length && endsWith(history, word, said)) setBit(marks.banned, word[said]!);
  }

  if (penalises(plan)) {
    for (let i = length - Math.min(plan.window, length); i < length; i++) {
      const id = tokenAt(history, i);
      setBit(marks.touched, id);
      marks.words[id]! |= SEEN;
      if (i >= history.prompt) marks.words[id]!++;
    }
  }
  if (plan.ngram > 0) {
    // A token behind a run of ngram - 1 tokens that is also the row's end.
    const run = plan.ngram - 1;
    for (let i = run; i < length; i++) {
      let same = 0;
      while (same < run && tokenAt(history, i - 1 - same) === tokenAt(history, length - 1 - same)) same++;
      if (same === run) setBit(marks.banned, tokenAt(history, i));
    }
  }
  if (plan.dry !== undefined) {
    const { allowedLength, penalties, breakers, window } = plan.dry;
    const from = length - Math.min(window, length);
    const longest = allowedLength + penalties.length - 1;
    for (let i = from + 1; i < length; i++) {
      let same = 0;
      while (same < longest && i - 1 - same >= from) {
        const token = tokenAt(history, length - 1 - same);
        if (tokenAt(history, i - 1 - same) !== token || breakers.includes(token)) break;
        same++;
      }
      const id = tokenAt(history, i);
      if (same < allowedLength || breakers.includes(id)) continue;
      setBit(marks.touched, id);
      const word = marks.words[id]!;
      if (same > repeatOf(word)) marks.words[id] = (word & (2 * SEEN - 1)) | (same << REPEAT_SHIFT);
    }
  }
}

/** Whether one of the three penalties is on. */
export function penalises({ repetition, frequency, presence }: ProcessPlan): boolean {
  return repetition !== 1 || frequency !== 0 || presence !== 0;
}

function endsWith(history: RowHistory, word: Uint32Array, said: number): boolean {
  for (let i = 0; i < said; i++) {
    if (tokenAt(history, history.length - said + i) !== word[i]) return false;
  }
  return true;
}
