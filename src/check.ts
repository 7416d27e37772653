import type { GPUCommandEncoder } from "./webgpu-types.ts";

/** What checks of arguments have in common: every message names the argument, what is allowed, and the value. */

/** A number, or the default if it is left out. */
export function numberOf(value: number | undefined, fallback: number, at: string): number {
  if (value === undefined) return fallback;
  if (typeof value !== "number") throw new TypeError(`${at}: expected a number, got ${show(value)}`);
  return value;
}

/** A boolean, or the default if it is left out. */
export function flagOf(value: boolean | undefined, fallback: boolean, at: string): boolean {
  if (value === undefined) return fallback;
  if (typeof value !== "boolean") throw new TypeError(`${at}: expected true or false, got ${show(value)}`);
  return value;
}

/** A count of what there must be: an integer, 1 or more. */
export function positive(name: string, value: number): number {
  if (typeof value !== "number") throw new TypeError(`${name}: expected a number, got ${show(value)}`);
  if (!Number.isSafeInteger(value) || value < 1) fail(name, value, "an integer, 1 or more");
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

/** Whether a value is a typed array of one of these names, of whichever realm: a frame, or a test's environment, has its own. */
export function isArrayOf(value: unknown, ...names: readonly string[]): boolean {
  return ArrayBuffer.isView(value) && names.includes(show(value));
}

/** A row of the batch. */
export function rowOf(name: string, row: number, rows: number): number {
  if (typeof row !== "number") throw new TypeError(`${name}: expected a number, got ${show(row)}`);
  if (!Number.isInteger(row) || row < 0 || row >= rows) {
    throw new RangeError(`${name}: expected a row from 0 to ${rows - 1}, got ${show(row)}`);
  }
  return row;
}

/** Which row becomes what which one was, from a list of the latter; rows that stay as they are left out. */
export function rowPairs(
  name: string,
  sources: readonly number[] | Uint32Array | Int32Array,
  rows: number,
): [from: number, to: number][] {
  if (typeof sources !== "object" || sources === null || !("length" in sources)) {
    throw new TypeError(`${name}: expected a list of rows, got ${show(sources)}`);
  }
  if (sources.length > rows) {
    throw new RangeError(`${name}: expected at most ${rows} rows, one a row of the sampler, got ${sources.length}`);
  }
  return Array.from(sources as readonly number[], (from, to): [number, number] => {
    return [rowOf(`${name}[${to}]`, from, rows), to];
  }).filter(([from, to]) => from !== to);
}

/** Checks an encoder that may be left out. */
export function encoderOf(encoder: GPUCommandEncoder | undefined): void {
  if (encoder !== undefined && typeof (encoder as GPUCommandEncoder | null)?.clearBuffer !== "function") {
    throw new TypeError(`encoder: expected a GPUCommandEncoder, got ${show(encoder)}`);
  }
}

/** One of a few words; the first if it is left out. */
export function oneOf<T extends string>(name: string, value: T | undefined, allowed: readonly T[]): T {
  if (value === undefined) return allowed[0]!;
  if (allowed.includes(value)) return value;
  const message = `${name}: expected one of ${allowed.map(show).join(", ")}, got ${show(value)}`;
  throw typeof value === "string" ? new RangeError(message) : new TypeError(message);
}

/** Whether a value is an object with names of its own choice, plain or of some class: no array, no Map, no Promise. */
export function isRecord(value: unknown): value is object {
  return typeof value === "object" && value !== null && show(value) === "Object";
}

/**
 * What can be read of an object, all its own: what it enumerates, inherited or not, and what it has under these names, which
 * a class may hide behind accessors. Of a plain object that is the object itself.
 */
export function flattened<T extends object>(object: T, names: Iterable<string>): T {
  const parent: unknown = Object.getPrototypeOf(object);
  if (parent === Object.prototype || parent === null) return object;
  const from = object as Readonly<Record<string, unknown>>;
  const own: Record<string, unknown> = {};
  for (const name in from) own[name] = from[name];
  for (const name of names) if (from[name] !== undefined) own[name] = from[name];
  return own as T;
}

/**
 * Refuses what is no object, and names that it is not meant to have; hidden ones it may, but nobody is told of them.
 *
 * @returns the object, {@link flattened}
 */
export function known<T extends object>(
  at: string,
  object: T,
  names: readonly string[],
  hidden: readonly string[] = [],
): T {
  if (!isRecord(object)) throw new TypeError(`${at}: expected an object, got ${show(object)}`);
  const own = flattened(object, names);
  for (const name of Object.keys(own)) {
    if (names.includes(name) || hidden.includes(name)) continue;
    throw new TypeError(`${at}.${name}: unknown name; known are ${names.join(", ")}`);
  }
  return own;
}
