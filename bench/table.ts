/** Results as text: one table per buffer of logits. */
import { type BenchResult, type Case, type Figure, MODE_LABELS, type Summary } from "./cases.ts";

/** Three digits, or whole numbers when there are more. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return "–";
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** A median with its quartiles. */
export const spread = (summary: Summary | undefined): string =>
  summary === undefined ? "" : `${digits(summary.median)} (${digits(summary.low)}–${digits(summary.high)})`;

/** The clock that a case was timed by: the GPU's where it has one. */
export const timeOf = (figure: Figure): Summary | undefined => figure.gpu ?? figure.wall;
export const limitOf = ({ limit }: Case): Summary => limit.gpu ?? limit.wall;

/** Billions of bytes of logits per second. */
export const gigabytes = (bytes: number, milliseconds: number): number => bytes / milliseconds / 1e6;

const HEAD = [
  "mode",
  "who",
  "ms a call",
  "GB/s",
  "× read limit",
  "wall ms a call",
  "ms to tokens",
  "… in flight",
  "µs to record",
  "CPU ms a row",
];

function row(figure: Figure, bytes: number): string[] {
  const time = timeOf(figure);
  return [
    MODE_LABELS[figure.mode],
    figure.who,
    spread(time),
    time === undefined ? "" : digits(gigabytes(bytes, time.median)),
    spread(figure.overLimit),
    spread(figure.wall),
    spread(figure.tokens),
    figure.inFlight === undefined ? "" : digits(figure.inFlight.median),
    figure.recordMicroseconds === undefined ? "" : digits(figure.recordMicroseconds.median),
    figure.cpu === undefined ? "" : spread(figure.cpu),
  ];
}

/** Rows of equal columns; what is empty in every row is left out. */
export function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const used = head.map((_, column) => rows.some((cells) => cells[column] !== ""));
  const all = [head, ...rows].map((cells) => cells.filter((_, column) => used[column]));
  const widths = all[0]!.map((_, column) => Math.max(...all.map((cells) => cells[column]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(" | ")} |`;
  const rule = `| ${widths.map((width, column) => (column < 2 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  return [line(all[0]!), rule, ...all.slice(1).map(line)];
}

/** One case: the limit, then everyone in every mode. */
export function caseTable(result: Case): string[] {
  const limit = limitOf(result);
  const order = new Map(Object.keys(MODE_LABELS).map((mode, index) => [mode, index]));
  const figures = [...result.figures].sort((a, b) => order.get(a.mode)! - order.get(b.mode)!);
  const bytes = result.limit.gpu === undefined ? result.limit.wall : result.limit.gpu;
  const first = [
    "read limit",
    result.limit.kernel,
    spread(limit),
    digits(gigabytes(result.bytes, bytes.median)),
    "1",
    spread(result.limit.wall),
    ...HEAD.slice(6).map(() => ""),
  ];
  return tableOf(HEAD, [first, ...figures.map((figure) => row(figure, result.bytes))]);
}

/** What ran where, a line each. */
export function describe(result: BenchResult): string[] {
  const { adapter, machine, options } = result;
  const adapterName = [adapter.vendor, adapter.architecture, adapter.device, adapter.description].filter(Boolean);
  return [
    `Date: ${result.date}`,
    `Command: \`${result.command}\` (webgpu-token-sampler ${result.package})`,
    `Machine: ${machine.cpu}, ${machine.cores} cores, ${machine.system}`,
    `Runtime: ${result.runtime}`,
    `Adapter: ${adapterName.join(" ")}${adapter.software ? " (shaders run on the CPU)" : ""}`,
    `Clock: ${adapter.timestamps ? "GPU timestamps" : "wall clock, amortised"}; ${options.rounds} rounds; median (quartiles)`,
    ...(options.cold ? ["Cold: calls read from 256 MiB of copies of the logits in turn"] : []),
  ];
}

/** The whole result as Markdown; it reads in a terminal as well. */
export function markdown(result: BenchResult): string {
  const lines = ["# Bench", "", ...describe(result).map((line) => `- ${line}`), ""];
  for (const one of result.cases) {
    lines.push(
      `## ${one.input}, vocabulary ${one.vocab.toLocaleString("en")}, batch ${one.batch}`,
      "",
      ...caseTable(one),
      "",
    );
    const notes = one.figures.flatMap(({ who, mode, notes }) =>
      (notes ?? []).map((note) => `- ${who}, ${MODE_LABELS[mode]}: ${note}`),
    );
    if (notes.length > 0) lines.push(...notes, "");
  }
  return lines.join("\n");
}
