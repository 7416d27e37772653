/**
 * The stages between logits and the draw (docs/rules.md, sections 5 to 8), written from the text of the rules and for
 * nothing but checking. As {@link oracle}: whole lists, full sorts, BigInt, and no code of the package.
 */
import { exp2fix, firstBeyond, GREEDY_BELOW, LARGEST_FINITE, NO_TOKEN, philox4x32, uniform64 } from "./oracle.ts";

export type OracleStage =
  | "temperature"
  | "topK"
  | "topP"
  | "joint"
  | "minP"
  | "typicalP"
  | "topNSigma"
  | "epsilonCutoff"
  | "etaCutoff"
  | "topH"
  | "xtc"
  | "mirostat"
  | "adaptiveP";

export interface StageOracleParams {
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly typicalP?: number;
  readonly topNSigma?: number;
  readonly epsilonCutoff?: number;
  readonly etaCutoff?: number;
  readonly topH?: number;
  readonly xtcProbability?: number;
  readonly xtcThreshold?: number;
  readonly minKeep?: number;
  readonly dynatempRange?: number;
  readonly dynatempExponent?: number;
  readonly mirostat?: 0 | 1 | 2;
  readonly mirostatTau?: number;
  readonly mirostatEta?: number;
  readonly adaptiveP?: number;
  readonly adaptiveDecay?: number;
  readonly order?: "transformers" | "vllm" | "llama.cpp" | "joint" | readonly OracleStage[];
  readonly seed: bigint;
  readonly position: bigint;
}

/** What Mirostat and adaptive-p know of a row; undefined where there was no token yet. */
export interface OracleState {
  /** μ less twice tau, in 2^-20 bits. */
  readonly offset?: bigint;
  /** Weighted probabilities and the sum of the weights, in 2^-20. */
  readonly average?: { readonly sum: bigint; readonly total: bigint };
}

export interface StageOracleResult {
  readonly token: number;
  readonly status: "ok" | "masked" | "nan";
  /** Most probable first. */
  readonly kept: readonly number[];
  readonly weights: readonly bigint[];
  readonly state: OracleState;
}

const PRESETS: Record<string, string> = {
  transformers: "temperature topNSigma topH topK topP minP typicalP epsilonCutoff etaCutoff xtc mirostat adaptiveP",
  vllm: "temperature topNSigma minP topK topP topH typicalP epsilonCutoff etaCutoff xtc mirostat adaptiveP",
  "llama.cpp": "topNSigma topK typicalP topP minP topH epsilonCutoff etaCutoff xtc temperature mirostat adaptiveP",
  joint: "temperature topNSigma topH joint minP typicalP epsilonCutoff etaCutoff xtc mirostat adaptiveP",
};

/** Binary digits behind the point of distances, logarithms and entropies. */
const OCTAVE = 1n << 20n;
const FULL = 31n;
const LIMIT = 1n << 25n;

export interface Token {
  readonly id: number;
  readonly z: number;
}

/** A token as a stage sees it. */
export interface Seen extends Token {
  /** Distance. */
  readonly t: bigint;
  /** Weight. */
  readonly w: bigint;
}

const big = (value: number): bigint => BigInt(Math.round(value));
const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const abs = (a: bigint): bigint => (a < 0n ? -a : a);
const total = (values: readonly bigint[]): bigint => values.reduce((all, value) => all + value, 0n);
const massOf = (row: readonly Seen[]): bigint => total(row.map(({ w }) => w));
const ceilShift = (value: bigint, bits: bigint): bigint => -(-value >> bits);

function roundToEven(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}

/** The distance of section 3, step 1. */
const halfGap = (z: number, largest: number): number =>
  Math.min(Math.fround(Math.fround(largest * 0.5) - Math.fround(z * 0.5)), 2 ** 60);

/** Section 3, step 2, with the factor `c`. */
export function distanceOf(z: number, largest: number, c: number): bigint {
  const t = Math.min(Math.fround(halfGap(z, largest) * c), 2 ** 25);
  return BigInt(t < 2 ** 23 ? roundToEven(t) : 4 * roundToEven(t / 4));
}

