/**
 * The CPU engine beside hand-written JavaScript, row after row, in one process. Bundled and run by `npm run bench:cpu`, as
 * a user's bundle would be: a test runner's module loader makes either of them several times slower.
 */
import { type InputName, inputs } from "../test/support/inputs.ts";
import { planRow } from "../src/params.ts";
import { sampleRow } from "../src/reference/draw.ts";
import { MODE_LABELS, MODES, type ModeName, type Shape, type Summary } from "./cases.ts";
import { CPU_DEFAULTS, HELP, parseCommandLine, UsageError } from "./options.ts";
import { JavaScriptSampler } from "./peers/javascript.ts";
import { summarize } from "./statistics.ts";
import { spread, tableOf } from "./table.ts";

const USAGE = `Usage: npm run bench:cpu -- [options]

Times the CPU engine beside the hand-written JavaScript of bench/peers, --batch different rows in turn, by CPU time.

${HELP}`;

/** Samples row after row; the return value keeps the work from being optimised away. */
type Run = (calls: number) => number;

interface Pair {
  readonly ours: Run;
  readonly javascript: Run;
}

/** Both samplers in one mode, each with rows, parameters and a stream of random numbers. */
function pairOf(rows: readonly Float32Array[], vocab: number, mode: ModeName): Pair {
  const plan = planRow(MODES[mode], vocab);
  const sampler = new JavaScriptSampler(vocab);
  let position = 0n;
  return {
    ours: (calls) => {
      let last = 0;
      for (let call = 0; call < calls; call++) last ^= sampleRow(rows[call % rows.length]!, plan, 7n, position++).token;
      return last;
    },
    javascript: (calls) => {
      let last = 0;
      for (let call = 0; call < calls; call++)
        last ^= sampler.sample(rows[call % rows.length]!, MODES[mode], Math.random());
      return last;
    },
  };
}

/** CPU milliseconds that a row takes. */
function time(run: Run, calls: number): number {
  const before = process.cpuUsage();
  run(calls);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / calls;
}

interface Figure {
  readonly mode: ModeName;
  readonly ours: Summary;
  readonly javascript: Summary;
  readonly ratio: Summary;
}

/** All modes of one input, in turn, so that each function is timed as compiled for all of its uses. */
function measure(
  input: InputName,
  { vocab, batch }: Shape,
  modes: readonly ModeName[],
  rounds: number,
  targetMs: number,
): Figure[] {
  const rows = Array.from({ length: batch }, (_, seed) => inputs[input](vocab, seed + 1));
  const pairs = modes.map((mode) => {
    const pair = pairOf(rows, vocab, mode);
    for (let call = 0; call < 8; call++) {
      pair.ours(batch);
      pair.javascript(batch);
    }
    const callsFor = (run: Run): number => Math.max(1, Math.ceil(targetMs / time(run, batch) / batch)) * batch;
    return {
      mode,
      pair,
      calls: { ours: callsFor(pair.ours), javascript: callsFor(pair.javascript) },
      samples: { ours: [] as number[], javascript: [] as number[], ratio: [] as number[] },
    };
  });
  for (let round = 0; round < rounds; round++) {
    for (const { pair, calls, samples } of pairs) {
      const once = (who: keyof Pair): number => {
        const took = time(pair[who], calls[who]);
        samples[who].push(took);
        return took;
      };
      if (round % 2 === 0) {
        const ours = once("ours");
        samples.ratio.push(ours / once("javascript"));
      } else {
        const javascript = once("javascript");
        samples.ratio.push(once("ours") / javascript);
      }
    }
  }
  return pairs.map(({ mode, samples }) => ({
    mode,
    ours: summarize(samples.ours),
    javascript: summarize(samples.javascript),
    ratio: summarize(samples.ratio),
  }));
}

function main(): number {
  const { options, help } = parseCommandLine(process.argv.slice(2), {}, CPU_DEFAULTS);
  if (help) {
    console.log(USAGE);
    return 0;
  }
  console.log(`Node ${process.version}; ${options.rounds} rounds; CPU time, median (quartiles)`);
  for (const shape of options.shapes) {
    for (const input of options.inputs) {
      const figures = measure(input, shape, options.modes, options.rounds, options.targetMs);
      const lines = tableOf(
        ["mode", "ours, ms a row", "JavaScript, ms a row", "ours / JavaScript"],
        figures.map(({ mode, ours, javascript, ratio }) => [
          MODE_LABELS[mode],
          spread(ours),
          spread(javascript),
          spread(ratio),
        ]),
      );
      console.log(`\n${input}, vocabulary ${shape.vocab.toLocaleString("en")}, ${shape.batch} rows\n`);
      console.log(lines.join("\n"));
    }
  }
  return 0;
}

try {
  process.exitCode = main();
} catch (error) {
  console.error(error instanceof UsageError ? `${error.message}\n\n${USAGE}` : error);
  process.exitCode = 1;
}
