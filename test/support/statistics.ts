/** Tests of what can only be known statistically: that tokens come out as often as they should, in no pattern. */

/** ln Γ(x) − [(x − ½)·ln x − x + ½·ln 2π] for x ≥ 16: Stirling's series (Abramowitz & Stegun 6.1.41). */
function stirlingRest(x: number): number {
  const s = 1 / (x * x);
  return (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s * (1 / 1188 - (s * 691) / 360360))))) / x;
}

/** ln Γ(x) for x > 0: the recurrence (Abramowitz & Stegun 6.1.15) up to 16, then Stirling's series. */
export function logGamma(x: number): number {
  let product = 1;
  let shifted = x;
  while (shifted < 16) product *= shifted++;
  const stirling = (shifted - 0.5) * Math.log(shifted) - shifted + 0.5 * Math.log(2 * Math.PI);
  return stirling + stirlingRest(shifted) - Math.log(product);
}

/** x^a · e^-x / Γ(a). For a large `a` the terms would cancel, hence the form in (x − a) / a. */
function gammaFactor(a: number, x: number): number {
  if (a < 16) return Math.exp(a * Math.log(x) - x - logGamma(a));
  const m = (x - a) / a;
  return Math.sqrt(a / (2 * Math.PI)) * Math.exp(a * (Math.log1p(m) - m) - stirlingRest(a));
}

/**
 * Q(a, x), the regularised upper incomplete gamma function, for a > 0.
 *
 * Below x = a + 1 by the series of its complement (Abramowitz & Stegun 6.5.29), else by the continued fraction
 * (6.5.31, in its even part), evaluated by Lentz's method as modified by Thompson and Barnett (1986).
 */
export function upperGammaQ(a: number, x: number): number {
  if (!(a > 0)) throw new RangeError(`upperGammaQ: a is ${a}, must be > 0`);
  if (Number.isNaN(x)) throw new RangeError("upperGammaQ: x is NaN");
  if (x <= 0) return 1;
  if (x === Infinity) return 0;

  const epsilon = Number.EPSILON / 2;
  const factor = gammaFactor(a, x);
  if (factor === 0) return x < a ? 1 : 0;

  if (x < a + 1) {
    let term = 1 / a;
    let total = term;
    for (let n = 1; term > total * epsilon; n++) {
      term *= x / (a + n);
      total += term;
    }
    return 1 - factor * total;
  }

  const tiny = 1e-300;
  let b = x + 1 - a;
  let c = 1 / tiny;
  let d = 1 / b;
  let fraction = d;
  for (let n = 1; ; n++) {
    const numerator = n * (a - n);
    b += 2;
    d = 1 / (numerator * d + b || tiny);
    c = b + numerator / c || tiny;
    const step = c * d;
    fraction *= step;
    // The step can settle one unit in the last place away from 1, so equality would be too much to wait for.
    if (Math.abs(step - 1) <= 4 * epsilon) return factor * fraction;
  }
}

/** P(X ≥ statistic) for X chi-square distributed (Abramowitz & Stegun 26.4.19). */
export function chiSquareSurvival(statistic: number, degreesOfFreedom: number): number {
  return upperGammaQ(degreesOfFreedom / 2, statistic / 2);
}

/** P(|X| ≥ |z|) for X standard normal. */
export function twoSidedNormal(z: number): number {
  return chiSquareSurvival(z * z, 1);
}

export interface TestResult {
  readonly statistic: number;
  /** How often chance alone would give at least this statistic. */
  readonly pValue: number;
}

export interface GTestResult extends TestResult {
  readonly degreesOfFreedom: number;
  /** Bins left after pooling. */
  readonly bins: number;
}

const LEAST_EXPECTED = 5;

/**
 * G-test (likelihood ratio) of counts against the distribution they should follow.
 *
 * `expected[i]` is the probability of bin i, or anything proportional to it, such as a draw weight. Bins in which fewer
 * than 5 counts are expected are pooled, greatest first, until 5 are, and what is left at the end goes to the last
 * pool. The pooling looks at the expected counts alone: it must not depend on the outcome. G is divided by Williams's
 * correction (1976), without which it is too large for small bins. A count where none is possible has p-value 0.
 */
