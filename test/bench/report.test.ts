import { describe, expect, it } from "vitest";
import type { BenchResult, Case, Figure, ModeName, Summary } from "../../bench/cases.ts";
import { judge, type KeptRow, verdictNote } from "../../bench/peers/verdict.ts";
import { decadeTicks, lineChart, short, spreadLabels } from "../../bench/report/chart.ts";
import { batchChart, growthChart } from "../../bench/report/charts.ts";
import {
  bestLibrary,
  endToEnd,
  growthCases,
  growthOver,
  growthTable,
  kindOf,
  overview,
  overviewOfLimit,
  sideBySide,
  slowerThan,
} from "../../bench/report/figures.ts";
import { BEGIN, END, readmeSection, replaceSection, reportMarkdown } from "../../bench/report/markdown.ts";
import { reportPage } from "../../bench/report/page.ts";
import { escapeCell, escapeXml, htmlTable, markdownTable } from "../../bench/report/text.ts";
import { fitLine, median, summarize } from "../../bench/statistics.ts";

const at = (median: number): Summary => ({ median, low: median * 0.9, high: median * 1.1, count: 3 });
const figure = (who: string, mode: ModeName, rest: Partial<Figure>): Figure => ({ who, mode, ...rest });
const OURS = "webgpu-token-sampler";

function peaked(batch: number): Case {
  const mode = "top-k+top-p";
  return {
    input: "peaked",
    vocab: 1000,
    batch,
    bytes: 4000 * batch,
    limit: { kernel: "8 × 32", gpu: at(batch), wall: at(batch * 1.5) },
    figures: [
      figure(OURS, mode, { gpu: at(2 * batch), overLimit: at(2), tokens: at(3 * batch), inFlight: at(2.5 * batch) }),
      figure(`${OURS}, encode`, mode, { tokens: at(4 * batch), inFlight: at(2.25 * batch) }),
      figure(`${OURS}, CPU engine`, mode, { cpu: at(0.5) }),
      figure("JavaScript", mode, { cpu: at(1) }),
      figure("copy + JavaScript", mode, { tokens: at(5 * batch), inFlight: at(5 * batch) }),
      figure("jax-js", mode, { tokens: at(70 * batch), notes: ["called once"] }),
      figure("A <b>|library|</b>", mode, { tokens: at(60 * batch) }),
    ],
  };
}

const result = (command: string, cases: readonly Case[], rest: Partial<BenchResult> = {}): BenchResult => ({
  version: 1,
  date: "2026-01-02T03:04:05.000Z",
  command,
  package: "1.2.3",
  machine: { cpu: "Some <CPU>", cores: 2, system: "Linux" },
  runtime: "Chromium 1",
  adapter: {
    vendor: "v",
    architecture: "a",
    device: "d",
    description: "Device",
    software: true,
    timestamps: true,
    subgroups: false,
  },
  options: { shapes: [], inputs: ["peaked"], modes: ["top-k+top-p"], rounds: 3, targetMs: 20, cold: false },
  mismatches: [],
  cases,
  ...rest,
});

const verdict = judge(
  "greedy",
  [{ input: "masked90", logits: Float32Array.of(1, -Infinity), tokens: new Set([0]) }],
  [[0]],
);
const peers = result("npm run bench:peers", [peaked(1), peaked(8), peaked(32)], {
  peers: [{ name: "A <b>|library|</b>", version: "1", how: "so & so", verdicts: [verdict] }],
});

/** Times on a line: 0.5 ms and 2 µs a token in eight rows; 0.25 ms and 10 µs a row. */
const growth = result("npm run bench -- --preset growth", [
  ...[1000, 10_000, 100_000].map((vocab) => grown(vocab, 8, 0.5 + vocab * 0.002)),
  ...[1, 4, 16, 64].map((batch) => grown(777, batch, 0.25 + batch * 0.01)),
]);
function grown(vocab: number, batch: number, time: number): Case {
  const limit = { kernel: "k", gpu: at(time / 2), wall: at(time) };
  return {
    input: "peaked",
    vocab,
    batch,
    bytes: 4 * vocab * batch,
    limit,
    figures: [figure(OURS, "greedy", { gpu: at(time) })],
  };
}

