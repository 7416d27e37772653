/** The bench in the visitor's browser. */
import { MODE_LABELS, type Summary } from "../../../bench/cases.ts";
import { gigabytes, limitOf, markdown, timeOf } from "../../../bench/table.ts";
import { h, messageOf, setText } from "../dom.ts";
import { adapterName, findAdapter } from "../gpu.ts";
import { digits, integer, words } from "../language.ts";
import type { View } from "../view.ts";
import {
  CPU_MODE,
  type CpuMeasures,
  type GpuMeasures,
  measureOnCpu,
  measureOnGpu,
  type MeasureOptions,
} from "./run.ts";

const CHOICES = { vocab: [32_000, 128_256, 151_936], batch: [1, 8, 32], rounds: [3, 7, 15] } as const;
const CHOSEN: MeasureOptions = { vocab: 128_256, batch: 8, rounds: 3 };

/** A bar of milliseconds. */
interface Bar {
  readonly label: string;
  readonly time: Summary;
  readonly kind: "limit" | "ours" | "copy";
  readonly note?: string;
}

export function measureView(): View {
  const text = words();
  const choice = (name: keyof MeasureOptions, label: string): [HTMLSelectElement, HTMLElement] => {
    const select = h(
      "select",
      { id: `measure-${name}` },
      ...CHOICES[name].map((value) => h("option", { value, selected: value === CHOSEN[name] }, integer(value))),
    );
    return [select, h("p", { class: "field" }, h("label", { for: `measure-${name}` }, label), select)];
  };
  const [vocab, vocabField] = choice("vocab", text.vocabulary);
  const [batch, batchField] = choice("batch", text.batch);
  const [rounds, roundsField] = choice("rounds", text.rounds);
  const measure = h("button", { type: "submit", class: "main" }, text.measure);
  const cancel = h("button", { type: "button", class: "quiet", hidden: true, click: () => work?.abort() }, text.cancel);
  const progress = h("progress", { max: 1, value: 0, hidden: true, "aria-label": text.measure });
  const status = h("p", { class: "status", role: "status" });
  const results = h("div", { class: "results" });
  let work: AbortController | undefined;

  const element = h(
    "section",
    { class: "measure", "aria-labelledby": "measure" },
    h("h2", { id: "measure" }, text.measureTitle),
    h("p", { class: "note" }, text.measureLead),
    h(
      "form",
      {
        class: "prompt-form",
        submit: (event) => {
          event.preventDefault();
          void run();
        },
      },
      vocabField,
      batchField,
      roundsField,
      h("p", { class: "buttons" }, measure, cancel),
    ),
    progress,
    status,
    results,
  );

  async function run(): Promise<void> {
    const controller = new AbortController();
    const { signal } = controller;
    work = controller;
    const options = { vocab: Number(vocab.value), batch: Number(batch.value), rounds: Number(rounds.value) };
    measure.disabled = true;
    cancel.hidden = false;
    cancel.focus();
    progress.hidden = false;
    progress.value = 0;
    results.replaceChildren();
    setText(status, text.preparing);
    const report = (done: number, total: number): void => {
      progress.value = done / total;
      const round = done - 1;
      setText(status, round <= options.rounds ? text.measuring(Math.max(round, 1), options.rounds) : text.copying);
    };
    try {
      const adapter = await findAdapter();
      if (adapter === undefined) {
        results.replaceChildren(...cpuResults(await measureOnCpu(options, report, signal)));
      } else {
        const measured = await measureOnGpu(navigator.gpu, options, report, signal);
        results.replaceChildren(...gpuResults(measured, adapterName(adapter.info), status));
      }
      setText(status, "");
    } catch (error) {
      setText(status, signal.aborted ? text.cancelled : text.failed(messageOf(error)));
    } finally {
      const hadFocus = document.activeElement === cancel;
      measure.disabled = false;
      cancel.hidden = true;
      progress.hidden = true;
      if (hadFocus) measure.focus();
    }
  }

  return { element, end: () => work?.abort() };
}

