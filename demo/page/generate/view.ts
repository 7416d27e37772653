/** A model writes, on both engines, from the same seed. */
import { createSampler, type Sampler, type SamplerOptions } from "webgpu-token-sampler";
import { paramsOf } from "../controls.ts";
import { h, messageOf, nextFrame, setText } from "../dom.ts";
import { type Gpu, onGpu } from "../gpu.ts";
import { integer, percent, words } from "../language.ts";
import { visible } from "../playground/rows.ts";
import { settingsView } from "../settings-view.ts";
import { LENGTH, type Store } from "../state.ts";
import type { View } from "../view.ts";
import { Column } from "./column.ts";
import { type LanguageModel, loadModel, modelOf, MODELS, remembering } from "./model.ts";
import { Writer } from "./writer.ts";

/** So many candidates of a step are shown. */
const MOST_CANDIDATES = 10;

type Shape = Required<Pick<SamplerOptions, "vocabSize" | "maxHistory">>;

/** A text under way or written. */
interface Session {
  readonly model: LanguageModel;
  readonly columns: readonly Column[];
  /** What every sampler is made for. */
  readonly shape: Shape;
  readonly cpu: Sampler;
  /** Shows the candidates of steps that are over. */
  readonly lens: Sampler;
  readonly length: number;
  readonly work: AbortController;
  /** Columns that are still writing. */
  writing: number;
  /** Whether a column's device is gone, and the visitor has not said yet how to go on. */
  waiting: boolean;
  /** What a column has ended with, if not with a text. */
  failure: string | undefined;
  /** Whether all columns have ended, and the visitor did not stop them. */
  ended: boolean;
  gpu: { readonly gpu: Gpu; readonly sampler: Sampler } | undefined;
}

/** The text that is shown: when the page is built anew in another language, what is written stays. */
let shown: Session | undefined;