describe("statistics", () => {
  it("takes medians and quartiles between neighbours", () => {
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(summarize([5, 1, 3, 2, 4])).toEqual({ median: 3, low: 2, high: 4, count: 5 });
  });

  it("finds a line that the points are on", () => {
    const { fixed, slope } = fitLine([1, 10, 1000].map((size) => ({ size, time: 3 + 0.5 * size })));
    expect(fixed).toBeCloseTo(3, 9);
    expect(slope).toBeCloseTo(0.5, 9);
  });

  it("lets small sizes count as much as large ones", () => {
    // A large point that is 10 % off moves the start of the line by less than 5 %.
    const points = [1, 2, 4, 8, 1000].map((size) => ({ size, time: (10 + size) * (size === 1000 ? 1.1 : 1) }));
    expect(Math.abs(fitLine(points).fixed / 10 - 1)).toBeLessThan(0.05);
  });
});

describe("escaping", () => {
  it("leaves no markup in HTML and SVG", () => {
    expect(escapeXml(`<a href="x" title='y'>&`)).toBe("&#60;a href=&#34;x&#34; title=&#39;y&#39;&#62;&#38;");
    expect(htmlTable("<c>", ["<h>"], [["<r>"]], 1)).not.toMatch(/<[chr]>/u);
  });

  it("keeps a Markdown cell in its cell", () => {
    expect(escapeCell("a|b\nc `d` <e> *f*")).toBe("a\\|b c \\`d\\` \\<e\\> \\*f\\*");
  });

  it("writes columns of equal width, numbers at the right", () => {
    expect(markdownTable(["who", "ms"], [["a|b", "12.5"]], 1)).toEqual([
      "| who  |   ms |",
      "| ---- | ---: |",
      "| a\\|b | 12.5 |",
    ]);
  });
});

describe("chart", () => {
  const series = [
    { name: "a < b", style: 0, points: [1, 8, 32].map((x) => ({ x, y: x, low: x * 0.9, high: x * 1.2 })) },
    { name: "c", style: 1, points: [{ x: 8, y: 1e4 }] },
  ];
  const svg = lineChart({ title: "T & t", description: "d", x: "rows", y: "ms", series }, "id");

  it("draws every point and names every series, in text that is escaped", () => {
    expect(svg).not.toMatch(/NaN|undefined|Infinity/u);
    expect(svg).toContain("a &#60; b</text>");
    expect(svg).toContain("T &#38; t");
    const [first] = [...svg.matchAll(/points="([^"]*)"/gu)].map((match) => match[1]!.split(" "));
    expect(first).toHaveLength(3);
  });

  it("places values by their logarithm, larger ones higher", () => {
    const [points] = [...svg.matchAll(/points="([^"]*)"/gu)];
    const places = points![1]!.split(" ").map((pair) => pair.split(",").map(Number));
    const [[x1, y1], [x8, y8], [x32, y32]] = places as [[number, number], [number, number], [number, number]];
    expect((x8 - x1) / (x32 - x1)).toBeCloseTo(Math.log(8) / Math.log(32), 2);
    expect((y1 - y8) / (y1 - y32)).toBeCloseTo(Math.log(8) / Math.log(32), 2);
    expect(y32).toBeLessThan(y1);
  });

  it("is described for those who do not see it, and brings its style where it stands alone", () => {
    expect(svg).toMatch(/role="img" aria-labelledby="id-title id-text"/u);
    expect(svg).not.toContain("<style>");
    const alone = lineChart({ title: "t", description: "d", x: "x", y: "y", series }, "id", true);
    expect(alone).toContain("prefers-color-scheme:dark");
  });

  it("refuses to draw nothing", () => {
    expect(() => lineChart({ title: "t", description: "d", x: "x", y: "y", series: [] }, "id")).toThrow(
      /nothing to draw/u,
    );
  });

  it("has round ticks, and powers of ten where there would be too many", () => {
    expect(decadeTicks(0.9, 12)).toEqual([1, 2, 5, 10]);
    expect(decadeTicks(0.5, 2e4)).toEqual([1, 10, 100, 1000, 10_000]);
  });

  it("writes ticks in few characters", () => {
    expect([0.05, 1, 1024, 4096, 16_384, 131_072, 1_048_576].map(short)).toEqual([
      "0.05",
      "1",
      "1024",
      "4096",
      "16k",
      "131k",
      "1.05M",
    ]);
  });

  it("moves labels apart and keeps their order", () => {
    const placed = spreadLabels([50, 10, 12, 100], 15, 100);
    const sorted = [...placed].sort((a, b) => a - b);
    for (let index = 1; index < sorted.length; index++) {
      expect(sorted[index]! - sorted[index - 1]!).toBeGreaterThanOrEqual(15);
    }
    expect(placed[1]).toBeLessThan(placed[2]!);
    expect(Math.max(...spreadLabels([90, 95, 100], 15, 100))).toBeLessThanOrEqual(100);
  });
});

