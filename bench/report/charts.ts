/** The report's charts. */
import { type BenchResult, type Case, MODE_LABELS, type ModeName, type Summary } from "../cases.ts";
import { digits } from "../table.ts";
import type { Chart, Point, Series } from "./chart.ts";
import {
  COPY,
  endToEnd,
  figureOf,
  growthCases,
  growthOver,
  JAVASCRIPT,
  limitPoints,
  ourBest,
  OURS,
  OURS_COPY,
  quantityOf,
} from "./figures.ts";

const LIMIT = "read limit";
/** Who has which colour and mark. */
const OURS_COPY_LABEL = "copy + our CPU engine";
const STYLES = [OURS, LIMIT, COPY, "transformers.js", "TensorFlow.js", "ONNX Runtime Web", "jax-js", OURS_COPY_LABEL];
const styleOf = (who: string): number => Math.max(0, STYLES.indexOf(who));

const point = (x: number, { median, low, high }: Summary): Point => ({ x, y: median, low, high });
const count = (value: number): string => value.toLocaleString("en");

/** What the ends of the lines say, for those who cannot see them. */
function ends(series: readonly Series[], unit: string): string {
  return series
    .map(({ name, points }) => `${name} ${digits(points.at(-1)!.y)} ms at ${points.at(-1)!.x} ${unit}`)
    .join(", ");
}

/** From logits on the GPU to tokens in JavaScript over batch sizes, everyone in one mode. Undefined with fewer than two. */
export function batchChart(result: BenchResult, input: Case["input"], mode: ModeName): Chart | undefined {
  const vocab = result.cases.find((one) => one.input === input)?.vocab;
  const cases = result.cases
    .filter((one) => one.input === input && one.vocab === vocab)
    .sort((a, b) => a.batch - b.batch);
  if (cases.length < 2 || vocab === undefined) return undefined;
  const others = [...new Set(cases.flatMap(({ figures }) => figures.map(({ who }) => who)))].filter(
    (who) => !who.startsWith(OURS) && who !== JAVASCRIPT,
  );
  const series: Series[] = [
    { name: OURS, style: styleOf(OURS), points: points(cases, (one) => ourBest(one, mode)) },
    { name: LIMIT, style: styleOf(LIMIT), reference: true, points: points(cases, ({ limit }) => limit.wall) },
    {
      name: OURS_COPY_LABEL,
      style: styleOf(OURS_COPY_LABEL),
      points: points(cases, (one) => endToEnd(figureOf(one, OURS_COPY, mode), one.batch)),
    },
    ...others.map((who) => ({
      name: who,
      style: styleOf(who),
      points: points(cases, (one) => endToEnd(figureOf(one, who, mode), one.batch)),
    })),
  ].filter((one) => one.points.length > 0);
  const ofSingle = "1 row: ⅛ of 8 calls in flight (slow ones: one call); more rows: one call";
  const quantity = cases[0]!.batch === 1 ? ofSingle : quantityOf(cases[0]!.batch);
  return {
    title: `${MODE_LABELS[mode]}, ${input} rows of ${count(vocab)} tokens`,
    description: `Milliseconds from logits on the GPU to tokens in JavaScript over the number of rows (${quantity}): ${ends(series, "rows")}.`,
    x: "rows of a call",
    y: `ms, logits on the GPU to tokens in JavaScript; ${quantity}`,
    series,
  };
}

const points = (cases: readonly Case[], time: (one: Case) => Summary | undefined): Point[] =>
  cases.flatMap((one) => {
    const summary = time(one);
    return summary === undefined ? [] : [point(one.batch, summary)];
  });

/** GPU time of our modes over one size, with the read limit. */
export function growthChart(result: BenchResult, size: "vocab" | "batch"): Chart | undefined {
  const cases = growthCases(result, size);
  const growths = growthOver(cases, size);
  if (growths.length === 0) return undefined;
  const [{ batch, vocab }] = cases as [Case];
  const series: Series[] = [
    ...growths.map(({ mode, points }, index) => ({
      name: MODE_LABELS[mode],
      // The second style is the limit's.
      style: index === 0 ? 0 : index + 1,
      points: points.map((one) => point(one.size, one.time)),
    })),
    { name: LIMIT, style: styleOf(LIMIT), reference: true, points: limitPoints(cases, size) },
  ];
  const clock = result.adapter.timestamps ? "GPU time" : "amortised wall time";
  const [title, unit] =
    size === "vocab"
      ? [`Over the vocabulary, batch ${batch}`, "tokens"]
      : [`Over the batch, vocabulary ${count(vocab)}`, "rows"];
  return {
    title,
    description: `Milliseconds a call (${clock}) over the number of ${unit}: ${ends(series, unit)}.`,
    x: size === "vocab" ? "tokens of a row" : "rows of a call",
    y: `ms a call, ${clock}`,
    series,
  };
}