export const factorOf = (temperature: number): number => Math.fround(((2 * Math.LOG2E) / temperature) * 2 ** 20);

/** Tokens with distances and weights. */
export const seenAt = (row: readonly Token[], largest: number, c: number): Seen[] =>
  row.map(({ id, z }) => {
    const t = distanceOf(z, largest, c);
    return { id, z, t, w: exp2fix(t) };
  });

/** `log2(value)`, in 2^-20 octaves, bit by bit. */
export function logarithm(value: bigint): bigint {
  const whole = BigInt(value.toString(2).length - 1);
  let mantissa = whole > 31n ? value >> (whole - 31n) : value << (31n - whole);
  let log = whole;
  for (let bit = 0; bit < 20; bit++) {
    mantissa = (mantissa * mantissa) >> 31n;
    log *= 2n;
    if (mantissa >= 1n << 32n) {
      mantissa >>= 1n;
      log += 1n;
    }
  }
  return log;
}

/** The largest integer whose square is not larger. */
function root(value: bigint): bigint {
  let low = 0n;
  let high = 1n << 64n;
  while (high - low > 1n) {
    const middle = (low + high) / 2n;
    if (middle * middle <= value) low = middle;
    else high = middle;
  }
  return low;
}

/** `E`: the mean distance. */
function meanDistance(row: readonly Seen[]): bigint {
  return (total(row.map(({ w, t }) => (w * t) >> 20n)) << 20n) / massOf(row);
}

/** `L`. */
const logOfMass = (row: readonly Seen[]): bigint => logarithm(massOf(row)) - FULL * OCTAVE;

/** The entropy of a row, in 2^-20 bits. */
export function entropyOf(row: readonly Seen[]): bigint {
  const entropy = meanDistance(row) + logOfMass(row);
  return entropy > 0n ? entropy : 0n;
}

/** A quotient of integers, rounded down, of which no more than 32 bits are left. */
const quotient32 = (a: bigint, b: bigint): bigint => least(a / b, (1n << 32n) - 1n);

/** Section 6, dynamic temperature: the factor `c` of the temperature that a row's entropy asks for. */
export function dynamicFactor(row: readonly Seen[], temperature: number, range: number, exponent: number): number {
  const low = big(Math.max(0, temperature - range) * 2 ** 16);
  const wide = big((temperature + range) * 2 ** 16);
  const high = wide > low ? wide : low + 1n;
  let power = 0n; // of the share of the entropy, in 2^-31
  if (row.length > 1) {
    const f = (entropyOf(row) * OCTAVE) / logarithm(BigInt(row.length));
    // From 1 unit of 2^-20 to 1, so that there is a logarithm and it is not above 0.
    const certainty = 20n * OCTAVE - logarithm(f < 1n ? 1n : least(f, OCTAVE));
    power = exp2fix(least((big(exponent * 2 ** 16) * certainty) >> 16n, LIMIT));
  }
  const t = low + (((high - low) * power) >> 31n);
  // 2·log2(e) · 2^28, and 2^-16 of the temperature and the 2^20 of distances on top.
  const exact = (774_541_002n << 32n) / (t < 1n ? 1n : t);
  const cut = BigInt(exact.toString(2).length - 24);
  return Number((exact >> cut) << cut) / 2 ** 24;
}

/** Mirostat 1: how many tokens a row has down to the limit `mu`, if it follows Zipf's law as its first tokens do. */
export function zipfLength(row: readonly Seen[], mu: bigint, vocab: number): number {
  const head = row.slice(0, 100);
  if (head.length < 2) return head.length;
  const T = head.slice(1).map((_, i) => logarithm(BigInt(i + 2)) - logarithm(BigInt(i + 1)));
  const b = head.slice(1).map(({ t }, i) => t - head[i]!.t);
  let s = quotient32(total(T.map((rank, i) => rank * b[i]!)) << 20n, total(T.map((rank) => rank * rank)));
  if (s < 1n) s = 1n;
  const e = s === OCTAVE ? 1n : s - OCTAVE;
  // e / (1 - V^-e) = |e| / (1 - V^-|e|), times V^-|e| if e is negative.
  const reach = least((abs(e) * logarithm(BigInt(vocab))) >> 20n, LIMIT);
  const rest = (1n << 31n) - exp2fix(reach);
  let log = logarithm(abs(e)) - 20n * OCTAVE - (logarithm(rest < 1n ? 1n : rest) - FULL * OCTAVE) + mu;
  if (e < 0n) log -= reach;
  if (log <= 0n) return 1;
  const logK = quotient32(log << 20n, s);
  return logK >= 22n * OCTAVE ? Infinity : Math.max(1, Number(exp2fix(FULL * OCTAVE - logK)));
}

