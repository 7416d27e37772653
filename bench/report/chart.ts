/**
 * Line charts on two logarithmic axes, as SVG text. A series is told apart by colour, by the shape of its marks and by its
 * name at the end of its line, so that no reader depends on colour. Colours follow the reader's scheme, light or dark.
 */
import { escapeXml } from "./text.ts";

export interface Point {
  readonly x: number;
  readonly y: number;
  /** Quartiles, drawn as a line through the mark. */
  readonly low?: number;
  readonly high?: number;
}

export interface Series {
  readonly name: string;
  readonly points: readonly Point[];
  /** Number of its colour and mark, the same in every chart. */
  readonly style: number;
  /** Drawn thin and dashed: something to compare with. */
  readonly reference?: boolean;
}

export interface Chart {
  readonly title: string;
  /** What a listener is told in place of the picture. */
  readonly description: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
}

const WIDTH = 720;
const HEIGHT = 400;
const PLOT = { left: 52, right: WIDTH - 182, top: 56, bottom: HEIGHT - 44 };
const LABEL_GAP = 15;

/** Colours after Okabe and Ito, which colour-blind readers can tell apart; darker on light, lighter on dark. */
const COLORS: readonly (readonly [light: string, dark: string])[] = [
  ["#0060a8", "#56b4e9"],
  ["#666666", "#aaaaaa"],
  ["#b34700", "#ff9a4d"],
  ["#00785a", "#2fc79d"],
  ["#8f3b76", "#e79cc8"],
  ["#8a6d00", "#f0e442"],
  ["#3d3d99", "#a9a9ff"],
  ["#0a7d8c", "#7fe0ee"],
];

/** The style sheet of all charts. */
export function chartStyle(): string {
  const rules = (scheme: 0 | 1, ink: string, faint: string, ground: string): string =>
    [
      `.chart{--ink:${ink};--faint:${faint};--ground:${ground}}`,
      ...COLORS.map((colors, index) => `.chart .s${index}{--c:${colors[scheme]}}`),
    ].join("");
  return [
    rules(0, "#1f2328", "#d8dde3", "#ffffff"),
    `@media (prefers-color-scheme:dark){${rules(1, "#e6edf3", "#3a424b", "#0d1117")}}`,
    ".chart text{fill:var(--ink);font:12px system-ui,sans-serif}",
    ".chart .title{font-size:15px;font-weight:600}",
    ".chart .ground{fill:var(--ground)}",
    ".chart .grid{stroke:var(--faint);stroke-width:1}",
    ".chart .line{fill:none;stroke:var(--c);stroke-width:2}",
    ".chart .reference .line{stroke-width:1.5;stroke-dasharray:5 4}",
    ".chart .spread{stroke:var(--c);stroke-width:1}",
    ".chart .mark{fill:var(--c)}",
    ".chart .name{fill:var(--c);font-weight:600}",
  ].join("\n");
}

const shapes: readonly ((x: number, y: number) => string)[] = [
  (x, y) => `M${x - 4},${y}a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z`,
  (x, y) => `M${x - 4},${y - 1}h8v2h-8Z`,
  (x, y) => `M${x - 3.5},${y - 3.5}h7v7h-7Z`,
  (x, y) => `M${x},${y - 5}l4.5,8h-9Z`,
  (x, y) => `M${x},${y - 5}l5,5l-5,5l-5,-5Z`,
  (x, y) => `M${x},${y + 5}l4.5,-8h-9Z`,
  (x, y) => `M${x - 1},${y - 4}h2v3h3v2h-3v3h-2v-3h-3v-2h3Z`,
  (x, y) => `M${x - 4},${y}l4,-4v8Z`,
];

interface Axis {
  readonly place: (value: number) => number;
  readonly ticks: readonly number[];
}

/** Places values between two pixels by their logarithm. */
function logarithmic(from: number, to: number, start: number, end: number): (value: number) => number {
  const [low, high] = [Math.log(from), Math.log(to)];
  return (value) => start + ((Math.log(value) - low) / (high - low || 1)) * (end - start);
}

/** 1, 2 and 5 times powers of ten between two values; powers alone where that would be crowded. */
export function decadeTicks(from: number, to: number): number[] {
  const all: number[] = [];
  for (let power = Math.floor(Math.log10(from)); power <= Math.ceil(Math.log10(to)); power++) {
    for (const digit of [1, 2, 5]) {
      const value = digit * 10 ** power;
      if (value >= from * 0.999 && value <= to * 1.001) all.push(value);
    }
  }
  const powers = all.filter((value) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9);
  return all.length > 9 && powers.length >= 2 ? powers : all;
}

