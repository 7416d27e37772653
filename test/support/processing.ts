/**
 * Processed logits, written out as plainly as possible and for nothing but checking: sets and slices for the history,
 * fractions of big integers for the arithmetic. Shares no code with the package. And random rows to compare on.
 */
import type { SamplingParams } from "../../src/params.ts";
import type { Random } from "./inputs.ts";

/** A number as a fraction; the denominator is positive. */
interface Fraction {
  readonly over: bigint;
  readonly under: bigint;
}

/** A double, exactly. */
function fraction(value: number): Fraction {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const field = (bits >> 52n) & 0x7ffn;
  const mantissa = (bits & 0xf_ffff_ffff_ffffn) | (field === 0n ? 0n : 1n << 52n);
  const exponent = (field === 0n ? 1n : field) - 1075n;
  const over = bits >> 63n === 1n ? -mantissa : mantissa;
  return exponent >= 0n ? { over: over << exponent, under: 1n } : { over, under: 1n << -exponent };
}

/** The float32 nearest to a fraction, ties to even; the largest finite one for what is beyond it. */
export function nearestFloat({ over, under }: Fraction): number {
  if (over === 0n) return 0;
  const magnitude = over < 0n ? -over : over;
  // The exponent of the last bit: 24 bits in all, but never below that of the subnormals.
  let last = BigInt(magnitude.toString(2).length - under.toString(2).length) - 24n;
  if (last < -149n) last = -149n;
  for (;;) {
    const [up, down] = last < 0n ? [magnitude << -last, under] : [magnitude, under << last];
    let bits = up / down;
    const rest = up % down;
    if (2n * rest > down || (2n * rest === down && bits % 2n === 1n)) bits++;
    if (bits > 1n << 24n) {
      last++;
      continue;
    }
    const value = Number(bits) * 2 ** Number(last);
    return (over < 0n ? -1 : 1) * Math.min(value, 3.4028234663852886e38);
  }
}

const plus = (a: number, b: number): number => {
  const [x, y] = [fraction(a), fraction(b)];
  return nearestFloat({ over: x.over * y.under + y.over * x.under, under: x.under * y.under });
};
const times = (a: number, b: number): number => {
  const [x, y] = [fraction(a), fraction(b)];
  return nearestFloat({ over: x.over * y.over, under: x.under * y.under });
};
const over = (a: number, b: number): number => {
  const [x, y] = [fraction(a), fraction(b)];
  return nearestFloat({ over: x.over * y.under, under: x.under * y.over });
};

/** What a row has said. */
export interface Said {
  readonly prompt: readonly number[];
  readonly output: readonly number[];
}

const bit = (mask: unknown, id: number): boolean =>
  (((mask as Uint32Array)[Math.floor(id / 32)]! >>> (id % 32)) & 1) === 1;
const sameTokens = (a: readonly number[], b: readonly number[]): boolean => a.join() === b.join();

/** The processed logits of a row, by the rules in `docs/rules.md`. Masks in arrays, a row each. */
export function processedOracle(logits: Float32Array, params: SamplingParams, { prompt, output }: Said): Float32Array {
  const said = [...prompt, ...output];
  const banned = new Set<number>(params.suppressTokens ?? []);
  if (output.length < (params.minTokens ?? 0)) for (const id of params.stopTokens ?? []) banned.add(id);
  for (const word of params.badWords ?? []) {
    const before = [...word].slice(0, -1);
    if (before.length === 0 || sameTokens(said.slice(-before.length), before)) banned.add(word.at(-1)!);
  }
  const size = params.noRepeatNgramSize ?? 0;
  if (size > 0 && said.length >= size - 1) {
    const end = size === 1 ? [] : said.slice(-(size - 1));
    for (let at = 0; at + size <= said.length; at++) {
      if (sameTokens(said.slice(at, at + size - 1), end)) banned.add(said[at + size - 1]!);
    }
  }

  const first = Math.max(said.length - (params.penaltyWindow || Infinity), 0);
  const seen = new Set(said.slice(first));
  const counts = new Map<number, number>();
  for (const [at, id] of said.entries()) {
    if (at >= first && at >= prompt.length) counts.set(id, (counts.get(id) ?? 0) + 1);
  }

  const repeats = new Map<number, number>();
  const { dry } = params;
  const allowed = dry?.allowedLength ?? 2;
  if (dry !== undefined && dry.multiplier > 0) {
    const text = dry.window ? said.slice(-dry.window) : said;
    const breakers = new Set(dry.sequenceBreakers ?? []);
    for (let at = 1; at < text.length; at++) {
      let length = 0;
      while (length < at && text[at - 1 - length] === text.at(-1 - length) && !breakers.has(text.at(-1 - length)!))
        length++;
      if (length >= allowed && !breakers.has(text[at]!))
        repeats.set(text[at]!, Math.max(repeats.get(text[at]!) ?? 0, length));
    }
  }

  const biases =
    params.logitBias instanceof Map
      ? (params.logitBias as Map<number, number>)
      : new Map(Object.entries((params.logitBias ?? {}) as Record<string, number>).map(([id, b]) => [Number(id), b]));
  return Float32Array.from(logits, (logit, id) => {
    const isBanned =
      banned.has(id) ||
      (params.allowedTokens !== undefined && !bit(params.allowedTokens, id)) ||
      (params.bannedTokens !== undefined && bit(params.bannedTokens, id)) ||
      (params.forcedToken !== undefined && params.forcedToken !== id);
    if (isBanned) return -Infinity;
    if (params.forcedToken === id) return 0;
    if (Number.isNaN(logit) || logit === -Infinity) return logit;
    let z = logit;
    const step = (next: (finite: number) => number): void => {
      z = next(Math.min(z, 3.4028234663852886e38));
    };
    const repetition = Math.fround(params.repetitionPenalty ?? 1);
    const scale = (): void => {
      if (repetition !== 1 && seen.has(id)) step((x) => (x > 0 ? over(x, repetition) : times(x, repetition)));
    };
    const bias = Math.fround(biases.get(id) ?? 0);
    if (bias !== 0) step((x) => plus(x, bias));
    if (params.penaltyOrder !== "additive-first") scale();
    const count = counts.get(id) ?? 0;
    const frequency = Math.fround(params.frequencyPenalty ?? 0);
    const presence = Math.fround(params.presencePenalty ?? 0);
    if (count > 0 && frequency !== 0) step((x) => plus(x, -times(frequency, count)));
    if (count > 0 && presence !== 0) step((x) => plus(x, -presence));
    if (params.penaltyOrder === "additive-first") scale();
    const repeat = repeats.get(id);
    if (dry !== undefined && repeat !== undefined) {
      let penalty = Math.fround(dry.multiplier);
      for (let more = allowed; more < repeat; more++) penalty = times(penalty, Math.fround(dry.base ?? 1.75));
      step((x) => plus(x, -penalty));
    }
    return z;
  });
}

