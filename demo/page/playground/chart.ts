/** The row as a table with bars: before, after, and what was drawn. */
import { h, setAttribute, setText, svg } from "../dom.ts";
import { integer, language, percent, setting, words } from "../language.ts";
import { type Token, visible } from "./rows.ts";
import { controlOf, cumulative, probabilityOf, type Stage, type Stages } from "./stages.ts";

export interface ChartData {
  readonly tokens: readonly Token[];
  readonly stages: Stages;
  /** Draws of each token. */
  readonly counts: Float64Array;
  readonly drawn: number;
}

interface Row {
  readonly element: HTMLElement;
  readonly update: (data: ChartData, shown: Shown) => void;
}

/** What is the same for all rows. */
interface Shown {
  /** Probability at the right end. */
  readonly end: number;
  /** The stage that cuts by the running sum, if it is on. */
  readonly nucleus: Stage | undefined;
  readonly sums: readonly number[];
  readonly share: number;
}

const ENDS = [0.02, 0.05, 0.1, 0.2, 0.25, 0.4, 0.5, 0.6, 0.8, 1];
/** Rows from here on are drawn closer together. */
const DENSE = 12;

export class Chart {
  readonly element: HTMLElement;
  readonly #body = h("tbody");
  readonly #legend = h("ul", { class: "legend" });
  #order = "";
  #rows: readonly Row[] = [];

  constructor() {
    const text = words();
    this.element = h(
      "div",
      { class: "chart" },
      h(
        "table",
        {},
        h("caption", { class: "hidden" }, text.chart),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, text.token),
            h("th", { scope: "col", class: "number logit" }, text.logit),
            h("td", { "aria-hidden": "true", class: "bars" }),
            h("th", { scope: "col", class: "number before" }, text.before),
            h("th", { scope: "col", class: "number after" }, text.after),
            h("th", { scope: "col", class: "number drawn" }, text.drawn),
          ),
        ),
        this.#body,
      ),
      this.#legend,
    );
  }

  show(data: ChartData, share: number): void {
    const { tokens, stages } = data;
    const listed = [...stages.before.tokens];
    const seen = new Set(listed);
    const order = [...listed, ...[...tokens.keys()].filter((id) => !seen.has(id))];
    const key = `${order.join()}|${tokens.map((token) => `${token.text} ${token.logit}`).join("\n")}`;
    if (key !== this.#order) {
      this.#order = key;
      this.#rows = order.map((id) => row(id, tokens[id]!));
      this.#body.replaceChildren(...this.#rows.map(({ element }) => element));
      this.element.classList.toggle("dense", order.length > DENSE);
    }
    const largest = Math.max(stages.before.probabilities[0] ?? 0, stages.after.probabilities[0] ?? 0);
    const nucleus = stages.stages.find(({ name, on }) => name === "topP" && on);
    const shown = {
      end: ENDS.find((end) => end >= largest - 1e-6) ?? 1,
      nucleus,
      sums: nucleus === undefined ? [] : cumulative(nucleus.before),
      share,
    };
    for (const each of this.#rows) each.update(data, shown);
    this.#showLegend(data, shown);
  }

  #showLegend({ drawn }: ChartData, { end, nucleus }: Shown): void {
    const text = words();
    const entry = (name: string, label: string): HTMLElement =>
      h("li", {}, h("span", { class: `swatch ${name}`, "aria-hidden": "true" }), label);
    this.#legend.replaceChildren(
      entry("before", text.before),
      entry("after", text.after),
      ...(drawn > 0 ? [entry("drawn", text.legendDrawn)] : []),
      ...(nucleus ? [entry("sum", text.cumulative(controlOf(nucleus.name).label[language()]))] : []),
      h("li", {}, text.scale(setting(end))),
    );
  }
}

function row(id: number, { text, logit }: Token): Row {
  const before = h("td", { class: "number before" });
  const after = h("td", { class: "number after" });
  const drawn = h("td", { class: "number drawn" });
  const bars = ["before", "after"].map((name) => h("div", { class: `bar ${name}` }));
  const tick = h("div", { class: "tick" });
  const line = svg("path", { class: "sum", "vector-effect": "non-scaling-stroke" });
  const threshold = svg("path", { class: "threshold", "vector-effect": "non-scaling-stroke" });
  const element = h(
    "tr",
    {},
    h("th", { scope: "row" }, visible(text)),
    h("td", { class: "number logit" }, Number.isFinite(logit) ? logit.toFixed(2) : "−∞"),
    h(
      "td",
      { class: "bars", "aria-hidden": "true" },
      h("div", {}, ...bars, svg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none" }, threshold, line), tick),
    ),
    before,
    after,
    drawn,
  );

  const update = ({ stages, counts, drawn: total }: ChartData, { end, nucleus, sums, share }: Shown): void => {
    const at = (probability: number): string => `${Math.min(100, (100 * probability) / end).toFixed(3)}%`;
    const [first, last] = [probabilityOf(stages.before, id), probabilityOf(stages.after, id)];
    const by = stages.stages.find(({ removed }) => removed.includes(id));
    const masked = !stages.before.tokens.includes(id);
    bars[0]!.style.width = at(first);
    bars[1]!.style.width = at(last);
    element.classList.toggle("removed", by !== undefined || masked);
    bars[0]!.hidden = masked;
    setText(before, masked ? "–" : percent(first));
    if (masked) {
      after.replaceChildren(h("span", { class: "fate" }, words().masked));
    } else if (by === undefined) {
      setText(after, percent(last));
    } else {
      const name = controlOf(by.name).label[language()];
      const said = words().removedBy(name).split(name);
      after.replaceChildren(
        h("span", { class: "hidden" }, said[0]),
        h("span", { class: "fate" }, name),
        h("span", { class: "hidden" }, said[1] ?? ""),
      );
    }
    const count = counts[id] ?? 0;
    setText(drawn, total === 0 ? "" : integer(count));
    tick.style.left = at(count === 0 ? 0 : count / total);
    tick.hidden = count === 0;

    const rank = nucleus === undefined ? -1 : nucleus.before.tokens.indexOf(id);
    const from = 100 * (sums[rank - 1] ?? 0);
    setAttribute(line, "d", rank < 0 ? undefined : `M${from.toFixed(3)} 0L${(100 * sums[rank]!).toFixed(3)} 100`);
    setAttribute(threshold, "d", rank < 0 ? undefined : `M${100 * share} 0V100`);
  };
  return { element, update };
}
