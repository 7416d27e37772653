/** Elements without a framework: the page builds its views once, and then changes what changed. */

type Child = Node | string | undefined | false;
type Listener = (event: Event) => void;
/** Attributes; `true` is an empty one, `false` and `undefined` are none. Functions listen to the event of that name. */
export type Attributes = Readonly<Record<string, string | number | boolean | undefined | Listener>>;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  assign(element, attributes, children);
  return element;
}

export function svg(tag: string, attributes: Attributes = {}, ...children: readonly Child[]): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  assign(element, attributes, children);
  return element;
}

function assign(element: Element, attributes: Attributes, children: readonly Child[]): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else setAttribute(element, name, value);
  }
  element.append(...children.filter((child): child is Node | string => child !== undefined && child !== false));
}

export function setAttribute(element: Element, name: string, value: string | number | boolean | undefined): void {
  if (value === undefined || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** Sets the text where it differs: an untouched live region stays silent. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Lets the browser paint and handle input. */
export function nextFrame(): Promise<void> {
  return new Promise((resolve) => {
    // Frames stop in a hidden tab; the timer does not.
    const timer = setTimeout(done, 100);
    const frame = requestAnimationFrame(done);
    function done(): void {
      clearTimeout(timer);
      cancelAnimationFrame(frame);
      resolve();
    }
  });
}

/**
 * One choice out of a few, side by side. Native radio buttons, so that the arrow keys move in it.
 *
 * @param name of the group, unique on the page
 */
export function segmented<T extends string>(
  name: string,
  legend: string,
  choices: readonly { readonly value: T; readonly label: string }[],
  chosen: T,
  change: (value: T) => void,
): HTMLFieldSetElement & { choose(value: T): void } {
  const inputs = choices.map(({ value }) =>
    h("input", { type: "radio", name, value, checked: value === chosen, change: () => change(value) }),
  );
  const fieldset = h(
    "fieldset",
    { class: "segmented" },
    h("legend", {}, legend),
    h("div", {}, ...choices.map(({ label }, index) => h("label", {}, inputs[index], h("span", {}, label)))),
  );
  return Object.assign(fieldset, {
    choose: (value: T) => {
      for (const input of inputs) input.checked = input.value === value;
    },
  });
}

/** What an error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