function gpuResults({ result, copy }: GpuMeasures, name: string, status: HTMLElement): HTMLElement[] {
  const text = words();
  const [one] = result.cases;
  if (one === undefined) return [h("p", { role: "alert" }, text.mismatch(result.mismatches.join("; ")))];
  const modeOf = (mode: string): string => text.modes[mode] ?? mode;
  const ours = one.figures.filter((figure) => timeOf(figure) !== undefined);
  const limit = limitOf(one);
  const cpu = one.figures.find(({ mode, cpu }) => mode === CPU_MODE && cpu !== undefined)?.cpu;
  const onGpu: Bar[] = [
    { label: text.readLimit, time: limit, kind: "limit", note: `${digits(gigabytes(one.bytes, limit.median))} GB/s` },
    ...ours.map((figure): Bar => {
      const times = figure.overLimit?.median ?? timeOf(figure)!.median / limit.median;
      return { label: modeOf(figure.mode), time: timeOf(figure)!, kind: "ours", note: text.timesLimit(digits(times)) };
    }),
  ];
  const scaled = (time: Summary, by: number): Summary => ({
    ...time,
    median: time.median * by,
    low: time.low * by,
    high: time.high * by,
  });
  const added = (a: Summary, b: Summary): Summary => ({
    count: Math.min(a.count, b.count),
    median: a.median + b.median,
    low: a.low + b.low,
    high: a.high + b.high,
  });
  const toScript: Bar[] = [
    ...ours
      .filter(({ tokens }) => tokens !== undefined)
      .map(({ mode, tokens }): Bar => ({ label: text.tokensOf(modeOf(mode)), time: tokens!, kind: "ours" })),
    { label: text.copyToCpu, time: copy, kind: "copy" },
    ...(cpu === undefined
      ? []
      : [
          {
            label: text.copyAndSample(modeOf(CPU_MODE)),
            time: added(copy, scaled(cpu, one.batch)),
            kind: "copy",
          } as const,
        ]),
  ];
  const { adapter } = result;
  const said =
    markdown(result) +
    `\nCopy of all logits to the CPU: ${digits(copy.median)} ms (${digits(copy.low)}–${digits(copy.high)})\n`;
  return [
    h("p", { class: "adapter" }, `${text.adapter}: `, h("strong", {}, name), adapter.software && ` (${text.software})`),
    bars(
      text.onGpu,
      text.onGpuHint(megabytes(one.bytes), adapter.timestamps ? text.clocks.gpu : text.clocks.wall),
      onGpu,
      limit.median,
    ),
    bars(text.toScript, text.toScriptHint, toScript),
    ...copyButton(said, status),
  ];
}

function cpuResults({ modes }: CpuMeasures): HTMLElement[] {
  const text = words();
  return [
    bars(
      text.onCpu,
      text.onCpuHint,
      modes.map(({ mode, time }) => ({ label: text.modes[mode] ?? MODE_LABELS[mode], time, kind: "ours" })),
    ),
  ];
}

/** Bars of time from zero; with a line at the limit, if there is one. */
function bars(title: string, hint: string, all: readonly Bar[], limit?: number): HTMLElement {
  const text = words();
  const end = Math.max(...all.map(({ time }) => Math.max(time.high, time.median)));
  const at = (time: number): string => `${((100 * time) / end).toFixed(2)}%`;
  const row = ({ label, time, kind, note }: Bar): HTMLElement => {
    const bar = h("div", { class: `bar ${kind}` });
    bar.style.width = at(time.median);
    const whisker = h("div", { class: "whisker" });
    whisker.style.left = at(time.low);
    whisker.style.width = at(time.high - time.low);
    const line = limit !== undefined && kind !== "limit" && h("div", { class: "limit-line" });
    if (line) line.style.left = at(limit);
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, label),
      h("td", { class: "bars", "aria-hidden": "true" }, h("div", {}, bar, whisker, line)),
      h(
        "td",
        { class: "number" },
        h("span", { title: text.spread(digits(time.low), digits(time.high)) }, text.milliseconds(digits(time.median))),
        note !== undefined && h("small", {}, note),
      ),
    );
  };
  return h(
    "section",
    { class: "chart times" },
    h("h3", {}, title),
    h("p", { class: "note" }, hint),
    h("table", {}, h("caption", { class: "hidden" }, title), h("tbody", {}, ...all.map(row))),
  );
}

function copyButton(markdown: string, status: HTMLElement): HTMLElement[] {
  const text = words();
  const fallback = h("textarea", { readonly: true, rows: 12, hidden: true, "aria-label": text.copyMarkdown });
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(markdown);
      setText(status, text.copied);
    } catch {
      fallback.value = markdown;
      fallback.hidden = false;
      setText(status, text.notCopied);
      fallback.select();
    }
  };
  return [
    h("p", { class: "buttons" }, h("button", { type: "button", click: () => void copy() }, text.copyMarkdown)),
    fallback,
  ];
}

function megabytes(bytes: number): string {
  return `${digits(bytes / 1e6)} MB`;
}
