/** The playground: what the settings make of a row, and draws from it. */
import { createSampler, type Sampler } from "webgpu-token-sampler";
import { h, messageOf, segmented, setAttribute, setText } from "../dom.ts";
import { words } from "../language.ts";
import { settingsView } from "../settings-view.ts";
import type { PageState, Store } from "../state.ts";
import type { View } from "../view.ts";
import { Chart } from "./chart.ts";
import { DrawView } from "./draw-view.ts";
import {
  ARTICLE,
  logitsOf,
  parseTokens,
  printTokens,
  type RealRow,
  realRow,
  ROW_NAMES,
  type RowName,
  type Token,
} from "./rows.ts";
import { runStages, type Stages } from "./stages.ts";
import { showStages } from "./stages-view.ts";

let real: Promise<RealRow> | undefined;
/** A text in the editor that is no row yet: it stays when the page is built anew in another language. */
let draft: string | undefined;

export function playgroundView(store: Store): View {
  const text = words();
  const chart = new Chart();
  const stageList = h("ol", { class: "stage-list" });
  const caption = h("p", { class: "note", "aria-live": "polite" });
  const settings = settingsView(store, "playground", false);
  let shown: { tokens: readonly Token[]; stages: Stages; share: number } | undefined;
  const draw = new DrawView(() => {
    if (shown !== undefined) chart.show({ ...shown, counts: draw.counts, drawn: draw.drawn }, shown.share);
  });

  const rows = segmented(
    "row",
    text.row,
    ROW_NAMES.map((value) => ({ value, label: text.rows[value] })),
    store.state.row,
    (row) => {
      // One's own row begins with what is on the screen.
      if (row === "own" && store.state.tokens.length === 0) store.set({ row, tokens: shown?.tokens ?? ARTICLE });
      else store.set({ row });
    },
  );
  const editor = h("textarea", {
    id: "own",
    rows: 7,
    spellcheck: "false",
    autocapitalize: "off",
    "aria-describedby": "own-hint",
    input: () => edited(),
  });
  const problem = h("p", { class: "hint", id: "own-hint", "aria-live": "polite" }, text.ownHint);
  /** What the editor's text says, if it says something. */
  let said: readonly Token[] | undefined;
  const edited = (): void => {
    const parsed = parseTokens(editor.value);
    const wrong = "problem" in parsed;
    draft = wrong ? editor.value : undefined;
    said = wrong ? undefined : parsed.tokens;
    setAttribute(editor, "aria-invalid", wrong ? "true" : undefined);
    setText(problem, wrong ? text.ownBad[parsed.problem](parsed.line) : text.ownHint);
    if (said !== undefined) store.set({ tokens: said });
  };
  if (draft !== undefined) {
    editor.value = draft;
    edited();
  }
  const own = h("div", { class: "own" }, h("label", { for: "own" }, text.ownLabel), editor, problem);

  const element = h(
    "div",
    { class: "playground" },
    h(
      "section",
      { class: "row", "aria-label": text.chart },
      h("div", { class: "row-choice" }, rows),
      own,
      caption,
      chart.element,
    ),
    settings.element,
    draw.element,
    h(
      "section",
      { class: "stages", "aria-labelledby": "stages" },
      h("h2", { id: "stages" }, text.stages),
      h("p", { class: "note" }, text.stagesHint),
      stageList,
    ),
  );

  let sampler: { vocabSize: number; sampler: Sampler } | undefined;
  let turn = 0;
  const show = async (state: PageState): Promise<void> => {
    const mine = ++turn;
    rows.choose(state.row);
    own.hidden = state.row !== "own";
    // The visitor's own spelling stays, and so does what is still wrong with it.
    if (state.row === "own" && state.tokens !== said && draft === undefined) {
      editor.value = printTokens(state.tokens);
      said = state.tokens;
    }
    if (state.row === "real" && real === undefined) setText(caption, text.rowLoading);
    const { tokens, prompt } = await rowOf(state.row, state.tokens);
    if (mine !== turn) return;
    setText(caption, prompt === undefined ? "" : text.rowOf(prompt, tokens.length));
    if (sampler?.vocabSize !== tokens.length) {
      sampler = {
        vocabSize: tokens.length,
        sampler: await createSampler({ vocabSize: tokens.length, engine: "cpu" }),
      };
    }
    const stages = await runStages(sampler.sampler, logitsOf(tokens), state.settings);
    if (mine !== turn) return;
    shown = { tokens, stages, share: state.settings.topP };
    showStages(stageList, tokens, stages, state.settings);
    draw.setSource({ tokens, settings: state.settings, stages });
  };
  const refresh = (state: PageState): void => {
    const mine = turn + 1;
    show(state).catch((error: unknown) => {
      if (mine === turn) setText(caption, text.failed(messageOf(error)));
    });
  };
  const stop = store.listen((state, before) => {
    if (state.settings !== before.settings || state.row !== before.row || state.tokens !== before.tokens) {
      refresh(state);
    }
  });
  refresh(store.state);

  return {
    element,
    end: () => {
      turn++;
      stop();
      settings.end();
      draw.end();
    },
  };
}

async function rowOf(name: RowName, own: readonly Token[]): Promise<{ tokens: readonly Token[]; prompt?: string }> {
  if (name === "article") return { tokens: ARTICLE };
  if (name === "own") return { tokens: own };
  real ??= realRow().catch((error: unknown) => {
    real = undefined;
    throw error;
  });
  return real;
}
