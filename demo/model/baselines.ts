/** What a language model has to beat: counting tokens, and counting pairs. Perplexities on the same held-out tokens. */

/**
 * Unigram, with one added to every count; bigram by absolute discounting (0.75 off every pair's count, handed to the
 * unigram), as in Ney, Essen and Kneser 1994.
 */
export function baselines(
  training: Int32Array,
  heldOut: Int32Array,
  vocabSize: number,
): { unigram: number; bigram: number } {
  const counts = new Float64Array(vocabSize).fill(1);
  for (const token of training) counts[token]! += 1;
  const total = training.length + vocabSize;
  const pairs = new Map<number, number>();
  const [starts, kinds] = [new Float64Array(vocabSize), new Float64Array(vocabSize)];
  for (let i = 1; i < training.length; i++) {
    const before = training[i - 1]!;
    const key = before * vocabSize + training[i]!;
    const count = pairs.get(key) ?? 0;
    pairs.set(key, count + 1);
    starts[before]! += 1;
    if (count === 0) kinds[before]! += 1;
  }
  let [unigram, bigram] = [0, 0];
  for (let i = 1; i < heldOut.length; i++) {
    const [before, token] = [heldOut[i - 1]!, heldOut[i]!];
    const alone = counts[token]! / total;
    const seen = starts[before]!;
    const count = pairs.get(before * vocabSize + token) ?? 0;
    unigram -= Math.log(alone);
    bigram -= Math.log(seen === 0 ? alone : (Math.max(count - 0.75, 0) + 0.75 * kinds[before]! * alone) / seen);
  }
  const steps = heldOut.length - 1;
  return { unigram: Math.exp(unigram / steps), bigram: Math.exp(bigram / steps) };
}
