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
const FIRST: MeasureOptions = { vocab: 128_256, batch: 8, rounds: 3 };

/** A bar of milliseconds. */
interface Bar {
  readonly label: string;
  readonly time: Summary;
  readonly kind: "limit" | "ours" | "copy";
  readonly note?: string;
}

/** A measurement, under way or over. It is the page's: when that is built anew in another language, it goes on. */
interface Measurement {
  readonly work: AbortController;
  running: boolean;
  /** Share of it that is done. */
  done: number;
  /** How it stands, in the language that is set. */
  say: () => string;
  /** What it came to. */
  results: ((status: HTMLElement) => HTMLElement[]) | undefined;
}

let current: Measurement | undefined;
/** What is chosen for the next one. */
let options = FIRST;
/** Lets the view know. */
let changed: () => void = () => undefined;

export function measureView(): View {
  const text = words();
  const choice = (name: keyof MeasureOptions, label: string): HTMLElement => {
    const select = h(
      "select",
      { id: `measure-${name}`, change: () => (options = { ...options, [name]: Number(select.value) }) },
      ...CHOICES[name].map((value) => h("option", { value, selected: value === options[name] }, integer(value))),
    );
    return h("p", { class: "field" }, h("label", { for: `measure-${name}` }, label), select);
  };
  const measure = h("button", { type: "submit", class: "main" }, text.measure);
  const cancel = h("button", { type: "button", class: "quiet", hidden: true, click: abort }, text.cancel);
  const progress = h("progress", { max: 1, value: 0, hidden: true, "aria-label": text.measure });
  const status = h("p", { class: "status", role: "status" });
  const results = h("div", { class: "results" });

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
          cancel.focus();
        },
      },
      choice("vocab", text.vocabulary),
      choice("batch", text.batch),
      choice("rounds", text.rounds),
      h("p", { class: "buttons" }, measure, cancel),
    ),
    progress,
    status,
    results,
  );

  let shown: Measurement["results"];
  const show = (): void => {
    if (current === undefined) return;
    const { work, running, done, say } = current;
    const cancelled = work.signal.aborted;
    const { activeElement, body } = document;
    // A button that cannot be pressed any more may have lost the focus already.
    const hadFocus = activeElement === cancel || (cancelled && activeElement === body);
    measure.disabled = running;
    cancel.hidden = !running;
    cancel.disabled = cancelled;
    progress.hidden = !running;
    progress.value = done;
    setText(status, say());
    if (hadFocus && !running) measure.focus();
    if (shown !== current.results) results.replaceChildren(...(current.results?.(status) ?? []));
    shown = current.results;
  };
  changed = show;
  show();

  return {
    element,
    end: () => {
      if (changed === show) changed = () => undefined;
    },
  };
}

async function run(): Promise<void> {
  const asked = options;
  const mine: Measurement = {
    work: new AbortController(),
    running: true,
    done: 0,
    say: () => words().preparing,
    results: undefined,
  };
  current = mine;
  const { signal } = mine.work;
  const tell = (change: Partial<Measurement>): void => {
    Object.assign(mine, change);
    changed();
  };
  tell({});
  const report = (done: number, total: number): void => {
    const round = Math.max(done - 1, 1);
    const say = (): string => (round <= asked.rounds ? words().measuring(round, asked.rounds) : words().copying);
    tell({ done: done / total, say });
  };
  try {
    const adapter = await findAdapter();
    if (adapter === undefined) {
      tell({ say: () => words().measuring(1, asked.rounds) });
      const measured = await measureOnCpu(asked, report, signal);
      mine.results = () => cpuResults(measured);
    } else {
      const measured = await measureOnGpu(navigator.gpu, asked, report, signal);
      mine.results = (status) => gpuResults(measured, adapterName(adapter.info), status);
    }
    mine.say = () => "";
  } catch (error) {
    mine.say = () => (signal.aborted ? words().cancelled : words().failed(messageOf(error)));
  }
  tell({ running: false });
}

/** Takes a moment: what has been sent to the GPU has to come back. */
function abort(): void {
  if (current === undefined) return;
  current.work.abort();
  current.say = () => words().cancelling;
  changed();
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
