/** What checks of arguments have in common: every message names the argument, what is allowed, and the value. */

/** A number, or the default if it is left out. */
export function numberOf(value: number | undefined, fallback: number, at: string): number {
  if (value === undefined) return fallback;
  if (typeof value !== "number") throw new TypeError(`${at}: expected a number, got ${show(value)}`);
  return value;
}

/** Says which value is not allowed, and what is. */
export function fail(at: string, value: unknown, allowed: string): never {
  throw new RangeError(`${at}: expected ${allowed}, got ${show(value)}`);
}

/** A value as it reads in an error message. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "object" && value !== null) return Object.prototype.toString.call(value).slice(8, -1);
  return String(value);
}
