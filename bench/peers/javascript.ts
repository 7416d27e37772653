/**
 * Sampling in JavaScript as one would write it by hand with care: no allocation per call, no sort where a selection is
 * enough, no exponential that is not needed. Ties at a cut are broken as the code falls; decisions are taken on float64
 * sums. It is what the package has to beat, so it is no straw man.
 */

export interface JavaScriptParams {
  readonly temperature: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
}

/** No candidate in the row. */
export const NOTHING = 0xffff_ffff;

/** Samples rows of one vocabulary; holds the scratch arrays. */
export class JavaScriptSampler {
  readonly #ids: Uint32Array;
  readonly #weights: Float64Array;

  constructor(vocab: number) {
    this.#ids = new Uint32Array(vocab);
    this.#weights = new Float64Array(vocab);
  }

  /** @param uniform in [0, 1) */
  sample(row: Float32Array, { temperature, topK, topP, minP }: JavaScriptParams, uniform: number): number {
    if (temperature === 0) return greedy(row);
    if (topK !== undefined && topK > 0) return this.#topK(row, temperature, topK, topP ?? 1, uniform);
    const largest = maximum(row);
    if (largest === -Infinity) return NOTHING;
    if (minP !== undefined && minP > 0) return this.#minP(row, temperature, minP, largest, uniform);
    if (topP !== undefined && topP < 1) return this.#topP(row, temperature, topP, largest, uniform);
    return this.#all(row, temperature, largest, uniform);
  }

  /** Every token. */
  #all(row: Float32Array, temperature: number, largest: number, uniform: number): number {
    const weights = this.#weights;
    const scale = 1 / temperature;
    let sum = 0;
    for (let id = 0; id < row.length; id++) {
      const logit = row[id]!;
      // NaN is not >= anything.
      const weight = logit >= -Infinity ? Math.exp((logit - largest) * scale) : 0;
      weights[id] = weight;
      sum += weight;
    }
    const point = uniform * sum;
    let running = 0;
    let last = NOTHING;
    for (let id = 0; id < row.length; id++) {
      const weight = weights[id]!;
      running += weight;
      if (running > point) return id;
      if (weight > 0) last = id;
    }
    return last;
  }

  /** A heap of the k best, whose worst is the threshold that nearly every token fails. */
  #topK(row: Float32Array, temperature: number, topK: number, topP: number, uniform: number): number {
    const ids = this.#ids;
    let size = 0;
    let id = 0;
    for (; id < row.length && size < topK; id++) {
      if (row[id]! > -Infinity) ids[size++] = id;
    }
    if (size === 0) return NOTHING;
    for (let at = (size >> 1) - 1; at >= 0; at--) sink(row, ids, at, size);
    let threshold = row[ids[0]!]!;
    for (; id < row.length; id++) {
      if (row[id]! > threshold) {
        ids[0] = id;
        sink(row, ids, 0, size);
        threshold = row[ids[0]]!;
      }
    }
    // Best first, by taking the worst away.
    for (let end = size - 1; end > 0; end--) {
      const worst = ids[0]!;
      ids[0] = ids[end]!;
      ids[end] = worst;
      sink(row, ids, 0, end);
    }
    const weights = this.#weights;
    const scale = 1 / temperature;
    const largest = row[ids[0]!]!;
    let sum = 0;
    for (let at = 0; at < size; at++) {
      const weight = Math.exp((row[ids[at]!]! - largest) * scale);
      weights[at] = weight;
      sum += weight;
    }
    if (topP < 1) {
      const need = topP * sum;
      let at = 0;
      sum = 0;
      do sum += weights[at++]!;
      while (at < size && sum < need);
      size = at;
    }
    return ids[walk(weights, size, uniform * sum)]!;
  }

  /** A threshold on the logits, so that only tokens that are kept need an exponential. */
  #minP(row: Float32Array, temperature: number, minP: number, largest: number, uniform: number): number {
    const ids = this.#ids;
    const weights = this.#weights;
    const scale = 1 / temperature;
    const threshold = largest + temperature * Math.log(minP);
    let size = 0;
    let sum = 0;
    for (let id = 0; id < row.length; id++) {
      const logit = row[id]!;
      if (logit >= threshold) {
        const weight = Math.exp((logit - largest) * scale);
        ids[size] = id;
        weights[size++] = weight;
        sum += weight;
      }
    }
    return ids[walk(weights, size, uniform * sum)]!;
  }

  /** Leaves out tokens that are too light to be in the nucleus, then selects by mass; nothing is sorted. */
  #topP(row: Float32Array, temperature: number, topP: number, largest: number, uniform: number): number {
    const ids = this.#ids;
    const weights = this.#weights;
    const scale = 1 / temperature;
    let sum = 0;
    for (let id = 0; id < row.length; id++) {
      const logit = row[id]!;
      const weight = logit >= -Infinity ? Math.exp((logit - largest) * scale) : 0;
      weights[id] = weight;
      sum += weight;
    }
    // All tokens under this together have less than 1 - p, so the rest holds p.
    const least = ((1 - topP) * sum) / row.length;
    let size = 0;
    for (let id = 0; id < row.length; id++) {
      const weight = weights[id]!;
      if (weight >= least && weight > 0) {
        ids[size] = id;
        weights[size++] = weight;
      }
    }
    const kept = selectMass(weights, ids, size, topP * sum);
    return ids[walk(weights, kept.size, uniform * kept.mass)]!;
  }
}

