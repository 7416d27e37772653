/** The page: head, tabs, and the three views. */
import { h, segmented, setText } from "./dom.ts";
import { adapterName, findAdapter, whenTried } from "./gpu.ts";
import { browserLanguage, language, setLanguage, words } from "./language.ts";
import { playgroundView } from "./playground/view.ts";
import { parseState, printState, Store, type Tab, TABS } from "./state.ts";
import { applyTheme, setTheme, theme, THEMES } from "./theme.ts";
import type { View } from "./view.ts";

const store = new Store(parseState(location.search));

/** The first view comes with the page; the other two when they are looked at. */
const VIEWS: Readonly<Record<Tab, () => Promise<View>>> = {
  playground: () => Promise.resolve(playgroundView(store)),
  generate: async () => (await import("./generate/view.ts")).generateView(store),
  measure: async () => (await import("./measure/view.ts")).measureView(),
};

/** The adapter's name, `null` where there is none, `undefined` until that is known. */
let adapter: string | null | undefined;
/** Whether it turned out that the adapter cannot be used. */
let useless = false;

/** Builds everything in the language that is set. */
function build(): () => void {
  const text = words();
  document.title = `${text.title} · webgpu-token-sampler`;
  const engine = h("p", { class: "engine" });
  const notice = h("p", { class: "notice", hidden: true }, text.noGpu);
  const showEngine = (): void => {
    const name = useless ? null : adapter;
    setText(engine, name === undefined ? text.engineSearching : name === null ? text.engineCpu : text.engineGpu(name));
    engine.classList.toggle("is-cpu", name === null);
    notice.hidden = adapter !== null;
  };
  showEngine();

  const views = new Map<Tab, Promise<View>>();
  const panel = (tab: Tab): HTMLElement =>
    h("div", { role: "tabpanel", id: `panel-${tab}`, "aria-labelledby": `tab-${tab}`, hidden: true });
  const panels = { playground: panel("playground"), generate: panel("generate"), measure: panel("measure") };
  const tabs = TABS.map((tab) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${tab}`,
        "aria-controls": `panel-${tab}`,
        click: () => {
          store.set({ tab });
          // Also the tab that is open: what could not be loaded may be there now.
          showTab(tab);
        },
      },
      text.tabs[tab],
    ),
  );
  const showTab = (tab: Tab): void => {
    for (const [index, name] of TABS.entries()) {
      tabs[index]!.setAttribute("aria-selected", String(name === tab));
      tabs[index]!.tabIndex = name === tab ? 0 : -1;
      panels[name].hidden = name !== tab;
    }
    if (views.has(tab)) return;
    const view = VIEWS[tab]();
    views.set(tab, view);
    view.then(
      ({ element }) => panels[tab].replaceChildren(element),
      (error: unknown) => {
        views.delete(tab);
        panels[tab].replaceChildren(h("p", { role: "alert" }, text.failed(String(error))));
      },
    );
  };
  const turn = (event: Event): void => {
    const { key } = event as KeyboardEvent;
    const at = TABS.indexOf(store.state.tab);
    const last = TABS.length - 1;
    const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[key];
    if (to === undefined) return;
    event.preventDefault();
    store.set({ tab: TABS[to]! });
    tabs[to]!.focus();
  };
  const themes = segmented(
    "theme",
    text.theme,
    THEMES.map((value) => ({ value, label: text.themes[value] })),
    theme(),
    setTheme,
  );
  const other = language() === "en" ? "zh" : "en";
  document.body.replaceChildren(
    h("a", { class: "skip", href: "#main" }, text.skip),
    h(
      "header",
      {},
      h("p", { class: "brand" }, "webgpu-token-sampler"),
      engine,
      h(
        "div",
        { class: "choices" },
        themes,
        h(
          "button",
          {
            type: "button",
            id: "language",
            class: "quiet",
            lang: other === "zh" ? "zh-CN" : "en",
            click: () => store.set({ language: other }),
          },
          text.otherLanguage,
        ),
      ),
    ),
    h(
      "main",
      { id: "main", tabindex: -1 },
      h("h1", {}, text.title),
      h("p", { class: "lead" }, text.lead),
      notice,
      h("div", { role: "tablist", "aria-label": text.views, keydown: turn }, ...tabs),
      ...TABS.map((tab) => panels[tab]),
    ),
    h(
      "footer",
      {},
      h("p", {}, text.foot),
      // The build writes the file.
      import.meta.env.PROD && h("p", {}, h("a", { href: "./licences.txt" }, text.licences)),
    ),
  );
  showTab(store.state.tab);
  const stop = store.listen((state, before) => {
    if (state.tab !== before.tab) showTab(state.tab);
  });
  engineKnown = showEngine;
  return () => {
    stop();
    for (const view of views.values())
      void view.then(
        (each) => each.end(),
        () => undefined,
      );
  };
}

let engineKnown: () => void = () => undefined;
let tearDown: () => void;
let writing: ReturnType<typeof setTimeout> | undefined;

applyTheme();
setLanguage(store.state.language ?? browserLanguage());
tearDown = build();
findAdapter().then(
  (found) => {
    adapter = found === undefined ? null : adapterName(found.info);
    engineKnown();
  },
  () => {
    adapter = null;
    engineKnown();
  },
);
whenTried((useful) => {
  useless = !useful;
  engineKnown();
});
store.listen((state, before) => {
  if (state.language !== before.language) {
    setLanguage(state.language ?? browserLanguage());
    tearDown();
    tearDown = build();
    document.getElementById("language")?.focus();
  }
  // Browsers allow so many changes of the address in a while, and a slider makes more.
  clearTimeout(writing);
  writing = setTimeout(() => {
    history.replaceState(null, "", location.pathname + printState(store.state) + location.hash);
  }, 200);
});
