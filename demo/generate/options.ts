/** The command line. */
import { parseArgs } from "node:util";

export const HELP = `Usage: npm start -- [options]

Samples from a small language model of this package's documentation: eight prompts in one batch, each with its own
sampling parameters and its own seed. Every token is drawn on both engines, where there are two, and compared.

  --engine auto|webgpu|cpu  engine that the text comes from; auto takes WebGPU where there is an adapter (auto)
  --steps N                 tokens per row (64; 20 with --vocab)
  --seed S                  seed of the first row, from 0 to 2^64 - 1; the next rows count on (7)
  --vocab V                 random logits over V tokens instead of text, for instance 151936
  --batch B                 rows, with --vocab (8)
  --help                    this text`;

export interface Options {
  readonly engine: "auto" | "webgpu" | "cpu";
  readonly steps: number;
  readonly seed: bigint;
  /** Size of a synthetic vocabulary; `undefined`: the text model. */
  readonly vocab: number | undefined;
  readonly batch: number;
  readonly help: boolean;
}

/** A command line that cannot be run; its message is for the user. */
export class UsageError extends Error {}

/** Logits of one step, all rows: more would not fit one array on every machine. */
const MAX_LOGITS = 2 ** 28;

/**
 * @param argv arguments after the program's name
 * @throws UsageError
 */
export function parseOptions(argv: readonly string[]): Options {
  const values = parse(argv);
  const engine = values.engine ?? "auto";
  if (engine !== "auto" && engine !== "webgpu" && engine !== "cpu") {
    throw new UsageError(`--engine: expected auto, webgpu or cpu, got "${engine}"`);
  }
  const vocab = values.vocab === undefined ? undefined : Number(integer("--vocab", values.vocab, 1n, 1n << 22n));
  if (values.batch !== undefined && vocab === undefined) {
    throw new UsageError("--batch: only with --vocab; the text has eight rows");
  }
  const batch = Number(integer("--batch", values.batch ?? "8", 1n, 4096n));
  if (vocab !== undefined && vocab * batch > MAX_LOGITS) {
    throw new UsageError(`--vocab times --batch: expected at most ${MAX_LOGITS} logits, got ${vocab * batch}`);
  }
  return {
    engine,
    steps: Number(integer("--steps", values.steps ?? (vocab === undefined ? "64" : "20"), 1n, 1_000_000n)),
    seed: integer("--seed", values.seed ?? "7", 0n, 2n ** 64n - 1n),
    vocab,
    batch,
    help: values.help ?? false,
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        engine: { type: "string" },
        steps: { type: "string" },
        seed: { type: "string" },
        vocab: { type: "string" },
        batch: { type: "string" },
        help: { type: "boolean" },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function integer(name: string, text: string, least: bigint, most: bigint): bigint {
  const value = /^\d+$/u.test(text) ? BigInt(text) : -1n;
  if (value < least || value > most) {
    throw new UsageError(`${name}: expected an integer from ${least} to ${most}, got "${text}"`);
  }
  return value;
}
