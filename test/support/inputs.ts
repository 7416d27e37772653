/**
 * Named logits, shared by tests and benches, so that "peaked" or "tiesAtCut" means the same rows in both.
 *
 * A row depends on (name, vocabulary, seed) only. Nothing but integer arithmetic and correctly rounded operations is
 * used (no Math.log, Math.cos, Math.pow), so a failure seen in one browser can be replayed in another and in Node.
 */

/** Makes one row of `vocab` logits. */
export type LogitGenerator = (vocab: number, seed: number) => Float32Array<ArrayBuffer>;

/** A small seeded generator (splitmix32 seeding xoshiro128**, Blackman and Vigna). Not for sampling tokens. */
export class Random {
  #s0: number;
  #s1: number;
  #s2: number;
  #s3: number;

  constructor(seed: number) {
    let state = seed >>> 0;
    const next = (): number => {
      state = (state + 0x9e3779b9) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      return (mixed ^ (mixed >>> 15)) >>> 0;
    };
    this.#s0 = next();
    this.#s1 = next();
    this.#s2 = next();
    this.#s3 = next();
  }

  /** A uniform u32. */
  word(): number {
    const scaled = Math.imul(this.#s1, 5);
    const result = Math.imul((scaled << 7) | (scaled >>> 25), 9) >>> 0;
    const shifted = this.#s1 << 9;
    this.#s2 ^= this.#s0;
    this.#s3 ^= this.#s1;
    this.#s1 ^= this.#s2;
    this.#s0 ^= this.#s3;
    this.#s2 ^= shifted;
    this.#s3 = (this.#s3 << 11) | (this.#s3 >>> 21);
    return result;
  }

  /** A uniform in [0, 1) with 32 bits. */
  unit(): number {
    return this.word() / 2 ** 32;
  }

  /** A uniform integer in [0, end). The bias, under end / 2^32, does not matter for inputs. */
  below(end: number): number {
    return Math.floor(this.unit() * end);
  }

  /** Close to a standard normal: twelve uniforms summed, which needs no logarithm. Never beyond ±6. */
  normal(): number {
    let total = -6;
    for (let i = 0; i < 12; i++) total += this.unit();
    return total;
  }

  /** `count` distinct ids out of [0, vocab), in random order. */
  ids(vocab: number, count: number): Uint32Array {
    const all = Uint32Array.from({ length: vocab }, (_, i) => i);
    for (let i = 0; i < count; i++) {
      const j = i + this.below(vocab - i);
      const chosen = all[j] as number;
      all[j] = all[i] as number;
      all[i] = chosen;
    }
    return all.subarray(0, count);
  }
}

const LARGEST_FINITE = 3.4028234663852886e38;

function fill(vocab: number, value: (id: number) => number): Float32Array<ArrayBuffer> {
  const row = new Float32Array(vocab);
  for (let id = 0; id < vocab; id++) row[id] = value(id);
  return row;
}

/** Bit patterns, written as integers: an engine may change the payload of a NaN that passes through a number. */
function fillBits(vocab: number, bits: (id: number) => number): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(vocab);
  for (let id = 0; id < vocab; id++) words[id] = bits(id);
  return new Float32Array(words.buffer);
}

const normals = (random: Random, vocab: number, deviation: number): Float32Array<ArrayBuffer> =>
  fill(vocab, () => random.normal() * deviation);

/** A pick from a list that is known not to be empty. */
const pick = (random: Random, values: readonly number[]): number => values[random.below(values.length)] as number;

/** NaNs of both signs, quiet and signalling, with different payloads. */
const NAN_BITS: readonly number[] = [0x7fc00000, 0xffc00000, 0x7f800001, 0xff800001, 0x7fffffff, 0xffffffff];
const MINUS_INFINITY_BITS = 0xff800000;

const HEAD_SIZE = 128;
const HEAD_TOP = 15;

/** A body of improbable tokens with the values given by `head` at `ids`. */
function withHead(random: Random, vocab: number, ids: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const row = normals(random, vocab, 1.6);
  // Zipf's law at T = 0.8: the logit falls by 0.8 · ln((r + 1) / r), near 0.8 / (r + 1/2), from rank r to the next,
  // here give or take a half.
  let logit = HEAD_TOP + random.normal() * 0.25;
  for (let rank = 1; rank <= ids.length; rank++) {
    row[ids[rank - 1] as number] = logit;
    logit -= (0.8 / (rank + 0.5)) * (0.5 + random.unit());
  }
  return row;
}

const headSize = (vocab: number): number => Math.min(HEAD_SIZE, Math.ceil(vocab / 4));

