/** What each stage removed, and why, in words and as a strip. */
import type { RowCandidates } from "webgpu-token-sampler";
import type { Settings } from "../controls.ts";
import { h } from "../dom.ts";
import { language, percent, setting, words } from "../language.ts";
import { type Token, visible } from "./rows.ts";
import { controlOf, probabilityOf, type Stage, type Stages } from "./stages.ts";

/** So many names are written out. */
const MOST_NAMES = 6;
/** Shares from here on have room for a name. */
const NAMED_SHARE = 0.07;
/** So many pieces a strip has; the rest is one piece. */
const MOST_PIECES = 24;

export function showStages(list: HTMLElement, tokens: readonly Token[], stages: Stages, settings: Settings): void {
  const nameOf = (id: number): string => visible(tokens[id]!.text);
  const last = stages.after;
  list.replaceChildren(
    ...stages.stages.map((stage) => {
      const control = controlOf(stage.name);
      return h(
        "li",
        { class: stage.on ? "stage" : "stage is-off" },
        h(
          "h3",
          {},
          control.label[language()],
          " ",
          h("span", { class: "value" }, stage.on ? String(settings[stage.name]) : words().off),
        ),
        stage.on && h("p", { class: "left" }, words().left(stage.before.tokens.length, stage.after.tokens.length)),
        stage.on && strip(stage.before, new Set(stage.removed), nameOf),
        stage.on && h("p", { class: "why" }, why(stage, settings, nameOf)),
      );
    }),
    h(
      "li",
      { class: "stage result" },
      h("h3", {}, words().result),
      h("p", { class: "left" }, words().left(last.tokens.length, last.tokens.length)),
      strip(last, new Set(), nameOf),
      last.tokens.length === 0 && h("p", { class: "why" }, words().noneLeft),
    ),
  );
}

/** The whole mass from left to right, most probable first. What the text beside it says too. */
function strip(
  { tokens, probabilities }: RowCandidates,
  removed: ReadonlySet<number>,
  nameOf: (id: number) => string,
): HTMLElement {
  const pieces: HTMLElement[] = [];
  const piece = (share: number, gone: boolean, name: string): void => {
    const element = h("div", { class: gone ? "gone" : "kept" }, share >= NAMED_SHARE && name);
    element.style.flexGrow = String(share);
    pieces.push(element);
  };
  let rest = { kept: 0, gone: 0 };
  for (const [rank, id] of tokens.entries()) {
    const share = probabilities[rank]!;
    const gone = removed.has(id);
    if (rank < MOST_PIECES) piece(share, gone, nameOf(id));
    else rest = gone ? { ...rest, gone: rest.gone + share } : { ...rest, kept: rest.kept + share };
  }
  if (rest.kept > 0) piece(rest.kept, false, "…");
  if (rest.gone > 0) piece(rest.gone, true, "…");
  return h("div", { class: "strip", "aria-hidden": "true" }, ...pieces);
}

/** The reason in the stage's own terms, then what it removed. */
function why(stage: Stage, settings: Settings, nameOf: (id: number) => string): string {
  const text = words();
  const { before, after, removed } = stage;
  const first = before.tokens[0];
  if (first === undefined) return text.nothingRemoved;
  const share = (list: RowCandidates): number => probabilityOf(list, first);
  if (stage.name === "temperature") {
    if (after.tokens.length === 1 && removed.length > 0) return text.greedy(nameOf(first));
    return text.temperatureChanges(nameOf(first), percent(share(before)), percent(share(after)));
  }
  const value = settings[stage.name];
  const held = [...before.probabilities.subarray(0, after.tokens.length)].reduce((sum, each) => sum + each, 0);
  const reasons: Partial<Record<Stage["name"], string>> = {
    topK: text.whyTopK(value),
    topP: text.whyTopP(after.tokens.length, percent(held), setting(value)),
    minP: text.whyMinP(nameOf(first), percent(share(before)), percent(value * share(before))),
  };
  const what = removed.length === 0 ? text.nothingRemoved : text.removes(names(removed, nameOf));
  return [reasons[stage.name], what].filter(Boolean).join(language() === "zh" ? "" : " ");
}

function names(ids: readonly number[], nameOf: (id: number) => string): string {
  const some = ids.slice(0, ids.length > MOST_NAMES + 1 ? MOST_NAMES : ids.length).map(nameOf);
  if (some.length < ids.length) some.push(words().andMore(ids.length - some.length));
  if (language() === "zh") return some.join("、");
  return new Intl.ListFormat("en").format(some);
}
