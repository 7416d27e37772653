/**
 * The sampling parameters: names, defaults, validation, and the integers that both engines work with.
 *
 * Everything that a user says with a fraction becomes an integer here, once, on the host, with the rule beside the
 * code. The engines never see a probability.
 */
import { fail, flagOf, flattened, isRecord, numberOf, show } from "./check.ts";
import { OUTPUT_NAMES, type OutputParams, type OutputPlan, planOutputs, refuseOutputs } from "./outputs.ts";
import { planProcess, PROCESSING_NAMES, type ProcessingParams, type ProcessPlan } from "./processing.ts";
import { distanceOfWeight, distanceScale, MAX_DISTANCE, WEIGHT_ONE } from "./reference/numeric.ts";
import { DEFAULT_STAGES, isGreedy, planStages, STAGE_PARAMS, type StageParams, type StagePlan } from "./stages.ts";

/**
 * What a row is sampled with. Every field may be left out; one that can be read counts, whether it is the object's own,
 * inherited or an accessor.
 */
export interface SamplingParams extends ProcessingParams, StageParams, OutputParams {
  /**
   * Divides the logits: below 1 sharper, above 1 flatter. Finite, at least 0. Below 1e-5 the row is greedy: the most
   * probable token, the lowest id among equals, no random number. Default 1.
   */
  readonly temperature?: number;
  /** Keeps the `topK` most probable tokens (Fan et al. 2018), exactly that many. Integer, at least 0; 0 is off. Default 0. */
  readonly topK?: number;
  /**
   * Keeps the shortest run of most probable tokens whose probability reaches `topP`, at least one (nucleus sampling,
   * Holtzman et al. 2020). From 0 to 1; 1 is off, 0 keeps one token. Default 1.
   */
  readonly topP?: number;
  /**
   * Keeps the tokens at least `minP` times as probable as the most probable one (Nguyen et al. 2024). From 0 to 1;
   * 0 is off. Default 0.
   */
  readonly minP?: number;
  /**
   * Seed of the row's random stream, an integer from 0 to 2^64 - 1 (a `number` only up to 2^53 - 1). Rows that share
   * a seed and a position share their random number. Left out, the row has a random seed of its own, the same for the
   * sampler's life.
   */
  readonly seed?: bigint | number;
  /**
   * Which number of the row's random stream this call uses, from 0 to 2^64 - 1. Left out, one more than in the last
   * call for this row, and 0 in the first. A given position also moves the row there: the next call goes on after it.
   */
  readonly position?: bigint | number;
  /**
   * How many tokens are drawn from the row, in one step of its random stream: the first is that of a call without `draws`,
   * and the one that history and state learn of. The same for all rows of a call. Integer from 1 to 64. Default 1.
   */
  readonly draws?: number;
  /**
   * Whether a token may be drawn again. If not, each draw is from what those before it have left, with the same weights, as in
   * `torch.multinomial`; where nothing is left, there is no token. Default true.
   */
  readonly replacement?: boolean;
}

/** One row's parameters as integers: what the engines decide on. */
export interface RowPlan {
  /** Keep the best token only; nothing below matters then. */
  readonly greedy: boolean;
  /** How many tokens to keep at most; {@link TOP_K_OFF} for all. */
  readonly topK: number;
  /** Nucleus share `round(p · 2^32) - 2^12`, at least 1; {@link TOP_P_OFF} for all. */
  readonly topP: number;
  /** Largest distance that min-p keeps, at `filterScale`; `MAX_DISTANCE` for all. */
  readonly minPDistance: number;
  /** Whether the mass that top-p measures leaves out what min-p removes. */
  readonly minPFirst: boolean;
  /** Distance scale at which top-p and min-p see the row. */
  readonly filterScale: number;
  /** Distance scale at which the token is drawn. */
  readonly drawScale: number;
  /** The stages, where they are more than top-k, top-p and min-p; these count then, and not the fields above. */
  readonly stages: StagePlan | undefined;
  /** `undefined`: a seed of the sampler's and the row's. */
  readonly seed: bigint | undefined;
  /** `undefined`: where the row's counter stands. */
  readonly position: bigint | undefined;
  /** How many tokens are drawn. */
  readonly draws: number;
  /** Whether one may be drawn again. */
  readonly replacement: boolean;
  /** What happens to the logits before they are ordered; `undefined`: nothing. */
  readonly process: ProcessPlan | undefined;
  /** What is told of the row besides its token; `undefined`: nothing. */
  readonly outputs: OutputPlan | undefined;
}

/** What a sampler can do for a row's parameters. */
export interface Abilities {
  /** Tokens that a row's history holds; 0: there is none. */
  readonly maxHistory: number;
  /** Whether it can read a GPU buffer. */
  readonly gpu: boolean;
  /** How messages name what gives no numbers about tokens; left out, it does. */
  readonly silent?: string;
}

