/** What the report takes out of results. */
import { type BenchResult, type Case, type Figure, MODE_LABELS, type ModeName, type Summary } from "../cases.ts";
import { fitLine } from "../statistics.ts";
import { digits, gigabytes, limitOf, timeOf } from "../table.ts";

export const OURS = "webgpu-token-sampler";
export const OURS_ENCODE = "webgpu-token-sampler, encode";
export const OURS_COPY = "webgpu-token-sampler, copy + CPU engine";
export const OURS_CPU = "webgpu-token-sampler, CPU engine";
export const JAVASCRIPT = "JavaScript";
export const COPY = "copy + JavaScript";

/** What a result was made for, by its content: a run beside peers, a growth run, or a run beside the read limit. */
export type Kind = "peers" | "growth" | "limit";

export function kindOf(result: BenchResult): Kind {
  if (result.peers !== undefined) return "peers";
  return /--preset[= ]growth\b/u.test(result.command) ? "growth" : "limit";
}

const TITLES = {
  peers: "Beside what one would take instead",
  growth: "How it grows",
  limit: "Beside the read limit",
} as const;

/** The heading of a result: what it is about, where and when. */
export const titleOf = (result: BenchResult): string =>
  `${TITLES[kindOf(result)]}: ${result.machine.cpu}, ${result.date.slice(0, 10)}`;

export const caseOf = (
  result: BenchResult,
  wanted: Partial<Pick<Case, "input" | "vocab" | "batch">>,
): Case | undefined =>
  result.cases.find((one) => Object.entries(wanted).every(([key, value]) => one[key as keyof Case] === value));

export const figureOf = (one: Case, who: string, mode: ModeName): Figure | undefined =>
  one.figures.find((figure) => figure.who === who && figure.mode === mode);

/** What {@link endToEnd} gives for so many rows. */
export const quantityOf = (batch: number): string => (batch === 1 ? "an eighth of eight calls in flight" : "one call");

/** What a reader has to know of the times of a run beside peers. */
export const HOW_TO_READ: readonly string[] = [
  "“ms to tokens” begins with the logits on the GPU and ends with the tokens in JavaScript. It is one of two quantities. For more rows than one it is the time of one call. For a single row it is an eighth of the time of eight calls that are begun before the first one ends, as a single one is mostly waiting; who is too slow for that is called once, and “one call” stands beside the time.",
  "Ours is the better of `sample` and `encode`. Eight calls of `encode` in flight are recorded into one submit and read back at once; everyone else is called eight times, and ONNX Runtime Web runs one call after the other.",
  "The read limit in the charts is the time per call of several in one submit, without a readback.",
  "“Fastest library” is of those that were measured. “Not measured” is who failed, or was too slow for the run by what other rows took: the notes below the tables of everyone say which.",
];

const NOT_MEASURED = "not measured";

/**
 * From logits on the GPU to tokens in JavaScript: a call, and for a single row a call of several in flight, as a single
 * one is mostly waiting.
 */
export function endToEnd(figure: Figure | undefined, batch: number): Summary | undefined {
  return batch === 1 ? (figure?.inFlight ?? figure?.tokens) : figure?.tokens;
}

/** The better of our two ways to have tokens in JavaScript: `sample`, and `encode` with a readback. */
export function ourBest(one: Case, mode: ModeName): Summary | undefined {
  const both = [OURS, OURS_ENCODE].map((who) => endToEnd(figureOf(one, who, mode), one.batch));
  return both.reduce((a, b) => (a === undefined || (b !== undefined && b.median < a.median) ? b : a));
}

/** The library that was fastest in a mode; the copy to the CPU is not a library. */
export function bestLibrary(one: Case, mode: ModeName): { who: string; time: Summary; isOneCall: boolean } | undefined {
  let best: ReturnType<typeof bestLibrary>;
  for (const figure of one.figures) {
    if (figure.mode !== mode || figure.who === COPY || figure.who === JAVASCRIPT || figure.who.startsWith(OURS))
      continue;
    const time = endToEnd(figure, one.batch);
    if (time !== undefined && (best === undefined || time.median < best.time.median))
      best = { who: figure.who, time, isOneCall: isOneCall(figure, one.batch) };
  }
  return best;
}

