/**
 * The sampling contract, written out as plainly as possible and for nothing but checking.
 *
 * It shares no code with the package on purpose: an error made in the CPU reference and copied to the kernels would
 * pass every "GPU = CPU" test, but not a comparison with this page. Hence the slow and obvious way everywhere: full
 * sorts instead of thresholds, BigInt instead of split 64-bit words, comparisons instead of monotone keys.
 */

export type OracleOrder = "transformers" | "vllm" | "llama.cpp";

export interface OracleParams {
  /** Default 1; below 1e-5 the row is greedy. */
  readonly temperature?: number;
  /** Default 0, which is off. */
  readonly topK?: number;
  /** Default 1, which is off. */
  readonly topP?: number;
  /** Default 0, which is off. */
  readonly minP?: number;
  /** Default "transformers". */
  readonly order?: OracleOrder;
  /** The row's 64-bit seed. */
  readonly seed: bigint;
  /** How many tokens were drawn before this one. */
  readonly position: bigint;
}

export interface OracleResult {
  /** The token drawn, or `NO_TOKEN`. */
  readonly token: number;
  /** Why there is no token, or "ok". A row without candidate is "nan" when at least one of its logits is NaN. */
  readonly status: "ok" | "masked" | "nan";
  /** Token ids that outlive every filter, best first (logit descending, then id ascending). */
  readonly kept: number[];
  /** Draw weights of `kept`, in the same order. */
  readonly weights: bigint[];
  /** R: the sum of `weights`. */
  readonly mass: bigint;
  /** r: the number drawn from [0, R). Zero where no random number is used. */
  readonly random: bigint;
}

export const NO_TOKEN = 0xffffffff;
export const LARGEST_FINITE = 3.4028234663852886e38;
export const GREEDY_BELOW = 1e-5;

const UINT32_END = 1n << 32n;
const FULL_WEIGHT = 1n << 31n;

/** The nearest integer to `value / 2^bits`, ties to even. */
function roundShift(value: bigint, bits: bigint): bigint {
  if (bits <= 0n) return value << -bits;
  const low = value >> bits;
  const twice = 2n * (value - (low << bits));
  const half = 1n << bits;
  return twice > half || (twice === half && low % 2n === 1n) ? low + 1n : low;
}

/** Fixed point with so many bits behind the point; more than any float32 here needs. */
const POINT = 80n;

/** Rounds a positive fixed-point number to the 24 significant bits of a float32. */
function toFloat(value: bigint): bigint {
  const excess = BigInt(value.toString(2).length) - 24n;
  return excess <= 0n ? value : roundShift(value, excess) << excess;
}

/** A float32 as a fixed-point number, exactly. */
const fixed = (float: number): bigint => BigInt(float * 2 ** 50) << (POINT - 50n);

const COEFFICIENTS: readonly bigint[] = [
  0.0018671300495043397, 0.009017030708491802, 0.05579991266131401, 0.24016444385051727, 0.6931512951850891, 1,
].map(fixed);

/** The weight at a distance of t · 2^-20 octaves, 0 ≤ t ≤ 2^25; float32 arithmetic spelled out in integers. */
export function exp2fix(t: bigint): bigint {
  const up = (1n << 25n) - t;
  const f = up & 0xfffffn;
  const [first, ...others] = COEFFICIENTS as [bigint, ...bigint[]];
  const power = others.reduce((y, c) => toFloat(toFloat((y * f) >> 20n) + c), first);
  return roundShift(power, POINT + 1n - (up >> 20n));
}

/** The weight of a logit `z` in a row whose largest is `largest`. Each f32 operation is rounded on its own. */
export function weightOf(z: number, largest: number, temperature: number): bigint {
  const c = Math.fround(((2 * Math.LOG2E) / temperature) * 2 ** 20);
  const d = Math.min(Math.fround(Math.fround(largest * 0.5) - Math.fround(z * 0.5)), 2 ** 60);
  const t = Math.min(Math.fround(d * c), 2 ** 25);
  return exp2fix(BigInt(t < 2 ** 23 ? roundToEven(t) : 4 * roundToEven(t / 4)));
}

type Four = readonly [bigint, bigint, bigint, bigint];

/** Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). */
export function philox4x32(counter: Four, key: readonly [bigint, bigint]): Four {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const p0 = 0xd2511f53n * c0;
    const p1 = 0xcd9e8d57n * c2;
    [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 % UINT32_END, (p0 >> 32n) ^ c3 ^ k1, p0 % UINT32_END];
    k0 = (k0 + 0x9e3779b9n) % UINT32_END;
    k1 = (k1 + 0xbb67ae85n) % UINT32_END;
  }
  return [c0, c1, c2, c3];
}

/** The 64-bit uniform of the token draw. `draw` is the draw index; purpose 0 is the token draw. */
export function uniform64(seed: bigint, position: bigint, draw = 0n, purpose = 0n): bigint {
  const s = BigInt.asUintN(64, seed);
  const p = BigInt.asUintN(64, position);
  const [x0, x1] = philox4x32([p % UINT32_END, p >> 32n, draw, purpose], [s % UINT32_END, s >> 32n]);
  return x0 * UINT32_END + x1;
}

interface Candidate {
  readonly id: number;
  readonly z: number;
}

export interface Weighted {
  readonly id: number;
  readonly weight: bigint;
}

