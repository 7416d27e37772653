/** What the page shows, and the same as an address that can be sent to somebody. */
import { CONTROLS, EXAMPLE, ORDERS, type Settings } from "./controls.ts";
import { modelOf } from "./generate/model.ts";
import type { Language } from "./language.ts";
import { parseTokens, printTokens, type RowName, ROW_NAMES, type Token } from "./playground/rows.ts";

export const TABS = ["playground", "generate", "measure"] as const;
export type Tab = (typeof TABS)[number];

export interface PageState {
  readonly tab: Tab;
  /** `undefined`: the browser's. */
  readonly language: Language | undefined;
  readonly settings: Settings;
  readonly row: RowName;
  /** The visitor's own tokens. */
  readonly tokens: readonly Token[];
  readonly prompt: string;
  /** How many tokens to write. */
  readonly length: number;
  /** `undefined`: the first one. */
  readonly model: string | undefined;
}

export const LENGTH = { min: 10, max: 200 } as const;

const INITIAL: PageState = {
  tab: "playground",
  language: undefined,
  settings: EXAMPLE,
  row: "article",
  tokens: [],
  prompt: modelOf(undefined).prompt,
  length: 60,
  model: undefined,
};

/** Reads an address. What is missing or makes no sense is as in the beginning. */
export function parseState(search: string): PageState {
  const query = new URLSearchParams(search);
  const oneOf = <T extends string>(name: string, known: readonly T[]): T | undefined =>
    known.find((value) => value === query.get(name));
  const number = (name: string, least: number, most: number): number | undefined => {
    const text = query.get(name) ?? "";
    const value = Number(text);
    return text.trim() !== "" && value >= least && value <= most ? value : undefined;
  };
  const settings: Record<string, unknown> = { ...EXAMPLE };
  for (const control of CONTROLS) {
    const value = number(control.name, control.min, "most" in control ? control.most : control.max);
    if (value !== undefined && (control.step < 1 || Number.isInteger(value))) settings[control.name] = value;
  }
  settings["order"] = oneOf("order", ORDERS) ?? EXAMPLE.order;
  settings["seed"] = parseSeed(query.get("seed") ?? "") ?? EXAMPLE.seed;
  const parsed = parseTokens(query.get("tokens") ?? "");
  const tokens = "tokens" in parsed ? parsed.tokens : [];
  const row = oneOf("row", ROW_NAMES) ?? INITIAL.row;
  const length = number("length", LENGTH.min, LENGTH.max);
  const model = query.get("model") ?? undefined;
  return {
    tab: oneOf("tab", TABS) ?? INITIAL.tab,
    language: oneOf("lang", ["en", "zh"]),
    settings: settings as unknown as Settings,
    row: row === "own" && tokens.length === 0 ? INITIAL.row : row,
    tokens,
    prompt: query.get("prompt") ?? modelOf(model).prompt,
    length: length === undefined ? INITIAL.length : Math.round(length),
    model,
  };
}

/** Writes an address: only what differs from the beginning. */
export function printState(state: PageState): string {
  const query = new URLSearchParams();
  const put = (name: string, value: string | number | bigint | undefined, initial: typeof value): void => {
    if (value !== undefined && value !== initial) query.set(name, String(value));
  };
  put("tab", state.tab, INITIAL.tab);
  put("lang", state.language, undefined);
  for (const { name } of CONTROLS) put(name, state.settings[name], EXAMPLE[name]);
  put("order", state.settings.order, EXAMPLE.order);
  put("seed", state.settings.seed, EXAMPLE.seed);
  put("row", state.row, INITIAL.row);
  if (state.row === "own") put("tokens", printTokens(state.tokens), "");
  put("prompt", state.prompt, modelOf(state.model).prompt);
  put("length", state.length, INITIAL.length);
  put("model", state.model, undefined);
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

/** A seed as it is typed; `undefined` if it is none. */
export function parseSeed(text: string): bigint | undefined {
  if (!/^\d{1,20}$/u.test(text.trim())) return undefined;
  const seed = BigInt(text.trim());
  return seed < 2n ** 64n ? seed : undefined;
}

/** The state, and who wants to know of changes. */
export class Store {
  #state: PageState;
  readonly #listeners = new Set<(state: PageState, before: PageState) => void>();

  constructor(state: PageState) {
    this.#state = state;
  }

  get state(): PageState {
    return this.#state;
  }

  set(change: Partial<PageState>): void {
    const before = this.#state;
    this.#state = { ...before, ...change };
    // A listener may bring in others, and they know the state already.
    const listeners = [...this.#listeners];
    for (const listener of listeners) listener(this.#state, before);
  }

  setSettings(change: Partial<Settings>): void {
    this.set({ settings: { ...this.#state.settings, ...change } });
  }

  /** @returns what ends the listening */
  listen(listener: (state: PageState, before: PageState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