describe("figures", () => {
  it("takes a call of several in flight for a single row only", () => {
    expect(endToEnd(peaked(1).figures[0], 1)?.median).toBe(2.5);
    expect(endToEnd(peaked(8).figures[0], 8)?.median).toBe(24);
  });

  it("counts neither us nor the copy as a library", () => {
    expect(bestLibrary(peaked(8), "top-k+top-p")).toMatchObject({ who: "A <b>|library|</b>", time: { median: 480 } });
  });

  it("gives the better of sample and encode", () => {
    expect(overview(peaked(1)).rows[0]![4]).toMatch(/^2\.25 /u);
    expect(overview(peaked(8)).rows[0]![4]).toMatch(/^24\.0 /u);
  });

  it("says which quantity the way to JavaScript is, and where a single row's is the other one", () => {
    expect(overview(peaked(1)).head).toContain("ms to tokens, ⅛ of 8 calls");
    expect(overview(peaked(8)).head).toContain("ms to tokens, one call");
    expect(overview(peaked(1)).rows[0]!.at(-1)).toBe("60.0 (A <b>|library|</b>, one call)");
    expect(overview(peaked(8)).rows[0]!.at(-1)).toBe("480 (A <b>|library|</b>)");
    const cells = new Map(sideBySide(peaked(1)).rows.map(([who, cell]) => [who, cell]));
    expect(cells.get("jax-js")).toBe("70.0 (63.0–77.0), one call");
    expect(cells.get("copy + JavaScript")).toBe("5.00 (4.50–5.50)");
    expect(overviewOfLimit(peaked(8)).head).toHaveLength(5);
  });

  it("tells who was not measured from who has no such mode", () => {
    const one = peaked(8);
    const figures = [...one.figures, figure("slow", "top-p", { notes: ["not measured: 1 peaked row took 7.0 s"] })];
    const rows = sideBySide({ ...one, figures }).rows;
    expect(rows.find(([who]) => who === "slow")).toEqual(["slow", "no such mode", "not measured"]);
    expect(overview({ ...one, figures }).rows[1]!.slice(1)).toEqual(Array(6).fill("not measured"));
  });

  it("knows a growth run by its command, however that is written", () => {
    const kinds = ["--preset growth", "--preset=growth --rounds 1", "--preset full", "--json growth"].map((given) =>
      kindOf(result(`npm run bench -- ${given}`, [])),
    );
    expect(kinds).toEqual(["growth", "growth", "limit", "limit"]);
    expect(kindOf(peers)).toBe("peers");
  });

  it("names everyone who is faster, and nobody who is not", () => {
    expect(slowerThan(peers).rows).toEqual([]);
    const one = peaked(8);
    const quick = figure("quick", "top-k+top-p", { tokens: at(12) });
    const { rows } = slowerThan(result("c", [{ ...one, figures: [...one.figures, quick] }]));
    expect(rows).toEqual([
      [
        "peaked rows, vocabulary 1,000, batch 8",
        "top-k 50 + top-p 0.9",
        "24.0 (21.6–26.4)",
        "quick",
        "12.0 (10.8–13.2)",
        "2.00",
      ],
    ]);
  });

  it("fits growth over the size that varies", () => {
    expect(growthCases(growth, "vocab").map(({ vocab }) => vocab)).toEqual([1000, 10_000, 100_000]);
    expect(growthCases(growth, "batch").map(({ batch }) => batch)).toEqual([1, 4, 16, 64]);
    const [vocab] = growthOver(growthCases(growth, "vocab"), "vocab");
    expect(vocab!.fixed).toBeCloseTo(0.5, 6);
    expect(vocab!.slope).toBeCloseTo(0.002, 9);
    expect(vocab!.worst).toBeLessThan(1e-6);
    const { rows } = growthTable(growth);
    expect(rows.map((cells) => cells.slice(0, 4))).toEqual([
      ["vocabulary 1,000 to 100,000, batch 8", "greedy", "500", "250 ns a token"],
      ["batch 1 to 64, vocabulary 777", "greedy", "250", "10.0 µs a row"],
    ]);
  });
});