export function gTest(observed: ArrayLike<number>, expected: ArrayLike<number>): GTestResult {
  if (observed.length !== expected.length) {
    throw new RangeError(`gTest: ${observed.length} observed bins, but ${expected.length} expected`);
  }
  const bins: { readonly count: number; readonly weight: number }[] = [];
  let counts = 0;
  let weights = 0;
  let impossible = false;
  for (let i = 0; i < observed.length; i++) {
    const count = observed[i] as number;
    const weight = expected[i] as number;
    if (!(count >= 0 && count < Infinity)) throw new RangeError(`gTest: observed[${i}] is ${count}, must be ≥ 0`);
    if (!(weight >= 0 && weight < Infinity)) throw new RangeError(`gTest: expected[${i}] is ${weight}, must be ≥ 0`);
    counts += count;
    weights += weight;
    if (weight > 0) bins.push({ count, weight });
    else if (count > 0) impossible = true;
  }
  if (counts === 0) throw new RangeError("gTest: nothing was observed");
  if (weights === 0 && !impossible) throw new RangeError("gTest: nothing is expected");
  if (impossible)
    return { statistic: Infinity, pValue: 0, degreesOfFreedom: Math.max(bins.length - 1, 0), bins: bins.length };

  bins.sort((a, b) => b.weight - a.weight);
  const pools: { count: number; expected: number }[] = [];
  let open = { count: 0, expected: 0 };
  for (const { count, weight } of bins) {
    open.count += count;
    open.expected += (weight / weights) * counts;
    if (open.expected >= LEAST_EXPECTED) {
      pools.push(open);
      open = { count: 0, expected: 0 };
    }
  }
  const last = pools.at(-1) ?? { count: 0, expected: 0 };
  last.count += open.count;
  last.expected += open.expected;

  const degreesOfFreedom = pools.length - 1;
  // One pool holds everything whatever happened: nothing was tested, which the caller can see in `bins`.
  if (degreesOfFreedom < 1) return { statistic: 0, pValue: 1, degreesOfFreedom: 0, bins: 1 };

  let g = 0;
  let inverses = 0;
  for (const pool of pools) {
    if (pool.count > 0) g += 2 * pool.count * Math.log(pool.count / pool.expected);
    inverses += counts / pool.expected;
  }
  const williams = 1 + (inverses - 1) / (6 * counts * degreesOfFreedom);
  const statistic = Math.max(g, 0) / williams;
  return { statistic, pValue: chiSquareSurvival(statistic, degreesOfFreedom), degreesOfFreedom, bins: pools.length };
}

/**
 * Makes the decision "this is not chance" at level `alpha`. When a suite makes `tests` of them, each gets its share, so
 * that `alpha` is the chance of one false alarm in the whole suite (Bonferroni).
 */
export function rejectsAt(alpha: number, tests = 1): (result: { readonly pValue: number }) => boolean {
  if (!(alpha > 0 && alpha < 1)) throw new RangeError(`rejectsAt: alpha is ${alpha}, must be between 0 and 1`);
  if (!(tests >= 1)) throw new RangeError(`rejectsAt: tests is ${tests}, must be ≥ 1`);
  return ({ pValue }) => pValue < alpha / tests;
}

function mean(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i] as number;
  return total / values.length;
}

/**
 * Correlation of each value with the one `lag` places later. For independent values the coefficient is about normal
 * with deviation 1/√n, from which the statistic and the p-value. Use it on hundreds of values at least.
 */
export function serialCorrelation(values: ArrayLike<number>, lag = 1): TestResult & { readonly coefficient: number } {
  if (!(Number.isInteger(lag) && lag >= 1)) throw new RangeError(`serialCorrelation: lag is ${lag}, must be ≥ 1`);
  if (values.length <= lag + 1) throw new RangeError(`serialCorrelation: ${values.length} values are too few`);
  const centre = mean(values);
  let variance = 0;
  let covariance = 0;
  for (let i = 0; i < values.length; i++) {
    const deviation = (values[i] as number) - centre;
    variance += deviation * deviation;
    if (i >= lag) covariance += deviation * ((values[i - lag] as number) - centre);
  }
  if (variance === 0) throw new RangeError("serialCorrelation: all values are the same");
  const coefficient = covariance / variance;
  const statistic = coefficient * Math.sqrt(values.length);
  return { coefficient, statistic, pValue: twoSidedNormal(statistic) };
}

/**
 * Wald and Wolfowitz's runs test: whether "above" and "not above" the threshold (by default the mean) alternate as often
 * as they do by chance, given how many there are of each.
 */
export function runsTest(values: ArrayLike<number>, threshold = mean(values)): TestResult & { readonly runs: number } {
  let above = 0;
  let runs = 0;
  let previous: boolean | undefined;
  for (let i = 0; i < values.length; i++) {
    const isAbove = (values[i] as number) > threshold;
    if (isAbove) above++;
    if (isAbove !== previous) runs++;
    previous = isAbove;
  }
  const n = values.length;
  const pairs = 2 * above * (n - above);
  if (pairs === 0) throw new RangeError("runsTest: all values are on the same side of the threshold");
  const expected = pairs / n + 1;
  const variance = (pairs * (pairs - n)) / (n * n * (n - 1));
  if (!(variance > 0)) throw new RangeError(`runsTest: ${n} values are too few`);
  const statistic = (runs - expected) / Math.sqrt(variance);
  return { runs, statistic, pValue: twoSidedNormal(statistic) };
}
