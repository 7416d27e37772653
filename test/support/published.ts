/**
 * The stages in float64, as the systems that they come from document them: transformers (top-h, top-k, top-p, min-p, typical,
 * epsilon, eta), vLLM, llama.cpp (top-n-sigma, xtc, temp-ext, mirostat, adaptive-p), SGLang and FlashInfer (joint).
 *
 * Each says how close its decision was: the smallest distance of a token from the threshold, relative to it. Where that is
 * tiny, rounding decides, in those systems' float32 too.
 */

export interface Logit {
  readonly id: number;
  readonly z: number;
}

export interface Decided {
  /** Most probable first. */
  readonly row: readonly Logit[];
  /** How close it was; 0 for a tie at the threshold. */
  readonly margin: number;
}

export type PublishedStage = (row: readonly Logit[]) => Decided;

/** The candidates of a row in order. */
export function orderedRow(logits: Float32Array): Logit[] {
  return Array.from(logits, (z, id) => ({ id, z }))
    .filter(({ z }) => z > -Infinity)
    .sort((a, b) => b.z - a.z || a.id - b.id);
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

export function softmax(row: readonly Logit[]): number[] {
  const powers = row.map(({ z }) => Math.exp(z - row[0]!.z));
  const total = sum(powers);
  return powers.map((power) => power / total);
}

/** In nats. */
export function entropy(row: readonly Logit[]): number {
  return -sum(softmax(row).map((p) => (p === 0 ? 0 : p * Math.log(p))));
}

const apart = (value: number, threshold: number): number => Math.abs(value / threshold - 1);

/** The tokens that reach a threshold, and at least the first. */
function atLeast(row: readonly Logit[], values: readonly number[], threshold: number): Decided {
  return {
    row: row.filter((_, index) => index === 0 || values[index]! >= threshold),
    margin: Math.min(...values.slice(1).map((value) => apart(value, threshold))),
  };
}

export const temperature =
  (t: number): PublishedStage =>
  (row) => ({ row: row.map(({ id, z }) => ({ id, z: z / t })), margin: Infinity });

export const topK =
  (k: number): PublishedStage =>
  (row) => ({
    row: row.slice(0, k),
    margin: k < row.length && row[k - 1]!.z === row[k]!.z ? 0 : Infinity,
  });

/** How long the shortest run is whose probability reaches `p`, and how close it was. */
function nucleus(row: readonly Logit[], p: number): { readonly length: number; readonly margin: number } {
  let before = 0;
  let length = 0;
  let margin = Infinity;
  for (const probability of softmax(row)) {
    if (before < p || length === 0) length++;
    before += probability;
    margin = Math.min(margin, apart(before, p));
  }
  return { length, margin };
}

export const topP =
  (p: number): PublishedStage =>
  (row) => {
    const { length, margin } = nucleus(row, p);
    return { row: row.slice(0, length), margin };
  };

/** What both keep of the whole row. */
export const joint =
  (k: number, p: number): PublishedStage =>
  (row) => {
    const { length, margin } = nucleus(row, p);
    return { row: row.slice(0, Math.min(k, length)), margin };
  };

export const minP =
  (share: number): PublishedStage =>
  (row) => {
    const p = softmax(row);
    return atLeast(row, p, share * p[0]!);
  };

/** The tokens whose information is nearest to the entropy, up to the one with which their probability reaches `mass`. */
export const typical =
  (mass: number): PublishedStage =>
  (row) => {
    const p = softmax(row);
    const H = entropy(row);
    const byShift = p
      .map((probability, index) => ({ index, probability, shift: Math.abs(-Math.log(probability) - H) }))
      .sort((a, b) => a.shift - b.shift);
    let reached = 0;
    let margin = Infinity;
    let kept = 0;
    for (const { probability } of byShift) {
      if (reached < mass) kept++;
      reached += probability;
      margin = Math.min(margin, apart(reached, mass));
    }
    const last = byShift[kept - 1]!.shift;
    if (kept < row.length) margin = Math.min(margin, byShift[kept]!.shift - last);
    // With the last two the other way round, one may be enough.
    if (kept > 1) margin = Math.min(margin, last - byShift[kept - 2]!.shift);
    const ids = new Set(byShift.slice(0, kept).map(({ index }) => index));
    return { row: row.filter((_, index) => ids.has(index)), margin };
  };

export const epsilon =
  (cutoff: number): PublishedStage =>
  (row) =>
    atLeast(row, softmax(row), cutoff);

export const eta =
  (cutoff: number): PublishedStage =>
  (row) =>
    atLeast(row, softmax(row), Math.min(cutoff, Math.sqrt(cutoff) * Math.exp(-entropy(row))));

/** Of the first 100, those whose terms of the entropy add up to at most a share of it. */
export const topH =
  (share: number): PublishedStage =>
  (row) => {
    const head = row.slice(0, 100);
    const tau = entropy(head) * share;
    let total = 0;
    let margin = Infinity;
    let kept = 0;
    for (const p of softmax(head)) {
      total -= p === 0 ? 0 : p * Math.log(p);
      if (total <= tau) kept++;
      margin = Math.min(margin, apart(total, tau));
    }
    return { row: row.slice(0, Math.max(kept, 1)), margin };
  };

export function deviationOf(row: readonly Logit[]): number {
  const mean = sum(row.map(({ z }) => z)) / row.length;
  return Math.sqrt(sum(row.map(({ z }) => (z - mean) ** 2)) / row.length);
}

export const topNSigma =
  (n: number): PublishedStage =>
  (row) => {
    const reach = n * deviationOf(row);
    return {
      row: row.filter(({ z }) => z >= row[0]!.z - reach),
      margin: Math.min(...row.map(({ z }) => apart(row[0]!.z - z, reach))),
    };
  };

/** With the coin fallen. */
export const xtc =
  (threshold: number): PublishedStage =>
  (row) => {
    const p = softmax(row);
    const top = p.filter((probability) => probability >= threshold).length;
    return {
      row: top >= 2 ? row.slice(top - 1) : row,
      margin: Math.min(...p.map((probability) => apart(probability, threshold))),
    };
  };

export function dynamicTemperature(row: readonly Logit[], t: number, range: number, exponent: number): number {
  const least = Math.max(0, t - range);
  return least + (t + range - least) * (entropy(row) / Math.log(row.length)) ** exponent;
}

/** Mirostat 2 with its limit, in bits. */
export const mirostat2 =
  (mu: number): PublishedStage =>
  (row) => {
    const information = softmax(row).map((p) => -Math.log2(p));
    return {
      row: row.filter((_, index) => index === 0 || information[index]! <= mu),
      margin: Math.min(...information.slice(1).map((bits) => Math.abs(bits - mu))),
    };
  };

/** The `k` of Mirostat 1, before it becomes an integer. */
export function mirostat1(row: readonly Logit[], mu: number, vocab: number): number {
  const p = softmax(row.slice(0, 100));
  let up = 0;
  let down = 0;
  for (let i = 0; i + 1 < p.length; i++) {
    const t = Math.log((i + 2) / (i + 1));
    up += t * Math.log(p[i]! / p[i + 1]!);
    down += t * t;
  }
  const s = up / down;
  const e = s - 1;
  return ((e * 2 ** mu) / (1 - vocab ** -e)) ** (1 / s);
}

/** Adaptive-p's new probabilities for an adapted target. */
export function adaptiveP(row: readonly Logit[], aim: number): number[] {
  const changed = softmax(row).map((p, id) => {
    const d = Math.abs(p - aim) / 0.3;
    return { id, z: 5 - (10 * d * d) / (1 + d) };
  });
  const most = Math.max(...changed.map(({ z }) => z));
  const powers = changed.map(({ z }) => Math.exp(z - most));
  const total = sum(powers);
  return powers.map((power) => power / total);
}

/** One stage after the other, and the closest decision of all. */
export function chain(row: readonly Logit[], stages: readonly PublishedStage[]): Decided {
  let margin = Infinity;
  for (const stage of stages) {
    const decided = stage(row);
    row = decided.row;
    margin = Math.min(margin, decided.margin);
  }
  return { row, margin };
}