describe("verdict on a peer", () => {
  const rows: KeptRow[] = [
    { input: "equal", logits: Float32Array.of(1, 1, 1, 1), tokens: new Set([0, 1]) },
    { input: "masked90", logits: Float32Array.of(-Infinity, 2, 1, -Infinity), tokens: new Set([1]) },
    { input: "allMasked", logits: new Float32Array(4).fill(-Infinity), tokens: new Set() },
  ];

  it("tells right tokens, other equals and wrong ones apart", () => {
    const found = judge("top-k", rows, [
      [0, 1, 0],
      [3, 2, 0],
      [1, 0, 0],
      [9, 1n, 0],
    ]);
    expect(found.tied).toEqual({ tokens: 4, kept: 2, equals: 1, wrong: 1 });
    expect(found.masked).toEqual({ tokens: 4, kept: 2, equals: 0, wrong: 2 });
    expect(found.empty).toEqual(["0"]);
    expect(verdictNote(found)).toContain("2 of 4 tokens right, 1 another of the equals, 1 WRONG");
  });

  it("notices a draw that is stuck", () => {
    const row: KeptRow = { input: "equal", logits: new Float32Array(64), tokens: new Set(Array(64).keys()) };
    expect(judge("none", [row], [[5], [5], [5]]).stuck).toBe(1);
    expect(judge("none", [row], [[5], [6], [5]]).stuck).toBe(0);
  });
});

describe("report", () => {
  it("is one page that needs nothing else, with every kind of result", () => {
    const page = reportPage([peers, growth, result("npm run bench", [peaked(8)])]);
    expect(page).not.toMatch(/<script|<link[^>]+stylesheet|src=/u);
    expect(page).not.toMatch(/NaN|undefined|<b>|<CPU>/u);
    expect(page).toContain("so &#38; so");
    for (const heading of ["Beside what one would take instead", "How it grows", "Beside the read limit"]) {
      expect(page).toContain(heading);
    }
    const ids = [...page.matchAll(/ id="([^"]+)"/gu)].map((match) => match[1]);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("says the same in Markdown", () => {
    const text = reportMarkdown([peers, growth]);
    expect(text).not.toMatch(/NaN|undefined|<b>/u);
    expect(text).toContain("250 ns a token");
    expect(text).toContain("called once");
    expect(text).toContain(
      "Everyone, ms to tokens, an eighth of eight calls in flight: peaked rows, vocabulary 1,000, batch 1",
    );
    expect(text).toContain("Everyone, ms to tokens, one call: peaked rows, vocabulary 1,000, batch 8");
    expect(text).toContain("one submit");
  });

  it("draws everyone over the batch, and growth with the limit", () => {
    expect(batchChart(peers, "peaked", "top-k+top-p")?.series.map(({ name }) => name)).toEqual([
      OURS,
      "read limit",
      "copy + JavaScript",
      "jax-js",
      "A <b>|library|</b>",
    ]);
    expect(batchChart(peers, "peaked", "top-k+top-p")?.y).toMatch(/1 row: ⅛ of .+; more rows: one call$/u);
    const more = result("c", [peaked(8), peaked(32)]);
    expect(batchChart(more, "peaked", "top-k+top-p")?.y).toMatch(/JavaScript; one call$/u);
    expect(batchChart(peers, "flat", "top-k+top-p")).toBeUndefined();
    expect(growthChart(growth, "vocab")?.series.map(({ name }) => name)).toEqual(["greedy", "read limit"]);
  });

  it("refreshes the README between its markers and nothing else", () => {
    const { markdown, svg } = readmeSection(peers, "bench/results/chart.svg");
    const text = `before\n${BEGIN}\nold\n${END}\nafter\n`;
    const once = replaceSection(text, markdown);
    expect(once).toMatch(/^before\n<!-- bench: begin/u);
    expect(once).toMatch(/<!-- bench: end -->\nafter\n$/u);
    expect(once).not.toContain("old");
    expect(replaceSection(once, markdown)).toBe(once);
    expect(once).toContain("](bench/results/chart.svg)");
    expect(svg).toMatch(/^<svg /u);
    expect(markdown).toContain("“ms to tokens” is the time of one call");
    expect(markdown).toContain("the time of a single row is an eighth");
    expect(() => replaceSection("no markers", markdown)).toThrow(/bench: begin/u);
  });
});