/** Where two rows differ first, in the eyes of the order: -0 equals 0, +inf the largest float, any NaN another. */
export function rowDifference(actual: Float32Array, expected: Float32Array): string | undefined {
  const seen = (z: number): number => (Number.isNaN(z) ? Infinity : Math.min(z + 0, 3.4028234663852886e38));
  const at = expected.findIndex((value, id) => seen(value) !== seen(actual[id]!));
  return at < 0 ? undefined : `token ${at}: ${actual[at]}, expected ${expected[at]}`;
}

const numbers = (random: Random, count: number, below: number): number[] =>
  Array.from({ length: count }, () => random.below(below));

/** A text of few different tokens, which repeats itself. */
export function randomTokens(random: Random, vocab: number, length: number, spread = 7): number[] {
  const words = numbers(random, Math.min(spread, vocab), vocab);
  return numbers(random, length, words.length).map((index) => words[index]!);
}

/** A mask with about this share of ones. */
export function randomMask(random: Random, vocab: number, share: number): Uint32Array<ArrayBuffer> {
  const mask = new Uint32Array(Math.ceil(vocab / 32));
  for (let id = 0; id < vocab; id++) if (random.unit() < share) mask[id >> 5]! |= 1 << (id & 31);
  return mask;
}

/** Any mixture of what processes logits; or, on request, all of it at once. */
export function randomProcessing(random: Random, vocab: number, said: Said, all = false): SamplingParams {
  const some = (share: number): boolean => random.unit() < share;
  const asks = (share: number): boolean => all || some(share);
  const pick = <T>(...values: T[]): T => values[random.below(values.length)]!;
  const text = [...said.prompt, ...said.output];
  const ids = (count: number): number[] =>
    numbers(random, count, vocab).map((id) => (text.length > 0 && some(0.5) ? text[random.below(text.length)]! : id));
  return {
    ...(asks(0.4) && { repetitionPenalty: pick(1.1, 1.3, 0.7, 3, 1e-3, 1e30) }),
    ...(asks(0.4) && { frequencyPenalty: pick(0.1, -0.3, 2, 1e-40, 1e38) }),
    ...(asks(0.4) && { presencePenalty: pick(0.5, -1.5, 1 / 3) }),
    ...(asks(0.3) && { penaltyOrder: "additive-first" as const }),
    ...(asks(0.3) && { penaltyWindow: 1 + random.below(20) }),
    ...(asks(0.3) && { logitBias: new Map(ids(5).map((id) => [id, pick(-100, 1e-3, 0, 3.3e38, -3.3e38, 0.1)])) }),
    ...(asks(0.2) && { allowedTokens: randomMask(random, vocab, 0.6) }),
    ...(asks(0.2) && { bannedTokens: randomMask(random, vocab, 0.3) }),
    ...(asks(0.2) && { suppressTokens: ids(4) }),
    ...(asks(0.2) && { minTokens: random.below(2 * said.output.length + 2), stopTokens: ids(3) }),
    ...(asks(0.3) && {
      badWords: [ids(1), ids(2), ids(3), ...[1, 2, 5].map((n) => text.slice(-n).concat(ids(1)))],
    }),
    ...(asks(0.3) && { noRepeatNgramSize: 1 + random.below(4) }),
    ...(asks(0.03) && { forcedToken: ids(1)[0]! }),
    ...(asks(0.4) && {
      dry: {
        multiplier: pick(0.8, 5),
        base: pick(1, 1.75, 1e10),
        allowedLength: pick(1, 2, 4),
        ...(some(0.5) && { sequenceBreakers: ids(1) }),
        ...(some(0.3) && { window: 1 + random.below(text.length + 2) }),
      },
    }),
  };
}
