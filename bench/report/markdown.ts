/** The report as Markdown, and the section of it that stands in the README. */
import { type BenchResult, MODE_LABELS, type ModeName } from "../cases.ts";
import { verdictNote } from "../peers/verdict.ts";
import { describe } from "../table.ts";
import { batchChart } from "./charts.ts";
import { lineChart } from "./chart.ts";
import {
  caseName,
  caseOf,
  cpuRows,
  growthTable,
  HOW_TO_READ,
  kindOf,
  notesOf,
  overview,
  overviewOfLimit,
  quantityOf,
  sideBySide,
  slowerThan,
  titleOf,
} from "./figures.ts";
import { escapeCell, markdownTable } from "./text.ts";

export const BEGIN = "<!-- bench: begin (written by npm run bench:report) -->";
export const END = "<!-- bench: end -->";

/** The chart of the README: everyone, over the batch, in the mode that most people use. */
const README_MODE: ModeName = "top-k+top-p";
/** The batch of the README's table. */
const README_BATCH = 32;

export function reportMarkdown(results: readonly BenchResult[]): string {
  const lines = ["# Bench", ""];
  for (const result of results) {
    const kind = kindOf(result);
    lines.push(`## ${titleOf(result)}`, "", ...describe(result).map((line) => `- ${line}`), "");
    if (kind === "growth") {
      const { head, rows } = growthTable(result);
      lines.push(...markdownTable(head, rows, 2), "");
      continue;
    }
    if (kind === "peers") lines.push(...HOW_TO_READ.flatMap((paragraph) => [paragraph, ""]));
    for (const one of result.cases) {
      const { head, rows } = kind === "peers" ? overview(one) : overviewOfLimit(one);
      lines.push(`### ${caseName(one)}`, "", ...markdownTable(head, rows, 1), "");
    }
    if (kind !== "peers") continue;
    const slower = slowerThan(result);
    lines.push("### Where something else is faster", "");
    lines.push(
      ...(slower.rows.length === 0 ? ["Nowhere in this run."] : markdownTable(slower.head, slower.rows, 2)),
      "",
    );
    for (const one of result.cases) {
      const { head, rows } = sideBySide(one);
      const title = `### Everyone, ms to tokens, ${quantityOf(one.batch)}: ${caseName(one)}`;
      lines.push(title, "", ...markdownTable(head, rows, 1), "");
      const notes = notesOf(one).map((note) => `- ${escapeCell(note)}`);
      if (notes.length > 0) lines.push(...notes, "");
    }
    lines.push("### Masked and tied rows", "");
    for (const { name, version, how, verdicts } of result.peers ?? []) {
      lines.push(`- ${escapeCell([name, version].filter(Boolean).join(" "))}: ${escapeCell(how)}`);
      for (const verdict of verdicts)
        lines.push(`  - ${MODE_LABELS[verdict.mode]}: ${escapeCell(verdictNote(verdict))}`);
    }
    const cpu = cpuRows(result);
    lines.push(
      "",
      "### The CPU engine beside hand-written JavaScript",
      "",
      ...markdownTable(cpu.head, cpu.rows, 2),
      "",
    );
  }
  return `${lines.join("\n").trimEnd()}\n`;
}

/** What the README shows of a run beside peers: a chart, which is a file, and a table. */
export interface ReadmeSection {
  readonly markdown: string;
  readonly svg: string;
}

/** @param chartPath the chart's path from the README */
export function readmeSection(result: BenchResult, chartPath: string): ReadmeSection {
  const chart = batchChart(result, "peaked", README_MODE);
  const one = caseOf(result, { input: "peaked", batch: README_BATCH }) ?? result.cases.at(-1);
  if (chart === undefined || one === undefined) {
    throw new Error("bench:report: the README needs a run beside peers with peaked rows in two batch sizes or more");
  }
  const { head, rows } = overview(one);
  const { adapter, machine, runtime, date, command } = result;
  return {
    svg: `${lineChart(chart, "bench", true)}\n`,
    markdown: [
      BEGIN,
      "",
      `![${chart.title}. ${chart.description}](${chartPath})`,
      "",
      "In the chart the time of a single row is an eighth of that of eight calls in flight (slow ones are called once), the time of more rows is that of one call. Ours is",
      "the better of `sample` and `encode`; eight calls of `encode` are one submit and one readback. The read limit is the time per call of several in one submit, without a",
      "readback.",
      "",
      `${caseName(one)[0]!.toUpperCase()}${caseName(one).slice(1)}; medians, quartiles in brackets. “× read limit” is the GPU time over that of a kernel that only reads`,
      `the same logits. “ms to tokens” is the time of ${quantityOf(one.batch)}: it begins with the logits on the GPU and ends with the tokens in JavaScript, as do the`,
      "columns after it. Libraries that failed or were too slow for the run were not measured.",
      "",
      ...markdownTable(head, rows, 1),
      "",
      `Measured ${date.slice(0, 10)} by \`${command}\` on ${machine.cpu}, ${machine.cores} cores, ${machine.system}; ${runtime}; adapter ${adapter.description || adapter.device || adapter.vendor}${
        adapter.software ? ", which runs the shaders on the CPU: a copy to the CPU costs next to nothing there" : ""
      }.`,
      "",
      END,
    ].join("\n"),
  };
}

/** The text with what stands between the markers replaced. */
export function replaceSection(text: string, section: string): string {
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (from < 0 || to < from || text.indexOf(BEGIN, from + 1) >= 0) {
    throw new Error(`bench:report: expected the lines "${BEGIN}" and "${END}" once each in the README`);
  }
  return text.slice(0, from) + section + text.slice(to + END.length);
}