/** `RowPlan.topK` when top-k is off. */
export const TOP_K_OFF = 0xffff_ffff;
/** `RowPlan.topP` when top-p is off. */
export const TOP_P_OFF = 0xffff_ffff;
/** Smallest `RowPlan.topP`. */
const LEAST_SHARE = 1;

/** Tokens that are drawn from a row at most; so many does `shaders/draws.wgsl` have room for. */
const MOST_DRAWS = 64;

/** What a parameter belongs to: bits, so that a row's parameters can be added up. */
const BASIC = 1;
const STAGE = 2;
const PROCESSING = 4;
const OUTPUT = 8;
const NAMES: ReadonlyMap<string, number> = new Map<keyof SamplingParams, number>([
  ...(["temperature", "topK", "topP", "minP", "seed", "position", "draws", "replacement"] as const).map(
    (name) => [name, BASIC] as const,
  ),
  ...STAGE_PARAMS.map((name) => [name, STAGE] as const),
  ...PROCESSING_NAMES.map((name) => [name, PROCESSING] as const),
  ...OUTPUT_NAMES.map((name) => [name, OUTPUT] as const),
]);
/** Names of {@link SamplingParams}. */
export const PARAM_NAMES: readonly string[] = [...NAMES.keys()];

/**
 * Checks one row's parameters and turns them into integers.
 *
 * @param vocabSize tokens in a row; a top-k of as many is off
 * @param at how messages name this object, `"params"` or `"params[3]"`
 * @param row the row's place in the call, and how many there are, for masks that hold all rows; left out, the parameters are
 * those of a single row
 * @throws TypeError for a wrong type or an unknown name, RangeError for a value that is not allowed
 */
export function planRow(
  params: SamplingParams,
  vocabSize: number,
  at = "params",
  row?: { readonly index: number; readonly of: number },
): RowPlan {
  if (!isRecord(params)) {
    throw new TypeError(`${at}: expected an object of sampling parameters, got ${show(params)}`);
  }
  let groups = 0;
  for (const name of Object.getOwnPropertyNames(flattened(params, PARAM_NAMES))) {
    const group = NAMES.get(name);
    if (group === undefined) {
      throw new TypeError(`${at}.${name}: unknown parameter; known are ${PARAM_NAMES.join(", ")}`);
    }
    groups |= group;
  }
  const temperature = numberOf(params.temperature, 1, `${at}.temperature`);
  if (!(temperature >= 0 && temperature < Infinity))
    fail(`${at}.temperature`, temperature, "a finite number, 0 or more");
  const topK = numberOf(params.topK, 0, `${at}.topK`);
  if (!(Number.isInteger(topK) && topK >= 0)) fail(`${at}.topK`, topK, "an integer, 0 (off) or more");
  const topP = numberOf(params.topP, 1, `${at}.topP`);
  if (!(topP >= 0 && topP <= 1)) fail(`${at}.topP`, topP, "a number from 0 to 1");
  const minP = numberOf(params.minP, 0, `${at}.minP`);
  if (!(minP >= 0 && minP <= 1)) fail(`${at}.minP`, minP, "a number from 0 to 1");
  const { plain, plan } =
    (groups & STAGE) === 0 ? DEFAULT_STAGES : planStages(params, { temperature, topK, topP, minP }, at);
  const seed = wideInteger(params.seed, `${at}.seed`);
  const position = wideInteger(params.position, `${at}.position`);
  const draws = numberOf(params.draws, 1, `${at}.draws`);
  if (!(Number.isInteger(draws) && draws >= 1 && draws <= MOST_DRAWS)) {
    fail(`${at}.draws`, draws, `an integer from 1 to ${MOST_DRAWS}`);
  }
  const replacement = flagOf(params.replacement, true, `${at}.replacement`);

  // The share of the mass a nucleus must reach, less 2^-20: see `massNeeded`. The least one keeps one token.
  const share = Math.max(LEAST_SHARE, Math.round(topP * 2 ** 32) - 2 ** 12);
  const greedy = isGreedy(temperature, params);
  // A scale of 0 says greedy. Anything so small puts all tokens at no distance, too.
  const drawScale = greedy ? 0 : Math.max(distanceScale(temperature), 2 ** -126);
  return {
    greedy,
    topK: topK === 0 || topK >= vocabSize ? TOP_K_OFF : topK,
    topP: topP === 1 ? TOP_P_OFF : share,
    minPDistance: minPDistanceOf(minP),
    minPFirst: plain === "vllm",
    filterScale: plain === "llama.cpp" ? distanceScale(1) : drawScale,
    drawScale,
    stages: greedy ? undefined : plan,
    seed,
    position,
    draws,
    replacement,
    process: (groups & PROCESSING) === 0 ? undefined : planProcess(params, vocabSize, at, row),
    outputs: (groups & OUTPUT) === 0 ? undefined : planOutputs(params, vocabSize, at),
  };
}

