/**
 * What a call gives besides tokens: names, validation, and the plan that both engines work with; see "Numbers out" in
 * `docs/rules.md`.
 */
import { fail, flagOf, numberOf, oneOf, show } from "./check.ts";
import { idsOf, type TokenList } from "./processing.ts";
import type { RowPlan } from "./params.ts";
import type { TokenLogprobs } from "./reference/report.ts";

/** Which distribution log probabilities belong to. */
export type LogprobsMode = "kept" | "processed" | "raw";

/** What a call tells about its rows, besides their tokens. Every field may be left out, and costs nothing then. */
export interface OutputParams {
  /**
   * Which distribution `logprobs`, `topLogprobs`, `tokenLogprobs` and `entropies` belong to. `"raw"`: the logits as they are
   * given, at temperature 1. `"processed"`: after bans, bias and penalties, at the row's temperature. `"kept"`: after the
   * filters, renormalised. In a greedy row the last two are at temperature 1 and over all tokens, so that they still
   * say what the model thought; only `logprobs` of `"kept"` is 0 there. With `adaptiveP`, `logprobs` of `"kept"` is that of the
   * draw, and all else that of the kept tokens before it. Default `"kept"`.
   */
  readonly logprobs?: LogprobsMode;
  /** How many of the most probable tokens are listed with their log probabilities. Integer from 0 to 32. Default 0. */
  readonly topLogprobs?: number;
  /** Tokens whose log probabilities are wanted, whatever is drawn. Up to 1024 ids. */
  readonly logprobTokens?: TokenList;
  /** Whether the ranks of the drawn tokens are wanted. Default false. */
  readonly rank?: boolean;
  /** Whether entropies, numbers of kept tokens, and what they have of the probability are wanted. Default false. */
  readonly entropy?: boolean;
}

/** What a call tells about its rows where it is asked to; see {@link OutputParams}. */
export interface SampleOutputs {
  /** The `topLogprobs` most probable tokens of the distribution that `logprobs` names, most probable first, fewer if it has fewer. `[rows]` */
  readonly topLogprobs?: readonly TokenLogprobs[];
  /** Log probabilities of `logprobTokens`, in their order; `-Infinity` for a token that the distribution does not have. `[rows]` */
  readonly tokenLogprobs?: readonly Float32Array[];
  /**
   * Place of the drawn token among all candidates, most probable first, from 1: before the filters, and for `logprobs: "raw"`
   * before everything. 0 where there is no token. `[rows, draws]`
   */
  readonly ranks?: Uint32Array;
  /** Entropy, in nats, of the distribution that `logprobs` names; `NaN` where that has no token. `[rows]` */
  readonly entropies?: Float32Array;
  /** How many tokens the filters keep. `[rows]` */
  readonly keptCounts?: Uint32Array;
  /** Probability of the kept tokens before the filters, at the temperature of the draw (greedy: 1). `[rows]` */
  readonly keptMasses?: Float32Array;
}

/** What a row is asked for; `undefined` in a row's plan if it is its token alone. */
export interface OutputPlan {
  /** Which distribution is told of. */
  readonly mode: LogprobsMode;
  /** How many of the most probable tokens are listed. */
  readonly top: number;
  /** Tokens whose log probabilities are wanted. */
  readonly chosen: Uint32Array;
  /** Whether ranks are wanted. */
  readonly rank: boolean;
  /** Whether the entropy, and number and mass of the kept tokens are wanted. */
  readonly entropy: boolean;
  /** Whether the draw weighs by something else than probability, as adaptive-p does. */
  readonly adapted: boolean;
}

/** Tokens that are listed at most. */
const MOST_TOP = 32;
/** Tokens that can be asked for at most. */
const MOST_CHOSEN = 1024;

const MODES: readonly LogprobsMode[] = ["kept", "processed", "raw"];

/** Names of {@link OutputParams}. */
export const OUTPUT_NAMES: readonly (keyof OutputParams)[] = [
  "logprobs",
  "topLogprobs",
  "logprobTokens",
  "rank",
  "entropy",
];

const NOTHING: OutputPlan = {
  mode: "kept",
  top: 0,
  chosen: new Uint32Array(0),
  rank: false,
  entropy: false,
  adapted: false,
};

/** Checks what a row is asked for. `at` is how messages name the parameters. */
export function planOutputs(params: OutputParams, vocabSize: number, at: string): OutputPlan | undefined {
  const mode = oneOf(`${at}.logprobs`, params.logprobs, MODES);
  const top = numberOf(params.topLogprobs, 0, `${at}.topLogprobs`);
  if (!(Number.isInteger(top) && top >= 0 && top <= MOST_TOP)) {
    fail(`${at}.topLogprobs`, top, `an integer from 0 to ${MOST_TOP}`);
  }
  const chosen = idsOf(params.logprobTokens, vocabSize, `${at}.logprobTokens`);
  if (chosen.length > MOST_CHOSEN) {
    fail(`${at}.logprobTokens`, chosen.length, `at most ${MOST_CHOSEN} tokens`);
  }
  const rank = flagOf(params.rank, false, `${at}.rank`);
  const entropy = flagOf(params.entropy, false, `${at}.entropy`);
  if (mode === "kept" && top === 0 && chosen.length === 0 && !rank && !entropy) return undefined;
  return { mode, top, chosen, rank, entropy, adapted: false };
}

/** What the rows of a call are asked for; `undefined` if they are asked for nothing. What one is asked for is told of all. */
export function outputsOf(plans: readonly Pick<RowPlan, "outputs" | "stages">[]): readonly OutputPlan[] | undefined {
  const asked = plans.flatMap(({ outputs }) => outputs ?? []);
  if (asked.length === 0) return undefined;
  const rank = asked.some((plan) => plan.rank);
  const entropy = asked.some((plan) => plan.entropy);
  return plans.map(({ outputs = NOTHING, stages }) => {
    return { ...outputs, rank, entropy, adapted: stages?.stages.includes("adaptiveP") === true };
  });
}

/** Says that `by` gives no numbers about tokens, if it is asked for some. `at` is how messages name the parameters. */
export function refuseOutputs({ mode, top, chosen, rank, entropy }: OutputPlan, by: string, at: string): never {
  const asked: readonly (readonly [name: keyof OutputParams, isAsked: boolean, value: unknown])[] = [
    ["logprobs", mode !== "kept", mode],
    ["topLogprobs", top > 0, top],
    ["logprobTokens", chosen.length > 0, chosen],
    ["rank", rank, rank],
    ["entropy", entropy, entropy],
  ];
  const [name, , value] = asked.find(([, isAsked]) => isAsked)!;
  throw new TypeError(`${at}.${name}: ${by} gives no numbers about tokens, got ${show(value)}; ask sample() for them`);
}
