/** The buttons that draw, and what the draws came to. */
import { createSampler } from "webgpu-token-sampler";
import { gTest, rejectsAt } from "../../../test/support/statistics.ts";
import { paramsOf, type Settings } from "../controls.ts";
import { h, messageOf, nextFrame, setText } from "../dom.ts";
import { onGpu } from "../gpu.ts";
import { digits, duration, integer, words } from "../language.ts";
import { cpuDrawer, type Drawer, drawMany, gpuDrawer } from "./draw.ts";
import { logitsOf, type Token, visible } from "./rows.ts";
import { probabilityOf, type Stages } from "./stages.ts";

/** What is drawn from. A new object means: the draws so far count no more. */
export interface Source {
  readonly tokens: readonly Token[];
  readonly settings: Settings;
  readonly stages: Stages;
}

/** The draws from a source. */
interface Draws {
  source: Source;
  /** Draws of each token, and of all. */
  readonly counts: Float64Array;
  drawn: number;
  /** The last token. */
  last: number | undefined;
  /** How the last of them went, in the language that is set. */
  said: () => string;
}

/** Draws that a click has made. */
interface Run {
  /** Number of the first one, and how many there are. */
  readonly from: number;
  readonly count: number;
  /** The tokens of the first ones, and the last one. */
  readonly first: readonly number[];
  readonly last: number;
  /** Milliseconds. */
  readonly took: number;
}

/** Those that are shown: when the page is built anew in another language, they stay. */
let shown: Draws | undefined;

const AMOUNTS = [1, 1000, 1_000_000];
/** So many draws of a GPU are repeated on the CPU. */
const CHECKED = 1000;
/** The tests of the package cry wolf once in a million runs; so does this page. */
const rejects = rejectsAt(1e-6);

export class DrawView {
  readonly element: HTMLElement;
  readonly #changed: () => void;
  readonly #status = h("p", { class: "status", role: "status" });
  readonly #verdict = h("p", { class: "verdict", role: "status" });
  readonly #note = h("p", { class: "note", role: "status" });
  readonly #last = h("p", { class: "last", "aria-hidden": "true" });
  readonly #progress = h("progress", { hidden: true, max: 1, "aria-label": words().draw });
  readonly #buttons: readonly HTMLButtonElement[];
  readonly #stop: HTMLButtonElement;
  readonly #clear: HTMLButtonElement;
  #draws: Draws | undefined;
  #drawer: { readonly logits: string; readonly drawer: Drawer } | undefined;
  #work: AbortController | undefined;