function maximum(row: Float32Array): number {
  let largest = -Infinity;
  for (let id = 0; id < row.length; id++) {
    const logit = row[id]!;
    if (logit > largest) largest = logit;
  }
  return largest;
}

function greedy(row: Float32Array): number {
  let largest = -Infinity;
  let best = NOTHING;
  for (let id = 0; id < row.length; id++) {
    const logit = row[id]!;
    if (logit > largest) {
      largest = logit;
      best = id;
    }
  }
  return best;
}

/** Whether token `a` comes after token `b`: a smaller logit, or among equals a larger id. */
const worse = (row: Float32Array, a: number, b: number): boolean => {
  const [x, y] = [row[a]!, row[b]!];
  return x < y || (x === y && a > b);
};

/** Restores a heap whose root is its worst token, from `at` down. */
function sink(row: Float32Array, heap: Uint32Array, at: number, size: number): void {
  const id = heap[at]!;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= size) break;
    if (child + 1 < size && worse(row, heap[child + 1]!, heap[child]!)) child++;
    if (!worse(row, heap[child]!, id)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = id;
}

/** First place whose running sum exceeds the point; the last one where rounding leaves none. */
function walk(weights: Float64Array, size: number, point: number): number {
  let running = 0;
  for (let at = 0; at < size; at++) {
    running += weights[at]!;
    if (running > point) return at;
  }
  return size - 1;
}

/**
 * Moves the heaviest tokens, just enough of them to have the mass `need`, to the front: quickselect by mass, in three
 * parts, so that equal weights are done with in one step.
 */
function selectMass(
  weights: Float64Array,
  ids: Uint32Array,
  count: number,
  need: number,
): { size: number; mass: number } {
  const swap = (a: number, b: number): void => {
    const [weight, id] = [weights[a]!, ids[a]!];
    weights[a] = weights[b]!;
    ids[a] = ids[b]!;
    weights[b] = weight;
    ids[b] = id;
  };
  let [from, to] = [0, count];
  let before = 0;
  while (from < to) {
    const pivot = middle(weights[from]!, weights[(from + to) >> 1]!, weights[to - 1]!);
    // [from, heavier) above the pivot, [heavier, at) equal to it, [lighter, to) under it.
    let [heavier, at, lighter] = [from, from, to];
    let above = 0;
    while (at < lighter) {
      const weight = weights[at]!;
      if (weight > pivot) {
        above += weight;
        swap(heavier++, at++);
      } else if (weight < pivot) {
        swap(at, --lighter);
      } else {
        at++;
      }
    }
    if (before + above >= need) {
      to = heavier;
      continue;
    }
    before += above;
    const equals = lighter - heavier;
    if (before + equals * pivot >= need) {
      const some = Math.min(equals, Math.max(1, Math.ceil((need - before) / pivot)));
      return { size: heavier + some, mass: before + some * pivot };
    }
    before += equals * pivot;
    from = lighter;
  }
  // Rounding left a hair of the mass out: everything is kept.
  return { size: count, mass: before };
}

const middle = (a: number, b: number, c: number): number => Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
