/** The command line of the bench: the same for the browser and for Node. */
import { parseArgs } from "node:util";
import { type InputName, inputNames } from "../test/support/inputs.ts";
import { type BenchOptions, MODE_NAMES, type ModeName, type Shape } from "./cases.ts";

export const HELP = `  --batch N,…      rows of a call (1,8,32)
  --vocab N,…      tokens of a row (128256)
  --mode NAME,…    ${MODE_NAMES.join(", ")} (all)
  --input NAME,…   peaked, flat, equal, or any other input of the tests (peaked,flat,equal)
  --rounds N       measurements of everything, in turn (5)
  --target MS      wall time of one measurement; more calls go into a submit until it is reached (20)
  --preset NAME    full:   every vocabulary (32000, 128256, 151936, 262144) and batch (1, 8, 32, 128)
                   growth: vocabularies from 1024 to 1048576 in batches of 8, batches from 1 to 512 at 32000;
                           3 rounds
                   quick:  batch 8, peaked, 3 rounds
  --cold           read from 256 MiB of copies of the logits in turn; beside the read limit only
  --controls       measure top-k 50 with masks, bias, penalties and the like, too
  --json FILE      write the result there
  --help           this text`;

/** A command line that cannot be run; its message is for the user. */
export class UsageError extends Error {}

export interface CommandLine {
  readonly options: BenchOptions;
  readonly json: string | undefined;
  readonly help: boolean;
  /** Options that only one of the commands knows. */
  readonly rest: Readonly<Record<string, string | boolean | undefined>>;
}

const VOCABS = [32_000, 128_256, 151_936, 262_144];
const BATCHES = [1, 8, 32, 128];

export type Preset = Partial<{ shapes: Shape[]; inputs: InputName[]; modes: ModeName[]; rounds: number }>;

/** What a command takes for what is left out, and whether it has no cold runs. */
export type Defaults = Preset & { readonly isWarm?: true };

const cross = (vocabs: readonly number[], batches: readonly number[]): Shape[] =>
  vocabs.flatMap((vocab) => batches.map((batch) => ({ vocab, batch })));

const PRESETS: Readonly<Record<string, Preset>> = {
  full: { shapes: cross(VOCABS, BATCHES) },
  growth: {
    shapes: [
      ...cross([1024, 4096, 16_384, 65_536, 262_144, 1_048_576], [8]),
      ...cross([32_000], [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]),
    ],
    inputs: ["peaked"],
    modes: ["greedy", "top-k+top-p", "top-p", "none"],
    rounds: 3,
  },
  quick: { shapes: cross([128_256], [8]), inputs: ["peaked"], rounds: 3 },
};

/** What the bench beside its peers takes for what is left out. */
export const PEERS_DEFAULTS: Defaults = { rounds: 4, isWarm: true };

/** The same for the CPU engine beside hand-written JavaScript. */
export const CPU_DEFAULTS: Defaults = { shapes: cross([128_256], [8]), rounds: 9, isWarm: true };

/** The same for the sweep of tunings. */
export const TUNE_DEFAULTS: Defaults = {
  isWarm: true,
  shapes: cross([128_256], [8]),
  inputs: ["peaked"],
  modes: ["greedy", "top-k+top-p", "top-p"],
};

/**
 * @param argv arguments after the program's name
 * @param more options besides those of {@link HELP}
 * @param defaults for what is left out, where there is no preset
 * @throws UsageError
 */
export function parseCommandLine(
  argv: readonly string[],
  more: Readonly<Record<string, { type: "string" | "boolean" }>> = {},
  defaults: Defaults = {},
): CommandLine {
  let values: Record<string, string | boolean | undefined>;
  try {
    values = parseArgs({
      args: [...argv],
      options: {
        batch: { type: "string" },
        vocab: { type: "string" },
        mode: { type: "string" },
        input: { type: "string" },
        rounds: { type: "string" },
        target: { type: "string" },
        preset: { type: "string" },
        cold: { type: "boolean" },
        controls: { type: "boolean" },
        json: { type: "string" },
        help: { type: "boolean" },
        ...more,
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const text = (name: string): string | undefined => values[name] as string | undefined;
  if (values["cold"] === true && defaults.isWarm) throw new UsageError("--cold: there is no cold run here");
  const preset = text("preset") === undefined ? defaults : PRESETS[text("preset")!];
  if (preset === undefined) throw new UsageError(`--preset: expected ${Object.keys(PRESETS).join(", ")}`);
  const usual = preset.shapes ?? cross([128_256], [1, 8, 32]);
  const sizes = (name: keyof Shape): number[] =>
    text(name) === undefined ? [...new Set(usual.map((shape) => shape[name]))] : numbers(`--${name}`, text(name)!);
  const explicit = text("vocab") !== undefined || text("batch") !== undefined;
  return {
    options: {
      shapes: explicit ? cross(sizes("vocab"), sizes("batch")) : usual,
      inputs: names("--input", text("input"), inputNames, preset.inputs ?? ["peaked", "flat", "equal"]),
      modes: names("--mode", text("mode"), MODE_NAMES, preset.modes ?? MODE_NAMES),
      rounds: numbers("--rounds", text("rounds") ?? String(preset.rounds ?? 5))[0]!,
      targetMs: numbers("--target", text("target") ?? "20")[0]!,
      cold: values["cold"] === true,
      ...(values["controls"] === true && { controls: true }),
    },
    json: text("json"),
    help: values["help"] === true,
    rest: values,
  };
}

function numbers(name: string, list: string): number[] {
  return list.split(",").map((text) => {
    const value = /^\d+$/u.test(text) ? Number(text) : 0;
    if (value < 1 || value > 2 ** 22)
      throw new UsageError(`${name}: expected integers from 1 to 4194304, got "${text}"`);
    return value;
  });
}

function names<T extends string>(
  name: string,
  list: string | undefined,
  known: readonly T[],
  fallback: readonly T[],
): readonly T[] {
  if (list === undefined) return fallback;
  return list.split(",").map((text) => {
    if (!known.includes(text as T)) throw new UsageError(`${name}: expected of ${known.join(", ")}, got "${text}"`);
    return text as T;
  });
}