/** Adaptive-p's weights: those of a logit of -10·d²/(1+d), with `d` the distance of a probability from `aim` in units of 0.3. */
export function adaptedWeights(probabilities: readonly bigint[], aim: bigint): bigint[] {
  const distances = probabilities.map((p) => {
    const d = (abs(p - aim) * 54_613n) >> 31n; // 2^14 / 0.3
    const fraction = (d * d) / (16_384n + d);
    return (fraction * 59_093n) >> 6n; // 10 · log2(e) · 2^12, of 2^-14, in 2^-20
  });
  // The nearest has the full weight, as in a softmax: a row with nothing near the target has weights too.
  const nearest = distances.reduce(least);
  return distances.map((t) => exp2fix(least(t - nearest, LIMIT)));
}

/** The weight from which on a token has a probability in a row, a millionth less. */
function leastWeight(probability: number, row: readonly Seen[]): bigint {
  // 32 significant bits, the others cut off; a share below 2^-32 has fewer.
  const wanted = probability * (1 - 2 ** -20);
  let shift = 0n;
  while (shift < 31n && wanted * 2 ** Number(shift + 1n) < 1) shift++;
  const share = BigInt(Math.floor(wanted * 2 ** Number(32n + shift)));
  return ceilShift(share * massOf(row), 32n + shift);
}

/** How many tokens the run from the top has as long as a rule holds. */
function runLength(row: readonly Seen[], rule: (token: Seen, index: number) => boolean): number {
  const end = row.findIndex((token, index) => !rule(token, index));
  return end < 0 ? row.length : end;
}

function topPLength(row: readonly Seen[], p: number): number {
  const P = big(p * 2 ** 32) - 4096n;
  const need = ceilShift((P > 0n ? P : 0n) * massOf(row), 32n);
  let mass = 0n;
  return runLength(row, ({ w }) => {
    const before = mass;
    mass += w;
    return before < need;
  });
}

const topKLength = (k: number): number => (k === 0 ? Infinity : k);

/** Locally typical: which run stays. */
function typicalRun(row: readonly Seen[], p: number, minKeep: number): readonly Seen[] {
  const mean = meanDistance(row);
  const P = big(p * 2 ** 32) - 4096n;
  const need = ceilShift((P > 1n ? P : 1n) * massOf(row), 32n);
  // Groups that come together: those nearer the top than the mean by their distance, the others one by one.
  const groups: Seen[][] = [];
  for (const token of row) {
    const last = groups.at(-1)?.[0];
    if (last !== undefined && token.t < mean && last.t === token.t) groups.at(-1)!.push(token);
    else groups.push([token]);
  }
  const far = (group: Seen[]): bigint => abs(group[0]!.t - mean);
  const inOrder = groups
    .map((group, place) => ({ group, place }))
    .sort((a, b) => Number(far(a.group) - far(b.group)) || a.place - b.place);
  const kept = new Set<Seen>();
  let mass = 0n;
  for (const { group } of inOrder) {
    if (kept.size >= minKeep && mass >= need) break;
    for (const token of group) kept.add(token);
    mass += massOf(group);
  }
  return row.filter((token) => kept.has(token));
}

/** The deviation of distances `u`, in 2^-24 octaves. */
export function deviation(u: readonly bigint[]): bigint {
  const capped = u.map((value) => least(value, 1n << 21n));
  const n = BigInt(u.length);
  const A = total(capped);
  const B = total(capped.map((value) => value * value));
  const q = A / n;
  const r = A - q * n;
  return root(((B - q * (A + r) - (r * r) / n) / n) << 20n);
}