export const spread = (summary: Summary | undefined): string =>
  summary === undefined ? NOT_MEASURED : `${digits(summary.median)} (${digits(summary.low)}–${digits(summary.high)})`;

/** Whether the time of a single row is that of one call nevertheless. */
const isOneCall = (figure: Figure, batch: number): boolean => batch === 1 && figure.inFlight === undefined;

/** A time from {@link endToEnd}, and what it is of where its table does not say so. */
function spreadToTokens(figure: Figure | undefined, batch: number): string {
  const time = endToEnd(figure, batch);
  return spread(time) + (figure !== undefined && time !== undefined && isOneCall(figure, batch) ? ", one call" : "");
}

/** Head and rows of a table. */
export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

const count = (value: number): string => value.toLocaleString("en");

export const caseName = ({ input, vocab, batch }: Case): string =>
  `${input} rows, vocabulary ${count(vocab)}, batch ${batch}`;

/** One row a mode: GPU time, × the read limit, and the way to JavaScript beside the copy and the best library. */
export function overview(one: Case): Table {
  const modes = [...new Set(one.figures.map(({ mode }) => mode))];
  const rows = modes.map((mode) => {
    const ours = figureOf(one, OURS, mode);
    const time = ours && timeOf(ours);
    const library = bestLibrary(one, mode);
    return [
      MODE_LABELS[mode],
      spread(time),
      time === undefined ? NOT_MEASURED : digits(gigabytes(one.bytes, time.median)),
      spread(ours?.overLimit),
      spread(ourBest(one, mode)),
      spreadToTokens(figureOf(one, COPY, mode), one.batch),
      library === undefined
        ? NOT_MEASURED
        : `${digits(library.time.median)} (${library.who}${library.isOneCall ? ", one call" : ""})`,
    ];
  });
  return {
    head: [
      "mode",
      "GPU ms a call",
      "GB/s",
      "× read limit",
      one.batch === 1 ? "ms to tokens, ⅛ of 8 calls" : "ms to tokens, one call",
      "copy + JavaScript, ms",
      "fastest library, ms",
    ],
    rows,
  };
}

/** The same without peers. */
export function overviewOfLimit(one: Case): Table {
  const { head, rows } = overview(one);
  return { head: head.slice(0, 5), rows: rows.map((cells) => cells.slice(0, 5)) };
}

/** Everyone's way to JavaScript in one case. */
export function sideBySide(one: Case): Table {
  const who = [
    ...new Set(one.figures.filter(({ who }) => who !== OURS_CPU && who !== JAVASCRIPT).map(({ who }) => who)),
  ];
  const modes = [...new Set(one.figures.map(({ mode }) => mode))];
  return {
    head: ["who", ...modes.map((mode) => MODE_LABELS[mode])],
    rows: who.map((name) =>
      [name].concat(
        modes.map((mode) => {
          const figure = figureOf(one, name, mode);
          return figure === undefined ? "no such mode" : spreadToTokens(figure, one.batch);
        }),
      ),
    ),
  };
}

/** What is to be said of the figures of one case, what is said of several modes once. */
export function notesOf(one: Case): string[] {
  const modes = new Map<string, string[]>();
  for (const { who, mode, notes } of one.figures) {
    for (const note of notes ?? []) {
      const key = `${who}: ${note}`;
      modes.set(key, [...(modes.get(key) ?? []), MODE_LABELS[mode]]);
    }
  }
  return [...modes].map(([note, names]) => `${note} (${names.join("; ")})`);
}

/** Every case and mode in which someone else has the tokens sooner. */
export function slowerThan(result: BenchResult): Table {
  const rows: string[][] = [];
  for (const one of result.cases) {
    for (const mode of new Set(one.figures.map((figure) => figure.mode))) {
      const ours = ourBest(one, mode);
      if (ours === undefined) continue;
      for (const figure of one.figures) {
        const time = figure.mode === mode ? endToEnd(figure, one.batch) : undefined;
        if (time === undefined || figure.who === OURS || figure.who === OURS_ENCODE || time.median >= ours.median)
          continue;
        rows.push([
          caseName(one),
          MODE_LABELS[mode],
          spread(ours),
          figure.who,
          spreadToTokens(figure, one.batch),
          digits(ours.median / time.median),
        ]);
      }
    }
  }
  return { head: ["rows", "mode", "ours, ms", "who is faster", "ms", "times as fast"], rows };
}