export function generateView(store: Store): View {
  const text = words();
  const settings = settingsView(store, "generate", true);
  const status = h("p", { class: "status", role: "status" });
  const progress = h("progress", { max: 1, value: 0, hidden: true, "aria-label": text.generateTitle });
  const columns = h("div", { class: "columns" });
  const trouble = h("div", { class: "trouble" });
  const candidates = h("section", { class: "candidates", "aria-label": text.candidates }, ...emptyCandidates());
  const prompt = h("input", {
    type: "text",
    id: "prompt",
    lang: "en",
    autocomplete: "off",
    spellcheck: "false",
    value: store.state.prompt,
    input: () => store.set({ prompt: prompt.value }),
  });
  const length = h("input", {
    type: "number",
    id: "length",
    min: LENGTH.min,
    max: LENGTH.max,
    step: 1,
    value: store.state.length,
    input: () => {
      const value = length.valueAsNumber;
      if (Number.isInteger(value) && value >= LENGTH.min && value <= LENGTH.max) store.set({ length: value });
    },
    blur: () => (length.value = String(store.state.length)),
  });
  const about = h("p", { class: "note", "aria-live": "polite" });
  const choose = (): void => {
    const chosen = modelOf(models.value);
    // Another model's beginning would be a strange one here; the visitor's own stays.
    const untouched = MODELS.some((entry) => entry.prompt === store.state.prompt);
    store.set({ model: chosen.name, ...(untouched && { prompt: chosen.prompt }) });
    prompt.value = store.state.prompt;
    setText(about, text.modelNotes[chosen.name] ?? "");
  };
  const models = h(
    "select",
    { id: "model", change: choose },
    ...MODELS.map(({ name }) =>
      h("option", { value: name, selected: name === store.state.model }, text.models[name] ?? name),
    ),
  );
  const write = h("button", { type: "submit", class: "main" }, text.write);
  const stop = h("button", { type: "button", class: "quiet", hidden: true, click: () => halt() }, text.stop);
  const form = h(
    "form",
    {
      class: "prompt-form",
      submit: (event) => {
        event.preventDefault();
        void start();
      },
    },
    h("p", { class: "field wide" }, h("label", { for: "prompt" }, text.prompt), prompt),
    h("p", { class: "field" }, h("label", { for: "model" }, text.model), models),
    h("p", { class: "field" }, h("label", { for: "length" }, text.length), length),
    h("p", { class: "buttons" }, write, stop),
  );
  const element = h(
    "div",
    { class: "generate" },
    h(
      "section",
      { class: "writing", "aria-labelledby": "generate" },
      h("h2", { id: "generate" }, text.generateTitle),
      h("p", { class: "note" }, text.generateLead),
      form,
      about,
      progress,
      status,
      trouble,
      columns,
      candidates,
    ),
    settings.element,
  );

  setText(about, text.modelNotes[models.value] ?? "");

  /** Of the text under way, from the click on: its model may be loading still. */
  let work: AbortController | undefined;
  let session: Session | undefined;

  const busy = (yes: boolean): void => {
    const hadFocus = document.activeElement === stop;
    write.disabled = yes;
    stop.hidden = !yes;
    progress.hidden = !yes;
    if (hadFocus && !yes) write.focus();
  };

  /** Ends the text under way and frees what it has; what is written stays on the page. */
  const close = (): void => {
    work?.abort();
    session?.gpu?.sampler.destroy();
    trouble.replaceChildren();
  };

  function halt(): void {
    close();
    busy(false);
    setText(status, words().stopped(session !== undefined && session.work === work ? lengthOf(session) : 0));
  }

  async function start(): Promise<void> {
    close();
    const mine = (work = new AbortController());
    const { signal } = mine;
    busy(true);
    progress.value = 0;
    setText(status, words().modelLoading);
    try {
      const model = await loadModel(modelOf(store.state.model));
      if (signal.aborted) return;
      const begin = store.state.prompt;
      let tokens: number[];
      try {
        tokens = model.encode(begin);
      } catch (error) {
        return fail(words().promptUnknown(messageOf(error)));
      }
      if (tokens.length === 0) return fail(words().promptEmpty);

      setText(status, words().starting);
      const params = paramsOf(store.state.settings, true);
      const shape = { vocabSize: model.vocabSize, maxHistory: tokens.length + LENGTH.max };
      const cpu = await createSampler({ ...shape, engine: "cpu" });
      const lens = await createSampler({ ...shape, engine: "cpu" });
      const gpu = await gpuSampler(shape, (reason) => {
        if (!signal.aborted) trouble.replaceChildren(h("p", {}, words().wrongGpu(reason)));
      });
      if (signal.aborted) return gpu?.sampler.destroy();
      const logits = remembering(model);
      const made = (gpu === undefined ? (["cpu"] as const) : (["webgpu", "cpu"] as const)).map((engine) => {
        const adapter = engine === "webgpu" ? gpu!.gpu.name : undefined;
        const writer = new Writer(tokens, params, model, logits);
        return new Column(engine, adapter, begin, writer, model, (step) => void point(step));
      });
      const now: Session = {
        model,
        columns: made,
        shape,
        cpu,
        lens,
        length: store.state.length,
        work: mine,
        writing: 0,
        waiting: false,
        failure: undefined,
        ended: false,
        gpu,
      };
      session = shown = now;
      columns.replaceChildren(...made.map((column) => column.element));
      candidates.replaceChildren(...emptyCandidates());
      for (const column of made) void run(now, column, column.engine === "webgpu" ? gpu!.sampler : cpu);
    } catch (error) {
      if (!signal.aborted) fail(words().failed(messageOf(error)));
    }
  }

  function fail(message: string): void {
    busy(false);
    setText(status, message);
  }

  /** Lets a column write to the end, or until its device is lost. */
  async function run(now: Session, column: Column, sampler: Sampler): Promise<void> {
    now.writing++;
    busy(true);
    const { writer } = column;
    try {
      await writer.write(
        sampler,
        now.length,
        async () => {
          column.update();
          const steps = Math.min(...now.columns.map(({ writer }) => writer.steps.length));
          progress.value = steps / now.length;
          // Not with every token, since it is read out.
          if (steps % 10 === 0 && !now.work.signal.aborted) setText(status, words().writing(steps, now.length));
          await nextFrame();
        },
        now.work.signal,
      );
    } catch (error) {
      if (now.work.signal.aborted) return;
      const lost = column.engine === "webgpu" && now.gpu?.sampler === sampler ? now.gpu.gpu.lost() : undefined;
      if (lost === undefined) now.failure = messageOf(error);
      else offerToGoOn(now, column, lost);
    } finally {
      now.writing--;
      column.rest();
    }
    if (session !== now || now.work.signal.aborted || now.writing > 0) return;
    busy(false);
    if (now.waiting) return;
    now.gpu?.sampler.destroy();
    now.gpu = undefined;
    now.ended = true;
    setText(status, verdict(now));
  }

  /** The device is gone: says so, and offers the two ways to go on. */
  function offerToGoOn(now: Session, column: Column, lost: string): void {
    now.waiting = true;
    now.gpu!.sampler.destroy();
    now.gpu = undefined;
    const go = async (on: "webgpu" | "cpu"): Promise<void> => {
      const choose = (yes: boolean): void => buttons.forEach((each) => (each.disabled = !yes));
      choose(false);
      const gpu = on === "webgpu" ? await gpuSampler(now.shape, () => {}) : undefined;
      if (now.work.signal.aborted) return gpu?.sampler.destroy();
      if (on === "webgpu" && gpu === undefined) {
        choose(true);
        return setText(message, words().noNewGpu);
      }
      trouble.replaceChildren();
      now.waiting = false;
      now.gpu = gpu;
      column.wentOn = gpu === undefined;
      busy(true);
      stop.focus();
      await run(now, column, gpu?.sampler ?? now.cpu);
    };
    const button = (on: "webgpu" | "cpu", label: string): HTMLButtonElement =>
      h("button", { type: "button", click: () => void go(on) }, label);
    const buttons = [button("webgpu", words().goOnGpu), button("cpu", words().goOnCpu)];
    const message = h("p", { role: "alert" }, words().lost(column.writer.steps.length, lost.replace(/\.$/u, "")));
    trouble.replaceChildren(message, h("p", { class: "buttons" }, ...buttons));
    setText(status, "");
  }

  /** Shows what else could have come at a step. */
  async function point(step: number): Promise<void> {
    const now = session;
    const writer = now?.columns.find(({ writer }) => writer.steps.length > step)?.writer;
    if (now === undefined || writer === undefined) return;
    const { token, logits } = writer.steps[step]!;
    for (const column of now.columns) column.mark(step);
    now.lens.history.set(0, writer.prompt, writer.tokens.slice(0, step));
    const [list] = await now.lens.candidates(logits, writer.paramsAt(step));
    const { tokens, probabilities } = list!;
    const largest = probabilities[0] ?? 1;
    const rows = Array.from(tokens.subarray(0, MOST_CANDIDATES), (id, rank) => {
      const bar = h("div", { class: "bar" });
      bar.style.width = `${(100 * probabilities[rank]!) / largest}%`;
      return h(
        "li",
        { class: id === token ? "is-drawn" : undefined },
        h("span", { class: "name", lang: "en" }, visible(now.model.piece(id))),
        h("span", { class: "bars", "aria-hidden": "true" }, bar),
        h("span", { class: "number" }, percent(probabilities[rank]!)),
        id === token && h("span", { class: "fate" }, words().chosen),
      );
    });
    const more = tokens.length - rows.length;
    candidates.replaceChildren(
      h("h3", {}, words().candidates),
      h(
        "p",
        { class: "note" },
        words().candidatesOf(step + 1),
        more > 0 && ` · ${words().candidatesMore(integer(more))}`,
      ),
      h("ol", {}, ...rows),
    );
  }

  if (shown !== undefined) {
    const columnsAgain = shown.columns.map((column) => column.again((step) => void point(step)));
    session = shown = { ...shown, columns: columnsAgain };
    columns.replaceChildren(...columnsAgain.map((column) => column.element));
    setText(status, shown.ended ? verdict(shown) : words().stopped(lengthOf(shown)));
  }

  return {
    element,
    end: () => {
      close();
      settings.end();
    },
  };
}

function emptyCandidates(): HTMLElement[] {
  return [h("h3", {}, words().candidates), h("p", { class: "note" }, words().candidatesHint)];
}

/** A sampler on the visitor's GPU; `undefined` where there is none, or it is of no use. */
function gpuSampler(shape: Shape, refused: (reason: string) => void): Promise<Session["gpu"]> {
  return onGpu(
    async (gpu) => ({ gpu, sampler: await createSampler({ ...shape, engine: "webgpu", device: gpu.device }) }),
    refused,
  );
}

/** Tokens that are written, in the column that has most. */
function lengthOf({ columns }: Session): number {
  return Math.max(...columns.map(({ writer }) => writer.steps.length));
}

/** What came of it: mostly, what the two texts have in common. */
function verdict({ columns, failure }: Session): string {
  if (failure !== undefined) return words().failed(failure);
  const [first, second] = columns.map(({ writer }) => writer.tokens);
  if (second === undefined) return words().onlyCpu;
  const step = first!.findIndex((token, index) => token !== second[index]);
  if (step >= 0 || first!.length !== second.length) return words().different(step < 0 ? first!.length + 1 : step + 1);
  return words().same(first!.length);
}