  /** @param changed is called when there are new counts */
  constructor(changed: () => void) {
    this.#changed = changed;
    const text = words();
    this.#buttons = AMOUNTS.map((amount) =>
      h("button", { type: "button", click: () => void this.#draw(amount) }, text.drawCount(integer(amount))),
    );
    this.#stop = h(
      "button",
      { type: "button", class: "quiet", hidden: true, click: () => this.#work?.abort() },
      text.stop,
    );
    this.#clear = h(
      "button",
      { type: "button", class: "quiet", hidden: true, click: () => this.#clearAll() },
      text.clear,
    );
    this.element = h(
      "section",
      { class: "draw", "aria-labelledby": "draw" },
      h("h2", { id: "draw" }, text.draw),
      h("p", { class: "note" }, text.drawHint),
      h("p", { class: "buttons" }, ...this.#buttons, this.#stop, this.#clear),
      this.#progress,
      h("div", { class: "outcome" }, this.#last, h("div", {}, this.#status, this.#verdict, this.#note)),
    );
  }

  get counts(): Float64Array {
    return this.#draws?.counts ?? new Float64Array();
  }

  get drawn(): number {
    return this.#draws?.drawn ?? 0;
  }

  /** Draws from something else from now on. */
  setSource(source: Source): void {
    const same = shown?.source.tokens === source.tokens && shown.source.settings === source.settings;
    this.#show(same ? Object.assign(shown!, { source }) : fresh(source));
  }

  end(): void {
    this.#work?.abort();
    this.#work = undefined;
    this.#draws = undefined;
    this.#drawer?.drawer.destroy();
    this.#drawer = undefined;
  }

  #clearAll(): void {
    if (this.#draws !== undefined) this.#show(fresh(this.#draws.source));
  }

  /** Shows these draws, and goes on with them. */
  #show(draws: Draws): void {
    this.#work?.abort();
    this.#work = undefined;
    this.#draws = shown = draws;
    this.#say(draws);
    this.#working(false);
    this.#changed();
  }

  #say({ source, counts, drawn, last, said }: Draws): void {
    setText(this.#status, said());
    setText(this.#verdict, drawn === 0 ? "" : judge(source.stages, counts));
    setText(this.#last, last === undefined ? "" : visible(source.tokens[last]!.text));
  }

  #working(yes: boolean): void {
    for (const button of this.#buttons) button.disabled = yes || this.#draws?.source.stages.after.tokens.length === 0;
    // The button that goes keeps no focus, so the first one gets it.
    const hadFocus = document.activeElement === this.#stop;
    this.#stop.hidden = !yes;
    this.#clear.hidden = yes || this.drawn === 0;
    this.#progress.hidden = !yes;
    if (hadFocus && !yes) this.#buttons[0]!.focus();
  }

  async #draw(amount: number): Promise<void> {
    const draws = this.#draws;
    if (draws === undefined) return;
    const { source } = draws;
    const work = new AbortController();
    this.#work = work;
    const { signal } = work;
    const focused = document.activeElement as HTMLElement | null;
    this.#progress.value = 0;
    this.#working(true);
    const params = paramsOf(source.settings, false);
    const from = draws.drawn;
    const first: number[] = [];
    draws.said = () => "";
    try {
      const drawer = await this.#drawerFor(source, signal);
      if (!signal.aborted) setText(this.#status, words().drawing(words().engines[drawer.engine]));
      const took = await drawMany(
        drawer,
        params,
        from,
        amount,
        async (tokens) => {
          if (this.#draws !== draws) return;
          first.push(...tokens.subarray(0, CHECKED - first.length));
          for (const token of tokens) draws.counts[token]!++;
          draws.drawn += tokens.length;
          draws.last = tokens.at(-1)!;
          setText(this.#last, visible(source.tokens[draws.last]!.text));
          this.#progress.value = (draws.drawn - from) / amount;
          this.#changed();
          if (amount > 1) await nextFrame();
        },
        signal,
      );
      // Otherwise someone else's draws are under way.
      if (this.#work === work && first.length > 0) {
        draws.said = await outcome(drawer.engine, source, {
          from,
          count: draws.drawn - from,
          first,
          last: draws.last!,
          took,
        });
      }
      if (this.#work === work) this.#say(draws);
    } catch (error) {
      if (this.#work === work) setText(this.#status, words().failed(messageOf(error)));
    } finally {
      if (this.#work === work) {
        this.#work = undefined;
        this.#working(false);
        if (document.activeElement === document.body) focused?.focus();
      }
    }
  }

  /** The drawer for this row; on the GPU where there is one. */
  async #drawerFor({ tokens }: Source, signal: AbortSignal): Promise<Drawer> {
    const logits = logitsOf(tokens);
    const key = logits.join();
    if (this.#drawer?.logits === key && !this.#drawer.drawer.lost()) return this.#drawer.drawer;
    this.#drawer?.drawer.destroy();
    this.#drawer = undefined;
    setText(this.#note, "");
    setText(this.#status, words().starting);
    const refused = (reason: string): void => setText(this.#note, words().wrongGpu(reason));
    const drawer = (await onGpu((gpu) => gpuDrawer(gpu, logits), refused)) ?? (await cpuDrawer(logits));
    // The view may be gone by now, and someone has to free the buffers.
    if (signal.aborted) drawer.destroy();
    else this.#drawer = { logits: key, drawer };
    return drawer;
  }
}

const fresh = (source: Source): Draws => ({
  source,
  counts: new Float64Array(source.tokens.length),
  drawn: 0,
  last: undefined,
  said: () => "",
});

function judge(stages: Stages, counts: Float64Array): string {
  const expected = Float64Array.from(counts, (_, id) => probabilityOf(stages.after, id));
  const result = gTest(counts, expected);
  if (result.bins < 2 && result.pValue === 1) return `${words().gTest}: ${words().gTestFew}`;
  const { statistic, degreesOfFreedom, pValue } = result;
  const say = rejects(result) ? words().gTestFails : words().gTestFits;
  return `${words().gTest}: ${say(digits(statistic), degreesOfFreedom, pValue < 1e-3 ? pValue.toExponential(0) : pValue.toFixed(3))}`;
}

/** Says how a run went; the first draws of a GPU are repeated on the CPU for it. */
async function outcome(
  engine: Drawer["engine"],
  source: Source,
  { from, count, first, last, took }: Run,
): Promise<() => string> {
  const different = engine === "webgpu" ? await firstDifference(source, from, first) : undefined;
  return () => {
    const said = [words().drew(integer(count), words().engines[engine], duration(took))];
    if (count === 1) said.push(words().lastToken(visible(source.tokens[last]!.text)));
    if (different !== undefined) said.push(words().notSame(integer(different + 1)));
    else if (engine === "webgpu") said.push(words().sameOnCpu(integer(first.length)));
    return said.join(" ");
  };
}

/** Draws the first ones again on the CPU: the number of the first draw that is another token there, from 0. */
async function firstDifference(
  { tokens, settings }: Source,
  from: number,
  drawn: readonly number[],
): Promise<number | undefined> {
  const logits = logitsOf(tokens);
  const params = paramsOf(settings, false);
  const cpu = await createSampler({ vocabSize: logits.length, engine: "cpu" });
  for (const [index, token] of drawn.entries()) {
    const { tokens: again } = await cpu.sample(logits, { ...params, position: from + index });
    if (again[0] !== token) return from + index;
  }
  return undefined;
}