/** The CPU engine beside hand-written JavaScript, milliseconds a row. */
export function cpuRows(result: BenchResult): Table {
  const rows = result.cases.flatMap((one) =>
    one.figures
      .filter(({ who, cpu }) => who === OURS_CPU && cpu !== undefined)
      .flatMap(({ mode, cpu }) => {
        const other = figureOf(one, JAVASCRIPT, mode)?.cpu;
        if (other === undefined) return [];
        return [
          [
            `${one.input}, ${count(one.vocab)}, batch ${one.batch}`,
            MODE_LABELS[mode],
            spread(cpu),
            spread(other),
            digits(other.median / cpu!.median),
          ],
        ];
      }),
  );
  return { head: ["rows", "mode", "CPU engine, ms a row", "JavaScript, ms a row", "times as fast"], rows };
}

/** How well a line fits, and what it says. */
export interface Growth {
  readonly mode: ModeName;
  /** Milliseconds of a call that do not depend on the size. */
  readonly fixed: number;
  /** Milliseconds for one more of what the size counts. */
  readonly slope: number;
  /** The largest deviation of a measurement from the line, as a share of the line. */
  readonly worst: number;
  readonly points: readonly { readonly size: number; readonly time: Summary }[];
}

/** Growth over one of the two sizes, the other one fixed. */
export function growthOver(cases: readonly Case[], size: "vocab" | "batch"): Growth[] {
  const modes = [...new Set(cases.flatMap(({ figures }) => figures.map(({ mode }) => mode)))];
  return modes.flatMap((mode) => {
    const points = cases
      .flatMap((one) => {
        const figure = figureOf(one, OURS, mode);
        const time = figure && timeOf(figure);
        return time === undefined ? [] : [{ size: one[size], time }];
      })
      .sort((a, b) => a.size - b.size);
    if (points.length < 3) return [];
    const { fixed, slope } = fitLine(points.map((point) => ({ size: point.size, time: point.time.median })));
    const off = points.map((point) => Math.abs(point.time.median / (fixed + slope * point.size) - 1));
    return [{ mode, fixed, slope, worst: Math.max(...off), points }];
  });
}

/** The cases of a growth run: the sizes that vary while the other one stays. */
export function growthCases(result: BenchResult, size: "vocab" | "batch"): Case[] {
  const other = size === "vocab" ? "batch" : "vocab";
  const groups = new Map<number, Case[]>();
  for (const one of result.cases) groups.set(one[other], [...(groups.get(one[other]) ?? []), one]);
  return [...groups.values()].reduce<Case[]>((a, b) => (b.length > a.length ? b : a), []);
}

/** What growth runs come to, in words of a table. */
export function growthTable(result: BenchResult): Table {
  const rows = (["vocab", "batch"] as const).flatMap((size) => {
    const cases = growthCases(result, size);
    return growthOver(cases, size).map(({ mode, fixed, slope, worst, points }) => {
      const [first, last] = [points[0]!.size, points.at(-1)!.size];
      const rows = cases[0]!.batch;
      return [
        size === "vocab"
          ? `vocabulary ${count(first)} to ${count(last)}, batch ${rows}`
          : `batch ${first} to ${last}, vocabulary ${count(cases[0]!.vocab)}`,
        MODE_LABELS[mode],
        digits(fixed * 1000),
        size === "vocab" ? `${digits((slope / rows) * 1e6)} ns a token` : `${digits(slope * 1000)} µs a row`,
        `${(worst * 100).toFixed(1)} %`,
      ];
    });
  });
  return { head: ["what grows", "mode", "fixed, µs a call", "each", "furthest off the line"], rows };
}

/** Milliseconds of the read limit, to draw beside others. */
export const limitPoints = (cases: readonly Case[], size: "vocab" | "batch"): { x: number; y: number }[] =>
  cases.map((one) => ({ x: one[size], y: limitOf(one).median })).sort((a, b) => a.x - b.x);