/** Distances in 2^-14 octaves at a temperature of 1. */
export const coarseDistances = (row: readonly Token[], largest: number): bigint[] =>
  row.map(({ z }) => distanceOf(z, largest, Math.fround(2 * Math.LOG2E * 2 ** 14)));

function sigmaLength(row: readonly Token[], nSigma: number): number {
  const u = coarseDistances(row, row[0]!.z);
  const limit = (deviation(u) * big(nSigma * 2 ** 16)) >> 26n;
  return u.filter((value) => value <= limit).length;
}

function topHLength(row: readonly Seen[], topH: number): number {
  const first = row.slice(0, 100);
  const L = logOfMass(first);
  const terms = first.map(({ w, t }) => (w * (t + L > 0n ? t + L : 0n)) >> 20n);
  const most = (total(terms) * big(topH * 2 ** 31)) >> 31n;
  let sum = 0n;
  return runLength(first, (_, index) => (sum += terms[index]!) <= most);
}

/** Samples one row of processed logits. */
export function stageOracle(
  logits: Float32Array,
  params: StageOracleParams,
  state: OracleState = {},
): StageOracleResult {
  const { temperature = 1, topK = 0, topP = 1, minP = 0, minKeep = 1, order = "transformers", seed, position } = params;
  const { typicalP = 1, topNSigma = 0, epsilonCutoff = 0, etaCutoff = 0, topH = 0 } = params;
  const { xtcProbability = 0, xtcThreshold = 0.1, dynatempRange = 0, dynatempExponent = 1 } = params;
  const { mirostat = 0, mirostatTau = 5, mirostatEta = 0.1, adaptiveP, adaptiveDecay = 0.9 } = params;

  let row: Token[] = [];
  logits.forEach((logit, id) => {
    if (logit > -Infinity) row.push({ id, z: logit === Infinity ? LARGEST_FINITE : logit });
  });
  row.sort((a, b) => b.z - a.z || a.id - b.id);
  if (row.length === 0) {
    return { token: NO_TOKEN, status: logits.some(Number.isNaN) ? "nan" : "masked", kept: [], weights: [], state };
  }
  if (temperature < GREEDY_BELOW && dynatempRange === 0) {
    return { token: row[0]!.id, status: "ok", kept: [row[0]!.id], weights: [1n << 31n], state };
  }

  let c = factorOf(1);
  // Distances are relative to the first token that is left. Measured again when that or the temperature has changed.
  let measured = { first: -1, c: 0, tokens: new Map<number, Seen>() };
  const seen = (): Seen[] => {
    const [{ id: first, z: largest }] = row as [Token, ...Token[]];
    if (measured.first !== first || measured.c !== c) {
      measured = { first, c, tokens: new Map(seenAt(row, largest, c).map((token) => [token.id, token])) };
    }
    return row.map(({ id }) => measured.tokens.get(id)!);
  };
  const keepFirst = (count: number): void => {
    row = row.slice(0, Math.max(count, minKeep));
  };
  /** Probabilities in 2^-31, where adaptive-p has changed the weights, and these. */
  let adapted: { readonly probabilities: bigint[]; readonly weights: bigint[] } | undefined;
  const tau = big(mirostatTau * 2 ** 20);
  const mu = 2n * tau + (state.offset ?? 0n);
  // Before the first token, the average is as if the parameter had been met for ever: 1 + decay + decay² + …
  const decay = big(adaptiveDecay * 2 ** 32);
  const target = big((adaptiveP ?? 0) * 2 ** 31);
  const before = (1n << 52n) / ((1n << 32n) - decay);
  const average = state.average ?? { sum: (target * before) >> 31n, total: before };
  const run: Record<OracleStage, () => void> = {
    temperature() {
      if (temperature === 1 && dynatempRange === 0) return;
      c =
        dynatempRange > 0 ? dynamicFactor(seen(), temperature, dynatempRange, dynatempExponent) : factorOf(temperature);
    },
    topK: () => keepFirst(topKLength(topK)),
    topP() {
      if (topP !== 1) keepFirst(topPLength(seen(), topP));
    },
    joint() {
      const nucleus = topP === 1 ? Infinity : topPLength(seen(), topP);
      keepFirst(Math.min(topKLength(topK), nucleus));
    },
    minP() {
      const now = seen();
      const bound = BigInt(Math.floor(minP * (1 - 2 ** -20) * 2 ** 31));
      keepFirst(runLength(now, ({ w }) => w >= bound));
    },
    typicalP() {
      if (typicalP === 1) return;
      row = [...typicalRun(seen(), typicalP, minKeep)];
    },
    topNSigma() {
      if (topNSigma !== 0) keepFirst(sigmaLength(row, topNSigma));
    },
    epsilonCutoff() {
      if (epsilonCutoff === 0) return;
      const now = seen();
      const bound = leastWeight(epsilonCutoff, now);
      keepFirst(runLength(now, ({ w }) => w >= bound));
    },
    etaCutoff() {
      if (etaCutoff === 0) return;
      const now = seen();
      const share = BigInt(Math.floor(Math.sqrt(etaCutoff) * (1 - 2 ** -20) * 2 ** 32));
      const bound = least(leastWeight(etaCutoff, now), (share * exp2fix(meanDistance(now))) >> 32n);
      keepFirst(runLength(now, ({ w }) => w >= bound));
    },
    topH() {
      if (topH !== 0) keepFirst(topHLength(seen(), topH));
    },
    xtc() {
      if (xtcProbability === 0 || xtcThreshold > 0.5) return;
      const [x0] = philox4x32([position & 0xffff_ffffn, position >> 32n, 0n, 1n], [seed & 0xffff_ffffn, seed >> 32n]);
      if (x0 > big(xtcProbability * 2 ** 32)) return;
      const now = seen();
      const bound = leastWeight(xtcThreshold, now);
      const top = runLength(now, ({ w }) => w >= bound);
      if (top >= 2 && row.length - (top - 1) >= minKeep) row = row.slice(top - 1);
    },
    mirostat() {
      if (mirostat === 0) return;
      const now = seen();
      const L = logOfMass(now);
      if (mirostat === 2) keepFirst(runLength(now, ({ t }) => t + L <= mu));
      else keepFirst(zipfLength(now, mu, logits.length));
    },
    adaptiveP() {
      if (adaptiveP === undefined) return;
      const now = seen();
      const mass = massOf(now);
      const unit = quotient32(1n << 63n, mass);
      const probabilities = now.map(({ w }) => (w * unit) >> 32n);
      const moved = 2n * target - (average.sum << 31n) / average.total;
      const aim = moved < 0n ? 0n : least(moved, 1n << 31n);
      adapted = { probabilities, weights: adaptedWeights(probabilities, aim) };
    },
  };
  const stages = typeof order === "string" ? (PRESETS[order]!.split(" ") as OracleStage[]) : order;
  for (const stage of stages) run[stage]();

  const kept = seen();
  const weights = adapted?.weights ?? kept.map(({ w }) => w);
  const token = firstBeyond(
    kept.map(({ id }, index) => ({ id, weight: weights[index]! })),
    (uniform64(seed, position) * total(weights)) >> 64n,
  );
  const drawn = kept.findIndex(({ id }) => id === token);
  const next: { -readonly [Name in keyof OracleState]: OracleState[Name] } = { ...state };
  if (mirostat !== 0) {
    const surprise = kept[drawn]!.t + logOfMass(kept);
    const moved = (state.offset ?? 0n) - ((big(mirostatEta * 2 ** 16) * (surprise - tau)) >> 16n);
    next.offset = moved < 0n ? -least(-moved, 512n * OCTAVE) : least(moved, 512n * OCTAVE);
  }
  if (adapted !== undefined) {
    next.average = {
      sum: ((average.sum * decay) >> 32n) + (adapted.probabilities[drawn]! >> 11n),
      total: ((average.total * decay) >> 32n) + OCTAVE,
    };
  }
  return { token, status: "ok", kept: kept.map(({ id }) => id), weights, state: next };
}
