/** One engine's text: tokens that can be pointed at and walked through with the keyboard. */
import { h, setText } from "../dom.ts";
import { duration, words } from "../language.ts";
import { visible } from "../playground/rows.ts";
import type { LanguageModel } from "./model.ts";
import type { Writer } from "./writer.ts";

export type EngineName = "webgpu" | "cpu";

export class Column {
  readonly element: HTMLElement;
  readonly engine: EngineName;
  readonly writer: Writer;
  readonly #adapter: string | undefined;
  readonly #prompt: string;
  readonly #model: LanguageModel;
  readonly #list: HTMLElement;
  /** For reading without eyes: the tokens one by one are no text. */
  readonly #whole = h("p", { class: "hidden", lang: "en" });
  readonly #pace = h("p", { class: "pace" });
  readonly #tokens: HTMLElement[] = [];
  readonly #point: (step: number) => void;
  /** The engine that goes on, where it is no longer this column's. */
  wentOn = false;
  #current = 0;

  /**
   * @param adapter the engine's, if it has one
   * @param point is called when a token is pointed at or focused
   */
  constructor(
    engine: EngineName,
    adapter: string | undefined,
    prompt: string,
    writer: Writer,
    model: LanguageModel,
    point: (step: number) => void,
  ) {
    this.engine = engine;
    this.writer = writer;
    this.#adapter = adapter;
    this.#prompt = prompt;
    this.#model = model;
    this.#point = point;
    const label = words().textOf(words().engines[engine].trim());
    this.#list = h("span", {
      role: "listbox",
      "aria-orientation": "horizontal",
      "aria-label": `${label}. ${words().textHint}`,
      keydown: (event) => this.#key(event as KeyboardEvent),
    });
    const text = h("p", { class: "text", lang: "en" }, h("span", { class: "prompt" }, prompt), this.#list);
    this.element = h(
      "article",
      { class: "column", "data-engine": engine },
      h("h3", {}, adapter === undefined ? words().engineCpu : words().engineGpu(adapter)),
      text,
      this.#whole,
      this.#pace,
    );
    this.update();
  }

  /** The same text, in a column of its own, with the words of the language that is set by now. */
  again(point: (step: number) => void): Column {
    const column = new Column(this.engine, this.#adapter, this.#prompt, this.writer, this.#model, point);
    column.wentOn = this.wentOn;
    column.update();
    column.rest();
    return column;
  }

  /** Shows what the writer has written since. */
  update(): void {
    const { steps, milliseconds, timed } = this.writer;
    while (this.#tokens.length < steps.length) {
      const step = this.#tokens.length;
      const piece = this.#model.piece(steps[step]!.token);
      const token = h(
        "span",
        {
          role: "option",
          "aria-selected": "false",
          // A line break has to be called something.
          "aria-label": piece.trim() === "" ? visible(piece) : undefined,
          class: "token",
          tabindex: step === this.#current ? 0 : -1,
          pointerenter: () => this.#point(step),
          focus: () => {
            this.#moveTo(step);
            this.#point(step);
          },
        },
        piece,
      );
      this.#tokens.push(token);
      this.#list.append(token);
    }
    const pace = timed === 0 ? "" : words().pace(steps.length, duration(milliseconds / timed));
    setText(this.#pace, [pace, this.wentOn ? words().wentOn : ""].filter(Boolean).join(" · "));
  }

  /** Marks the token that is pointed at, here or in the other column. */
  mark(step: number | undefined): void {
    for (const [index, token] of this.#tokens.entries()) token.classList.toggle("marked", index === step);
  }

  /** Says that nothing more comes for now. */
  rest(): void {
    setText(this.#whole, this.#tokens.map(({ textContent }) => textContent).join(""));
  }

  #moveTo(step: number): void {
    const [from, to] = [this.#tokens[this.#current]!, this.#tokens[step]!];
    from.tabIndex = -1;
    from.ariaSelected = "false";
    this.#current = step;
    to.tabIndex = 0;
    to.ariaSelected = "true";
  }

  #key(event: KeyboardEvent): void {
    const last = this.#tokens.length - 1;
    const moves: Readonly<Record<string, number>> = {
      ArrowRight: this.#current + 1,
      ArrowDown: this.#current + 1,
      ArrowLeft: this.#current - 1,
      ArrowUp: this.#current - 1,
      Home: 0,
      End: last,
    };
    const to = moves[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.#tokens[Math.min(Math.max(to, 0), last)]!.focus();
  }
}