function xAxis(series: readonly Series[]): Axis {
  const values = [...new Set(series.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
  const [from, to] = [values[0]!, values.at(-1)!];
  return { place: logarithmic(from, to, PLOT.left + 12, PLOT.right - 8), ticks: values };
}

function yAxis(series: readonly Series[]): Axis {
  const values = series.flatMap(({ points }) => points.flatMap(({ y, low, high }) => [y, low ?? y, high ?? y]));
  const [from, to] = [Math.min(...values) / 1.3, Math.max(...values) * 1.3];
  return { place: logarithmic(from, to, PLOT.bottom, PLOT.top), ticks: decadeTicks(from, to) };
}

/** Moves labels apart that would overlap, keeping their order. */
export function spreadLabels(wanted: readonly number[], gap: number, bottom: number): number[] {
  const order = wanted.map((_, index) => index).sort((a, b) => wanted[a]! - wanted[b]!);
  const placed = [...wanted];
  for (let at = 1; at < order.length; at++) {
    placed[order[at]!] = Math.max(placed[order[at]!]!, placed[order[at - 1]!]! + gap);
  }
  let limit = bottom;
  for (const index of [...order].reverse()) {
    placed[index] = Math.min(placed[index]!, limit);
    limit = placed[index] - gap;
  }
  return placed;
}

/** A tick in few characters. */
export function short(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (value >= 1e4) return `${Math.round(value / 1000)}k`;
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(3)));
}

const at = (value: number): string => String(Math.round(value * 10) / 10);

/** A chart as an `svg` element; `standalone` for a file of its own, which brings its style sheet. */
export function lineChart(chart: Chart, id: string, standalone = false): string {
  const series = chart.series.filter(({ points }) => points.length > 0);
  if (series.length === 0) throw new Error(`chart "${chart.title}": there is nothing to draw`);
  const [x, y] = [xAxis(series), yAxis(series)];
  const gridX = crowded(x).map(
    (value) =>
      `<line class="grid" x1="${at(x.place(value))}" x2="${at(x.place(value))}" y1="${PLOT.top}" y2="${PLOT.bottom}"/>` +
      `<text x="${at(x.place(value))}" y="${PLOT.bottom + 17}" text-anchor="middle">${short(value)}</text>`,
  );
  const gridY = y.ticks.map(
    (value) =>
      `<line class="grid" x1="${PLOT.left}" x2="${PLOT.right}" y1="${at(y.place(value))}" y2="${at(y.place(value))}"/>` +
      `<text x="${PLOT.left - 7}" y="${at(y.place(value) + 4)}" text-anchor="end">${short(value)}</text>`,
  );
  const ends = series.map(({ points }) => y.place(points.at(-1)!.y) + 4);
  const labels = spreadLabels(ends, LABEL_GAP, PLOT.bottom + 4);
  const lines = series.map(({ name, points, style, reference }, index) => {
    const places = points.map((point) => [x.place(point.x), y.place(point.y)] as const);
    const spread = points.map(({ x: size, low, high }) =>
      low === undefined || high === undefined
        ? ""
        : `<line class="spread" x1="${at(x.place(size))}" x2="${at(x.place(size))}" y1="${at(y.place(low))}" y2="${at(y.place(high))}"/>`,
    );
    const shape = shapes[style % shapes.length]!;
    return [
      `<g class="s${style % COLORS.length}${reference === true ? " reference" : ""}">`,
      `<polyline class="line" points="${places.map(([left, top]) => `${at(left)},${at(top)}`).join(" ")}"/>`,
      spread.join(""),
      `<path class="mark" d="${places.map(([left, top]) => shape(Math.round(left * 10) / 10, Math.round(top * 10) / 10)).join("")}"/>`,
      `<path class="mark" d="${shape(PLOT.right + 10, Math.round(labels[index]!) - 4)}"/>`,
      `<text class="name" x="${PLOT.right + 20}" y="${at(labels[index]!)}">${escapeXml(name)}</text>`,
      "</g>",
    ].join("");
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="${id}-title ${id}-text">`,
    `<title id="${id}-title">${escapeXml(chart.title)}</title><desc id="${id}-text">${escapeXml(chart.description)}</desc>`,
    ...(standalone ? [`<style>${chartStyle()}</style>`] : []),
    `<rect class="ground" width="${WIDTH}" height="${HEIGHT}"/>`,
    `<text class="title" x="8" y="20">${escapeXml(chart.title)}</text>`,
    `<text x="8" y="${PLOT.top - 14}">${escapeXml(chart.y)}</text>`,
    `<text x="${PLOT.right}" y="${HEIGHT - 8}" text-anchor="end">${escapeXml(chart.x)}</text>`,
    ...gridX,
    ...gridY,
    ...lines,
    "</svg>",
  ].join("\n");
}

/** Ticks that have room beside each other. */
function crowded({ ticks, place }: Axis): number[] {
  const kept: number[] = [];
  for (const tick of ticks) {
    if (kept.length === 0 || place(tick) - place(kept.at(-1)!) >= 34) kept.push(tick);
  }
  return kept;
}