const generators = {
  /** As a language model's: a Zipf head of 128 tokens. At T = 0.8 a 0.9 nucleus of 20–200 tokens, for vocab ≥ 32k. */
  peaked(vocab, seed) {
    const random = new Random(seed);
    return withHead(random, vocab, random.ids(vocab, headSize(vocab)));
  },

  /** No favourites: a 0.9 nucleus of tens of thousands of tokens at 128,256. */
  flat(vocab, seed) {
    return normals(new Random(seed), vocab, 1);
  },

  /** All the same value, so that only the id orders them. */
  equal(vocab, seed) {
    const value = new Random(seed).normal() * 4;
    return fill(vocab, () => value);
  },

  /** One token 30 nats above the rest, whose weight is 0 at T = 1. */
  oneHot(vocab, seed) {
    const hot = new Random(seed).below(vocab);
    return fill(vocab, (id) => (id === hot ? 30 : 0));
  },

  /** Eight values, half a nat apart: every cut by count or by mass falls among equals. */
  tiesAtCut(vocab, seed) {
    const random = new Random(seed);
    return fill(vocab, () => random.below(8) * 0.5);
  },

  /** Two values of opposite sign. */
  twoValues(vocab, seed) {
    const random = new Random(seed);
    return fill(vocab, () => (random.below(2) === 0 ? -0.75 : 0.75));
  },

  /** Sixteen neighbouring floats, a hair apart in their last bits, on either side of a power of two. */
  adjacentFloats(vocab, seed) {
    const random = new Random(seed);
    return fillBits(vocab, () => 0x41000000 - 8 + random.below(16));
  },

  /** Smaller in magnitude than any normal float, of both signs. */
  subnormals(vocab, seed) {
    const random = new Random(seed);
    return fillBits(vocab, () => (random.word() & 0x807fffff) >>> 0);
  },

  /** Zeros of both signs: equals, though their bits differ. */
  signedZeros(vocab, seed) {
    const random = new Random(seed);
    return fill(vocab, () => (random.below(2) === 0 ? 0 : -0));
  },

  /** The ends of the range, where a difference of two logits overflows. */
  huge(vocab, seed) {
    const random = new Random(seed);
    return fill(vocab, () => pick(random, [3e38, -3e38, LARGEST_FINITE, -LARGEST_FINITE]));
  },

  /** Nine tenths, rounded down, are masked. */
  masked90(vocab, seed) {
    const random = new Random(seed);
    const row = normals(random, vocab, 2.5);
    for (const id of random.ids(vocab, Math.floor((vocab * 9) / 10))) row[id] = -Infinity;
    return row;
  },

  /** No candidate. */
  allMasked(vocab) {
    return fill(vocab, () => -Infinity);
  },

  /** One token in a hundred, and at least one of two, is NaN. */
  nanSprinkled(vocab, seed) {
    const random = new Random(seed);
    const row = normals(random, vocab, 2.5);
    const words = new Uint32Array(row.buffer);
    const count = vocab === 1 ? 0 : Math.ceil(vocab / 100);
    for (const id of random.ids(vocab, count)) words[id] = pick(random, NAN_BITS);
    return row;
  },

  /** No candidate, and every logit is NaN. */
  allNaN(vocab, seed) {
    const random = new Random(seed);
    return fillBits(vocab, () => pick(random, NAN_BITS));
  },

  /** No candidate: masked but for a NaN in a hundred, and at least one. */
  nanAndMasked(vocab, seed) {
    const random = new Random(seed);
    const row = fillBits(vocab, () => MINUS_INFINITY_BITS);
    const words = new Uint32Array(row.buffer);
    for (const id of random.ids(vocab, Math.ceil(vocab / 100))) words[id] = pick(random, NAN_BITS);
    return row;
  },

  /** Up to three +inf, and one largest finite float, which ties with them. */
  positiveInfinity(vocab, seed) {
    const random = new Random(seed);
    const row = normals(random, vocab, 2.5);
    random.ids(vocab, Math.min(4, vocab)).forEach((id, i) => (row[id] = i === 3 ? LARGEST_FINITE : Infinity));
    return row;
  },

  /** Sorted by id, least first. */
  ascending(vocab, seed) {
    return normals(new Random(seed), vocab, 2.5).sort();
  },

  /** Sorted by id, greatest first. */
  descending(vocab, seed) {
    return normals(new Random(seed), vocab, 2.5).sort().reverse();
  },

  /** Any 32 bits: normals of all sizes, and some NaNs. */
  rawBits(vocab, seed) {
    const random = new Random(seed);
    return fillBits(vocab, () => random.word());
  },

  /** Everything masked but the last id, where an off-by-one at the end of a row would show. */
  lastTokenOnly(vocab, seed) {
    const value = new Random(seed).normal();
    return fill(vocab, (id) => (id === vocab - 1 ? value : -Infinity));
  },

  /** As peaked, but the head sits on neighbouring ids, so that one workgroup holds all the mass. */
  clustered(vocab, seed) {
    const random = new Random(seed);
    const size = headSize(vocab);
    const first = random.below(vocab - size + 1);
    return withHead(
      random,
      vocab,
      random.ids(size, size).map((i) => first + i),
    );
  },
} satisfies Record<string, LogitGenerator>;

export type InputName = keyof typeof generators;

export const inputs: Readonly<Record<InputName, LogitGenerator>> = generators;

export const inputNames = Object.keys(inputs) as readonly InputName[];

/** Names of inputs that leave a row without candidate, whatever the vocabulary and the seed. */
export const emptyInputNames: readonly InputName[] = ["allMasked", "allNaN", "nanAndMasked"];

/**
 * `rows` rows of `vocab` logits, row-major. Row r is `inputs[names[r % names.length]](vocab, seed + r)`, so that a row
 * that fails can be made again alone.
 */
export function batch(
  names: readonly InputName[],
  vocab: number,
  rows: number,
  seed: number,
): Float32Array<ArrayBuffer> {
  const logits = new Float32Array(rows * vocab);
  for (let row = 0; row < rows; row++) {
    const name = names[row % names.length];
    if (name === undefined) throw new RangeError("batch: names is empty");
    logits.set(inputs[name](vocab, seed + row), row * vocab);
  }
  return logits;
}
