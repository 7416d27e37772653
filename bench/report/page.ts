/** The report as one self-contained HTML page. */
import { type BenchResult, MODE_LABELS } from "../cases.ts";
import { verdictNote } from "../peers/verdict.ts";
import { describe } from "../table.ts";
import { chartStyle, lineChart } from "./chart.ts";
import { batchChart, growthChart } from "./charts.ts";
import {
  caseName,
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
  type Table,
} from "./figures.ts";
import { escapeXml, htmlTable } from "./text.ts";

const STYLE = `
:root{color-scheme:light dark;--ink:#1f2328;--ground:#fff;--faint:#d8dde3;--soft:#59636e}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--ground:#0d1117;--faint:#3a424b;--soft:#9198a1}}
body{background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1,h2,h3{line-height:1.25}
h2{margin-top:3rem}
.facts,.note{color:var(--soft);font-size:.9rem}
.facts li{overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,28rem),1fr));gap:1.5rem}
.charts svg,figure svg{width:100%;height:auto}
figure{margin:0}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.85rem;margin:1rem 0;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:.4rem 0}
th,td{border-bottom:1px solid var(--faint);padding:.3rem .7rem;text-align:left;vertical-align:top}
tbody th{font-weight:400}
.number{text-align:right;white-space:nowrap}
`;

const table = (caption: string, { head, rows }: Table, left: number): string => htmlTable(caption, head, rows, left);
const facts = (result: BenchResult): string =>
  `<ul class="facts">${describe(result)
    .map((line) => `<li>${escapeXml(line.replaceAll("`", ""))}</li>`)
    .join("")}</ul>`;

const heading = (result: BenchResult): string => `<h2>${escapeXml(titleOf(result))}</h2>`;

/** @param results of any kinds; a kind that is not there leaves its section out */
export function reportPage(results: readonly BenchResult[]): string {
  let charts = 0;
  const draw = (chart: Parameters<typeof lineChart>[0] | undefined): string =>
    chart === undefined ? "" : `<figure>${lineChart(chart, `chart${charts++}`)}</figure>`;
  const sections = results.flatMap((result) => {
    switch (kindOf(result)) {
      case "peers":
        return peersSections(result, draw);
      case "growth":
        return [
          heading(result),
          facts(result),
          `<div class="charts">${draw(growthChart(result, "vocab"))}${draw(growthChart(result, "batch"))}</div>`,
          table(
            "Fitted lines: time = fixed + each · size, least squares of the relative error",
            growthTable(result),
            2,
          ),
        ];
      default:
        return [
          heading(result),
          facts(result),
          ...result.cases.map((one) => table(caseName(one), overviewOfLimit(one), 1)),
        ];
    }
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>webgpu-token-sampler: bench</title>
<link rel="icon" href="data:,">
<style>${STYLE}${chartStyle()}</style>
</head>
<body>
<main>
<h1>webgpu-token-sampler: bench</h1>
<p>How long it takes to turn logits into tokens, beside what one would take instead, and beside the read limit: a kernel that
only reads the same logits, on the same adapter, in the same run. Times are medians, with quartiles in brackets; lower is
better.</p>
${sections.join("\n")}
</main>
</body>
</html>
`;
}

function peersSections(result: BenchResult, draw: (chart: ReturnType<typeof batchChart>) => string): string[] {
  const inputs = [...new Set(result.cases.map(({ input }) => input))];
  const modes = [...new Set(result.cases.flatMap(({ figures }) => figures.map(({ mode }) => mode)))];
  const cpu = cpuRows(result);
  const slower = slowerThan(result);
  return [
    heading(result),
    facts(result),
    ...HOW_TO_READ.map((paragraph) => `<p class="note">${escapeXml(paragraph.replaceAll("`", ""))}</p>`),
    ...inputs.map(
      (input) => `<div class="charts">${modes.map((mode) => draw(batchChart(result, input, mode))).join("")}</div>`,
    ),
    ...result.cases.map((one) => table(caseName(one), overview(one), 1)),
    "<h3>Where something else is faster</h3>",
    slower.rows.length === 0
      ? "<p>Nowhere in this run.</p>"
      : table("Milliseconds to tokens; of one call, for batch 1 an eighth of eight calls in flight", slower, 2),
    "<h3>Everyone, milliseconds from logits on the GPU to tokens in JavaScript</h3>",
    ...result.cases.flatMap((one) => [
      table(`${caseName(one)}: ${quantityOf(one.batch)}`, sideBySide(one), 1),
      `<ul class="note">${notesOf(one)
        .map((note) => `<li>${escapeXml(note)}</li>`)
        .join("")}</ul>`,
    ]),
    "<h3>Who was asked, and what becomes of masked and tied rows</h3>",
    `<p class="note">Measured before the timing: the tokens of rows with masked (-inf) logits, of rows with few different logits and of a
row in which everything is masked, beside what the filter keeps. Among equals the lower id comes first; another of the equals is
no mistake, but not the same token everywhere. For a row without a candidate any token is a masked one.</p>`,
    table(
      "Peers",
      {
        head: ["who", "version", "how", "mode", "masked and tied rows"],
        rows: (result.peers ?? []).flatMap(({ name, version, how, verdicts }) =>
          verdicts.length === 0
            ? [[name, version, how, "", ""]]
            : verdicts.map((verdict, index) => [
                name,
                version,
                index === 0 ? how : "",
                MODE_LABELS[verdict.mode],
                verdictNote(verdict),
              ]),
        ),
      },
      5,
    ),
    ...(cpu.rows.length > 0
      ? ["<h3>The CPU engine beside hand-written JavaScript</h3>", table("Logits in CPU memory", cpu, 2)]
      : []),
  ];
}