/** Rows are filtered as whole lists, so that "each filter sees what the previous one kept" needs no bookkeeping. */
type Filter = (row: readonly Weighted[]) => readonly Weighted[];

const sum = (row: readonly Weighted[]): bigint => row.reduce((total, { weight }) => total + weight, 0n);

const topKFilter =
  (k: number): Filter =>
  (row) =>
    k === 0 ? row : row.slice(0, k);

const topPFilter =
  (p: number): Filter =>
  (row) => {
    if (p === 1) return row;
    const P = BigInt(Math.round(p * 2 ** 32));
    const target = P > 4096n ? P - 4096n : 0n;
    const need = (target * sum(row) + (UINT32_END - 1n)) / UINT32_END;
    let length = 0;
    let mass = 0n;
    for (const { weight } of row) {
      mass += weight;
      length++;
      if (mass >= need) break;
    }
    return row.slice(0, length);
  };

const minPFilter =
  (minP: number): Filter =>
  (row) => {
    if (minP === 0) return row;
    const least = BigInt(Math.floor(minP * (1 - 2 ** -20) * 2 ** 31));
    // Weights fall along the row, so this is a run; the first token is kept whatever its weight.
    return row.filter(({ weight }, i) => i === 0 || weight >= least);
  };

/** The first token, by id, at which the running sum of weights exceeds `random`. */
export function firstBeyond(row: readonly Weighted[], random: bigint): number {
  let running = 0n;
  for (const { id, weight } of [...row].sort((a, b) => a.id - b.id)) {
    running += weight;
    if (running > random) return id;
  }
  return NO_TOKEN;
}

/** Samples one row of processed logits. */
export function oracle(logits: Float32Array, params: OracleParams): OracleResult {
  const { temperature = 1, topK = 0, topP = 1, minP = 0, order = "transformers", seed, position } = params;

  const candidates: Candidate[] = [];
  let sawNaN = false;
  logits.forEach((logit, id) => {
    if (Number.isNaN(logit)) sawNaN = true;
    else if (logit !== -Infinity) candidates.push({ id, z: logit === Infinity ? LARGEST_FINITE : logit });
  });
  // A subtraction of two equal z is 0 and -0 − 0 is -0: both compare as equal, which leaves the decision to the id.
  candidates.sort((a, b) => b.z - a.z || a.id - b.id);

  const best = candidates[0];
  if (best === undefined) {
    return { token: NO_TOKEN, status: sawNaN ? "nan" : "masked", kept: [], weights: [], mass: 0n, random: 0n };
  }
  if (temperature < GREEDY_BELOW) {
    return { token: best.id, status: "ok", kept: [best.id], weights: [FULL_WEIGHT], mass: FULL_WEIGHT, random: 0n };
  }

  const weigh = (t: number): Weighted[] =>
    candidates.map(({ id, z }): Weighted => ({ id, weight: weightOf(z, best.z, t) }));

  const k = topKFilter(topK);
  const p = topPFilter(topP);
  const m = minPFilter(minP);
  const filters = order === "vllm" ? [m, k, p] : [k, p, m];
  const filtered = filters.reduce<readonly Weighted[]>(
    (row, filter) => filter(row),
    weigh(order === "llama.cpp" ? 1 : temperature),
  );

  // Filters keep a prefix of the row, so the draw weights are the first ones at the draw's temperature.
  const draw = weigh(temperature).slice(0, filtered.length);
  const mass = sum(draw);
  const random = (uniform64(seed, position) * mass) >> 64n;

  return {
    token: firstBeyond(draw, random),
    status: "ok",
    kept: draw.map(({ id }) => id),
    weights: draw.map(({ weight }) => weight),
    mass,
    random,
  };
}

const QUIET_HALF_NAN = 0x7e00;

/** float16 bits to float32, exactly. */
export function halfToFloat(bits: Uint16Array): Float32Array<ArrayBuffer> {
  return Float32Array.from(bits, (half) => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
  });
}

/** bfloat16 bits to float32, exactly: they are its upper half. */
export function bfloatToFloat(bits: Uint16Array): Float32Array<ArrayBuffer> {
  return new Float32Array(Uint32Array.from(bits, (upper) => upper * 0x10000).buffer);
}

function roundToEven(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}

/** float32 to the bits of the nearest float16, ties to even; beyond its range infinity. */
export function floatToHalf(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(words, (word, i) => {
    const value = values[i] as number;
    const sign = (word >>> 31) << 15;
    if (Number.isNaN(value)) return sign | QUIET_HALF_NAN;
    // Below 2^-14 the spacing stops shrinking: these are float16's subnormals.
    const exponent = Math.max(((word >>> 23) & 0xff) - 127, -14);
    const steps = roundToEven(Math.abs(value) / 2 ** (exponent - 10));
    // A normal number counts its leading one among the steps, and rounding up to the next exponent carries into it.
    return sign | Math.min((exponent + 14) * 1024 + steps, 0x7c00);
  });
}

/** float32 to the bits of the nearest bfloat16, ties to even. */
export function floatToBfloat(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(words, (word, i) => {
    // Rounding a NaN could carry it into infinity; keep its sign and make it quiet instead.
    if (Number.isNaN(values[i])) return (word >>> 16) | 0x0040;
    return roundToEven(word / 0x10000);
  });
}
