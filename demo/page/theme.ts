/** Light or dark: as the system has it, or as the visitor wants it. */
export const THEMES = ["auto", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "theme";

export function theme(): Theme {
  try {
    return THEMES.find((name) => name === localStorage.getItem(KEY)) ?? "auto";
  } catch {
    return "auto"; // no storage here, so nothing is kept
  }
}

export function setTheme(chosen: Theme): void {
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // it counts until the page is left
  }
  applyTheme(chosen);
}

export function applyTheme(chosen: Theme = theme()): void {
  document.documentElement.dataset["theme"] = chosen;
}
