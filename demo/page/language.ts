/** The page's two languages. */
import { en, type Messages } from "./messages/en.ts";
import { zh } from "./messages/zh.ts";

export type Language = "en" | "zh";
export type Localized = Readonly<Record<Language, string>>;

const MESSAGES: Readonly<Record<Language, Messages>> = { en, zh };
const TAGS: Localized = { en: "en", zh: "zh-CN" };

let current: Language = "en";

export function language(): Language {
  return current;
}

/** The words of the language that is set. */
export function words(): Messages {
  return MESSAGES[current];
}

export function setLanguage(language: Language): void {
  current = language;
  document.documentElement.lang = TAGS[language];
}

/** The first language of the browser's that the page has. */
export function browserLanguage(): Language {
  for (const tag of navigator.languages) {
    if (tag.startsWith("zh")) return "zh";
    if (tag.startsWith("en")) return "en";
  }
  return "en";
}

/** A whole number with separators. */
export function integer(value: number): string {
  return Math.round(value).toLocaleString(TAGS[current]);
}

/** A share as a percentage: one digit behind the point, more for what is small. */
export function percent(share: number): string {
  const value = 100 * share;
  if (value === 0) return "0%";
  if (value < 0.01) return "<0.01%";
  return `${value < 1 ? value.toFixed(2) : value.toFixed(1)}%`;
}

/** The same for what somebody has set: no digit more than it needs. */
export function setting(share: number): string {
  return `${Number((100 * share).toFixed(2))}%`;
}

/** Three digits. */
export function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** A time, in the unit that suits it. */
export function duration(milliseconds: number): string {
  return milliseconds < 1000
    ? words().milliseconds(digits(milliseconds))
    : words().seconds(digits(milliseconds / 1000));
}