/** The last min-p that was asked for, and its distance, which takes longer than all else: rows mostly have the same. */
let lastMinP = 0;
let lastMinPDistance = MAX_DISTANCE;

/** minP · (1 - 2^-20) of the largest weight, rounded down: a token whose ratio *is* minP stays in spite of rounding. */
function minPDistanceOf(minP: number): number {
  if (minP !== lastMinP) {
    lastMinPDistance = minP === 0 ? MAX_DISTANCE : distanceOfWeight(Math.floor(minP * (1 - 2 ** -20) * WEIGHT_ONE));
    lastMinP = minP;
  }
  return lastMinPDistance;
}

/**
 * Checks the parameters of a call: one object for all rows, or an array with one per row.
 *
 * @throws as {@link planRow}; RangeError for an array whose length is not the number of rows, and for a parameter that
 * the sampler was not made for
 */
export function planRows(
  params: SamplingParams | readonly SamplingParams[],
  rows: number,
  vocabSize: number,
  abilities: Abilities = { maxHistory: 0, gpu: false },
): RowPlan[] {
  if (!Array.isArray(params)) {
    const all = params as SamplingParams;
    const first = able(planRow(all, vocabSize, "params", { index: 0, of: rows }), "params", abilities);
    const plans = new Array<RowPlan>(rows).fill(first);
    // Only masks can differ from row to row.
    if (first.process?.allowed?.perRow === true || first.process?.banned?.perRow === true) {
      for (let index = 1; index < rows; index++) {
        plans[index] = { ...first, process: planProcess(all, vocabSize, "params", { index, of: rows }) };
      }
    }
    return shortened(plans);
  }
  if (params.length !== rows) {
    throw new RangeError(
      `params: expected one object for all rows or an array of ${rows}, got an array of ${params.length}`,
    );
  }
  // Not `map`, which passes over what is missing.
  const plans = Array.from(params as readonly SamplingParams[], (row, index) => {
    const at = `params[${index}]`;
    const plan = able(planRow(row, vocabSize, at), at, abilities);
    const draws = (params[0] as SamplingParams).draws ?? 1;
    if (plan.draws !== draws)
      fail(`${at}.draws`, plan.draws, `${draws}, as in params[0]: rows give equally many tokens`);
    return plan;
  });
  return shortened(plans);
}

/**
 * Takes the greedy path where top-k or top-p keep one token anyway. Only the token is the same: numbers are told at the
 * row's temperature, and of what was kept, so all rows go the long way where one is told of.
 */
function shortened(plans: RowPlan[]): RowPlan[] {
  if (plans.some(({ outputs }) => outputs !== undefined)) return plans;
  return plans.map((plan) => {
    const keepsOne = plan.stages === undefined && (plan.topK === 1 || plan.topP === LEAST_SHARE);
    return keepsOne && !plan.greedy ? { ...plan, greedy: true, drawScale: 0 } : plan;
  });
}

/** Says that whoever takes one token of each row cannot have several. */
export function refuseDraws(params: SamplingParams | readonly SamplingParams[] | undefined): void {
  const all = (Array.isArray(params) ? params : [params]) as readonly (SamplingParams | null | undefined)[];
  const several = all.find((row) => (row?.draws ?? 1) !== 1);
  if (several !== undefined) {
    fail("params.draws", several!.draws, "1: the text goes on with one token of each row; sample() gives more");
  }
}

/** A plan that the sampler can follow, or an error that says why not. */
function able(plan: RowPlan, at: string, { maxHistory, gpu, silent }: Abilities): RowPlan {
  const { process, outputs } = plan;
  if (silent !== undefined && outputs !== undefined) refuseOutputs(outputs, silent, at);
  if (process?.history !== undefined && maxHistory === 0) {
    throw new RangeError(
      `${at}.${process.history}: needs the token history; make the sampler with maxHistory, the tokens that a row's history holds`,
    );
  }
  for (const [name, mask] of [
    ["allowedTokens", process?.allowed],
    ["bannedTokens", process?.banned],
  ] as const) {
    if (!gpu && mask !== undefined && !(mask.source instanceof Uint32Array)) {
      throw new TypeError(`${at}.${name}: a GPUBuffer needs the "webgpu" engine; this sampler runs on "cpu"`);
    }
  }
  return plan;
}

/** A 64-bit unsigned integer given as `bigint` or as a safe `number`. */
function wideInteger(value: bigint | number | undefined, at: string): bigint | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "bigint" && typeof value !== "number") {
    throw new TypeError(`${at}: expected a bigint or an integer number, got ${show(value)}`);
  }
  if (typeof value === "number" && !Number.isSafeInteger(value))
    fail(at, value, "an integer from 0 to 2^53 - 1 (a bigint for more)");
  if (value < 0 || value > 0xffff_ffff_ffff_ffffn) fail(at, value, "an integer from 0 to 2^64 - 1");
  return BigInt(value);
}
