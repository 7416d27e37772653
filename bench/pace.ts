/** How often someone is called: the less, the longer a call takes. */
import type { InputName } from "../test/support/inputs.ts";
import type { Contender, Logits } from "./run.ts";
import { median } from "./statistics.ts";

/** Who needs longer than this for a call is called once in each of two rounds only. */
const SLOW_MS = 250;
/** Who needs longer than this is called once; who would, by what other rows took, not at all. */
const TOO_SLOW_MS = 5000;
/** Who needs longer than this is not called several times in flight: waiting is no part of it. */
export const IN_FLIGHT_MS = 100;
/** Calls in flight at once; only for single rows, where waiting is most of the time. */
export const IN_FLIGHT = 8;
const IN_FLIGHT_BATCH = 1;

/** `once`: the call that showed how long it takes counts, and there is no other. */
export type Pace = "full" | "slow" | "once" | "stopped";

export const paceOf = (time: number): Pace => (time > TOO_SLOW_MS ? "once" : time < SLOW_MS ? "full" : "slow");

/** Whether someone at this pace is called in a round. */
export const isCalled = (pace: Pace, round: number): boolean => pace === "full" || (pace === "slow" && round < 2);

export const isInFlight = (pace: Pace, batch: number, time: number): boolean =>
  pace === "full" && batch <= IN_FLIGHT_BATCH && time <= IN_FLIGHT_MS;

type Who = Pick<Contender, "who" | "mode">;
type Rows = Pick<Logits, "input" | "vocab" | "batch">;

const seconds = (milliseconds: number): string => `${Number((milliseconds / 1000).toPrecision(2))} s`;

/** What is known of everyone from the cases before, in runs that belong together. */
export class Paces {
  readonly #known = new Map<string, { input: InputName; batch: number; time: number }>();

  /** @param times of calls, in milliseconds; none where nothing was measured */
  learn(who: Who, { input, vocab, batch }: Rows, times: readonly number[]): void {
    if (times.length > 0) this.#known.set(keyOf(who, vocab), { input, batch, time: median(times) });
  }

  /** Why someone is not even tried: as many rows would take too long, by what others of the same length took. */
  refusal(who: Who, { vocab, batch }: Rows): string | undefined {
    const known = this.#known.get(keyOf(who, vocab));
    if (known === undefined) return undefined;
    const expected = (known.time * batch) / known.batch;
    if (expected <= TOO_SLOW_MS) return undefined;
    const took = `${known.batch} ${known.input} row${known.batch === 1 ? "" : "s"} took ${seconds(known.time)}`;
    return `not measured: ${took}${batch === known.batch ? "" : `, so ${batch} would take some ${seconds(expected)}`}`;
  }
}

const keyOf = ({ who, mode }: Who, vocab: number): string => `${who}, ${mode}, ${vocab}`;

/**
 * Two calls before anything is measured, unless someone is known to be too slow. The first one compiles, loads and
 * allocates, and counts for nothing; what follows is decided by the second.
 *
 * @returns notes, and the time of the call where there will be no other
 */
export async function warmUp(
  contender: Contender,
  logits: Rows,
  paces: Paces,
): Promise<{ pace: Pace; notes: string[]; time?: number }> {
  const { tokens, row } = contender;
  await row?.(0);
  if (tokens === undefined) return { pace: "full", notes: [] };
  const reason = paces.refusal(contender, logits);
  if (reason !== undefined) return { pace: "stopped", notes: [reason] };
  try {
    await tokens(1);
    const time = await stopwatch(() => tokens(1));
    const pace = paceOf(time);
    if (isInFlight(pace, logits.batch, time)) await tokens(IN_FLIGHT);
    if (pace === "once") return { pace, notes: ["called once, after a first call that does not count"], time };
    return { pace, notes: pace === "slow" ? ["called once in each of two rounds"] : [] };
  } catch (error) {
    return { pace: "stopped", notes: [failure(contender, "before it was measured", error)] };
  }
}

/**
 * What is noted of a peer that failed.
 *
 * @throws the error, if it is one of ours: then there is nothing to report
 */
export function failure({ isPeer }: Contender, when: string, error: unknown): string {
  if (isPeer !== true) throw error;
  return `failed ${when}: ${error instanceof Error ? error.message : String(error)}`;
}

export async function stopwatch(work: () => unknown): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}
