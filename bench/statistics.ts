import type { Summary } from "./cases.ts";

/** Value at a share of the sorted samples, between neighbours where it falls between them. */
function quantile(sorted: readonly number[], share: number): number {
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}

const ascending = (samples: readonly number[]): number[] => [...samples].sort((a, b) => a - b);

export function median(samples: readonly number[]): number {
  return quantile(ascending(samples), 0.5);
}

/** Median and quartiles, to four digits. */
export function summarize(samples: readonly number[]): Summary {
  const sorted = ascending(samples);
  const at = (share: number): number => Number(quantile(sorted, share).toPrecision(4));
  return { median: at(0.5), low: at(0.25), high: at(0.75), count: samples.length };
}

/** The same, or nothing where nothing was measured. */
export function summarizeSome(samples: readonly number[]): Summary | undefined {
  return samples.length === 0 ? undefined : summarize(samples);
}

/** A line `time = fixed + slope · size`, by least squares of the relative error, so that small sizes count as well. */
export function fitLine(points: readonly { size: number; time: number }[]): { fixed: number; slope: number } {
  let [w, x, y, xx, xy] = [0, 0, 0, 0, 0];
  for (const { size, time } of points) {
    const weight = 1 / (time * time);
    w += weight;
    x += weight * size;
    y += weight * time;
    xx += weight * size * size;
    xy += weight * size * time;
  }
  const slope = (w * xy - x * y) / (w * xx - x * x);
  return { fixed: (y - slope * x) / w, slope };
}
