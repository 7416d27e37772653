/** The buttons that draw, and what the draws came to. */
import { createSampler, type SamplingParams } from "webgpu-token-sampler";
import { gTest, rejectsAt } from "../../../test/support/statistics.ts";
import { paramsOf, type Settings } from "../controls.ts";
import { h, messageOf, nextFrame, setText } from "../dom.ts";
import { requestGpu } from "../gpu.ts";
import { digits, integer, words } from "../language.ts";
import { cpuDrawer, type Drawer, drawMany, gpuDrawer } from "./draw.ts";
import { logitsOf, type Token, visible } from "./rows.ts";
import { probabilityOf, type Stages } from "./stages.ts";

/** What is drawn from. A new object means: the draws so far count no more. */
export interface Source {
  readonly tokens: readonly Token[];
  readonly settings: Settings;
  readonly stages: Stages;
}

const AMOUNTS = [1, 1000, 1_000_000];
/** So many draws of a GPU are repeated on the CPU. */
const CHECKED = 1000;
/** The tests of the package cry wolf once in a million runs; so does this page. */
const rejects = rejectsAt(1e-6);

export class DrawView {
  readonly element: HTMLElement;
  counts = new Float64Array();
  drawn = 0;
  readonly #changed: () => void;
  readonly #status = h("p", { class: "status", role: "status" });
  readonly #verdict = h("p", { class: "verdict", role: "status" });
  readonly #note = h("p", { class: "note", role: "status" });
  readonly #last = h("p", { class: "last", "aria-hidden": "true" });
  readonly #progress = h("progress", { hidden: true, max: 1, "aria-label": words().draw });
  readonly #buttons: readonly HTMLButtonElement[];
  readonly #stop: HTMLButtonElement;
  readonly #clear: HTMLButtonElement;
  #source: Source | undefined;
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
    this.#clear = h("button", { type: "button", class: "quiet", hidden: true, click: () => this.#reset() }, text.clear);
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

  /** Draws from something else from now on. */
  setSource(source: Source): void {
    this.#source = source;
    this.#reset();
  }

  end(): void {
    this.#work?.abort();
    this.#drawer?.drawer.destroy();
    this.#drawer = undefined;
  }

  #reset(): void {
    this.#work?.abort();
    this.#work = undefined;
    this.counts = new Float64Array(this.#source?.tokens.length ?? 0);
    this.drawn = 0;
    for (const part of [this.#status, this.#verdict, this.#last]) setText(part, "");
    this.#working(false);
    this.#changed();
  }

  #working(yes: boolean): void {
    for (const button of this.#buttons) button.disabled = yes || this.#source?.stages.after.tokens.length === 0;
    // The button that goes keeps no focus, so the first one gets it.
    const hadFocus = document.activeElement === this.#stop;
    this.#stop.hidden = !yes;
    this.#clear.hidden = yes || this.drawn === 0;
    this.#progress.hidden = !yes;
    if (hadFocus && !yes) this.#buttons[0]!.focus();
  }

  async #draw(amount: number): Promise<void> {
    const source = this.#source;
    if (source === undefined) return;
    const work = new AbortController();
    this.#work = work;
    const { signal } = work;
    const focused = document.activeElement as HTMLElement | null;
    this.#progress.value = 0;
    this.#working(true);
    const params = paramsOf(source.settings, false);
    const from = this.drawn;
    const first: number[] = [];
    try {
      const drawer = await this.#drawerFor(source, signal);
      if (signal.aborted) return;
      const engine = words().engines[drawer.engine];
      setText(this.#status, words().drawing(engine));
      const took = await drawMany(
        drawer,
        params,
        from,
        amount,
        async (tokens) => {
          if (signal.aborted && this.#source !== source) return;
          first.push(...tokens.subarray(0, CHECKED - first.length));
          for (const token of tokens) this.counts[token]!++;
          this.drawn += tokens.length;
          setText(this.#last, visible(source.tokens[tokens.at(-1)!]!.text));
          this.#progress.value = (this.drawn - from) / amount;
          this.#changed();
          if (amount > 1) await nextFrame();
        },
        signal,
      );
      // Someone else's draws are under way, or nothing was drawn.
      if (this.#work !== work || first.length === 0) return;
      const said = [words().drew(integer(this.drawn - from), engine, duration(took))];
      if (amount === 1) said.push(words().lastToken(this.#last.textContent));
      if (drawer.engine === "webgpu") said.push(await comparison(source, params, from, first));
      setText(this.#status, said.join(" "));
      setText(this.#verdict, this.#judge(source.stages));
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
    const drawer = (await this.#onGpu(logits)) ?? (await cpuDrawer(logits));
    // The view may be gone by now, and someone has to free the buffers.
    if (signal.aborted) drawer.destroy();
    else this.#drawer = { logits: key, drawer };
    return drawer;
  }

  async #onGpu(logits: Float32Array): Promise<Drawer | undefined> {
    try {
      const gpu = await requestGpu();
      return gpu === undefined ? undefined : await gpuDrawer(gpu, logits);
    } catch (error) {
      setText(this.#note, words().wrongGpu(messageOf(error)));
      return undefined;
    }
  }

  #judge(stages: Stages): string {
    const expected = Float64Array.from(this.counts, (_, id) => probabilityOf(stages.after, id));
    const result = gTest(this.counts, expected);
    if (result.bins < 2 && result.pValue === 1) return `${words().gTest}: ${words().gTestFew}`;
    const { statistic, degreesOfFreedom, pValue } = result;
    const say = rejects(result) ? words().gTestFails : words().gTestFits;
    return `${words().gTest}: ${say(digits(statistic), degreesOfFreedom, pValue < 1e-3 ? pValue.toExponential(0) : pValue.toFixed(3))}`;
  }
}

/** Draws the first ones again on the CPU, and says whether they are the same. */
async function comparison(
  { tokens }: Source,
  params: SamplingParams,
  from: number,
  drawn: readonly number[],
): Promise<string> {
  const logits = logitsOf(tokens);
  const cpu = await createSampler({ vocabSize: logits.length, engine: "cpu" });
  for (const [index, token] of drawn.entries()) {
    const { tokens: again } = await cpu.sample(logits, { ...params, position: from + index });
    if (again[0] !== token) return words().notSame(integer(from + index + 1));
  }
  return words().sameOnCpu(integer(drawn.length));
}

function duration(milliseconds: number): string {
  return milliseconds < 1000 ? `${digits(milliseconds)} ms` : `${digits(milliseconds / 1000)} s`;
}
