/** The settings as sliders, fields and buttons, built from the table of controls. */
import { type Control, CONTROLS, EXAMPLE, NEUTRAL, ORDERS } from "./controls.ts";
import { h, segmented, setAttribute, setText } from "./dom.ts";
import { language, words } from "./language.ts";
import { parseSeed, type PageState, type Store } from "./state.ts";
import type { View } from "./view.ts";

/**
 * @param place makes ids unique, since two views have settings
 * @param looksBack whether there is a text that controls can look back at
 */
export function settingsView(store: Store, place: string, looksBack: boolean): View {
  const text = words();
  const sliders = CONTROLS.filter((control) => looksBack || !("looksBack" in control)).map(
    (control: Control & (typeof CONTROLS)[number]) => slider(store, control, place),
  );
  const order = segmented(
    `${place}-order`,
    text.order,
    ORDERS.map((value) => ({ value, label: text.orders[value] })),
    store.state.settings.order,
    (value) => store.setSettings({ order: value }),
  );
  const seed = seedField(store, place);
  const element = h(
    "section",
    { class: "settings", "aria-labelledby": `${place}-settings` },
    h("h2", { id: `${place}-settings` }, text.settings),
    h("p", { class: "note" }, text.settingsHint),
    ...sliders.map((view) => view.element),
    order,
    seed.element,
    h(
      "p",
      { class: "buttons" },
      h(
        "button",
        {
          type: "button",
          class: "quiet",
          click: () => store.setSettings({ ...NEUTRAL, seed: store.state.settings.seed }),
        },
        text.allOff,
      ),
      h("button", { type: "button", class: "quiet", click: () => store.setSettings(EXAMPLE) }, text.example),
    ),
  );
  const show = (state: PageState): void => {
    for (const view of sliders) view.show(state);
    order.choose(state.settings.order);
    seed.show(state);
  };
  show(store.state);
  return { element, end: store.listen(show) };
}

interface Field {
  readonly element: HTMLElement;
  show(state: PageState): void;
}

function slider(store: Store, control: Control & (typeof CONTROLS)[number], place: string): Field {
  const { name, min, max, step, off } = control;
  const most: number = "most" in control ? control.most : max;
  const id = `${place}-${name}`;
  const label = control.label[language()];
  const set = (value: number): void => store.setSettings({ [name]: value });
  const range = h("input", {
    type: "range",
    id,
    min,
    max,
    step,
    "aria-describedby": `${id}-hint`,
    input: () => set(Number(range.value)),
  });
  const field = h("input", {
    type: "number",
    min,
    max: most,
    step: "any",
    inputmode: "decimal",
    "aria-label": words().exactly(label),
    input: () => {
      const value = field.valueAsNumber;
      const allowed = value >= min && value <= most && (step < 1 || Number.isInteger(value));
      setAttribute(field, "aria-invalid", allowed ? undefined : "true");
      if (allowed) set(value);
    },
    // What was not allowed gives way to what counts.
    blur: () => show(store.state),
  });
  const state = h("span", { class: "off", "aria-hidden": "true" }, words().off);
  const element = h(
    "div",
    { class: "control" },
    h("label", { for: id }, label),
    state,
    field,
    range,
    h("p", { class: "hint", id: `${id}-hint` }, control.hint[language()]),
  );
  const show = ({ settings }: PageState): void => {
    const value = settings[name];
    if (field !== document.activeElement || field.valueAsNumber !== value) field.value = String(value);
    setAttribute(field, "aria-invalid", undefined);
    range.value = String(value);
    range.style.setProperty("--filled", String((Math.min(value, max) - min) / (max - min)));
    setAttribute(range, "aria-valuetext", value === off ? words().off : String(value));
    element.classList.toggle("is-off", value === off);
  };
  return { element, show };
}

function seedField(store: Store, place: string): Field {
  const text = words();
  const id = `${place}-seed`;
  const problem = h("p", { class: "hint", id: `${id}-hint`, "aria-live": "polite" }, text.seedHint);
  const field = h("input", {
    type: "text",
    id,
    inputmode: "numeric",
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": `${id}-hint`,
    input: () => {
      const seed = parseSeed(field.value);
      setAttribute(field, "aria-invalid", seed === undefined ? "true" : undefined);
      setText(problem, seed === undefined ? text.seedBad : text.seedHint);
      if (seed !== undefined) store.setSettings({ seed });
    },
    blur: () => show(store.state),
  });
  const dice = h(
    "button",
    {
      type: "button",
      class: "quiet",
      click: () => store.setSettings({ seed: BigInt(crypto.getRandomValues(new Uint32Array(1))[0]!) }),
    },
    text.newSeed,
  );
  const show = ({ settings }: PageState): void => {
    if (parseSeed(field.value) !== settings.seed) field.value = String(settings.seed);
    setAttribute(field, "aria-invalid", undefined);
    setText(problem, text.seedHint);
  };
  return {
    element: h(
      "div",
      { class: "control seed" },
      h("label", { for: id }, text.seed),
      h("div", { class: "with-button" }, field, dice),
      problem,
    ),
    show,
  };
}
