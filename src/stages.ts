/**
 * The stages between processed logits and the draw: their names, their order, validation, and the integers that both
 * engines work with.
 */
import { fail, numberOf, show } from "./check.ts";
import { GREEDY_TEMPERATURE, WEIGHT_ONE } from "./reference/numeric.ts";

/** One stage. `"joint"` is top-k and top-p, both measured on what they find (FlashInfer, SGLang). */
export type StageName =
  | "temperature"
  | "topK"
  | "topP"
  | "joint"
  | "minP"
  | "typicalP"
  | "topNSigma"
  | "epsilonCutoff"
  | "etaCutoff"
  | "topH"
  | "xtc"
  | "mirostat"
  | "adaptiveP";

/** A preset, or the names of the stages in the order in which they run; see `docs/rules.md`. */
export type SamplingOrder = "transformers" | "vllm" | "llama.cpp" | "joint" | readonly StageName[];

/** What tokens are kept by, besides top-k, top-p and min-p. Every field may be left out. */
export interface StageParams {
  /**
   * Locally typical sampling (Meister et al. 2023): keeps the tokens whose information is closest to the entropy of what is
   * left, the fewest whose probability reaches `typicalP`. From 0 to 1; 1 is off. Default 1.
   */
  readonly typicalP?: number;
  /**
   * Keeps the tokens whose logit is at most so many standard deviations below the largest (top-nσ, Tang et al. 2024). From 0
   * to 1000; 0 is off. Default 0.
   */
  readonly topNSigma?: number;
  /**
   * Keeps the tokens of at least this probability (Hewitt et al. 2022). 0 or more, below 1; 0 is off. Default 0.
   */
  readonly epsilonCutoff?: number;
  /**
   * Keeps the tokens of at least this probability, or of `sqrt(etaCutoff) · exp(-entropy)` if that is less (eta sampling,
   * Hewitt et al. 2022). 0 or more, below 1; 0 is off. Default 0.
   */
  readonly etaCutoff?: number;
  /**
   * Keeps the most probable of the first 100 tokens as long as their share of the entropy of all 100 is at most `topH`
   * (top-H, Potraghloo et al. 2025). From 0 to 1; 0 is off. Default 0.
   */
  readonly topH?: number;
  /**
   * How often XTC runs ("exclude top choices", llama.cpp): a random number of its own decides. From 0 to 1; 0 is off.
   * Default 0.
   */
  readonly xtcProbability?: number;
  /**
   * XTC drops all tokens of at least this probability but the least probable of them, so that it never leaves nothing. From
   * 0 to 1; above 0.5 there can be no two, and it is off. Default 0.1.
   */
  readonly xtcThreshold?: number;
  /** Every stage leaves at least so many tokens, if there are as many. Integer, at least 1. Default 1. */
  readonly minKeep?: number;
  /**
   * Dynamic temperature (llama.cpp): the temperature lies between `temperature - dynatempRange`, at least 0, where the model
   * is certain, and `temperature + dynatempRange`, at most 65,535, where it is as uncertain as can be. At least 0; 0 is off.
   * Default 0.
   */
  readonly dynatempRange?: number;
  /** Power to which the entropy, as a share of the largest possible, is raised for that. From 0 to 64. Default 1. */
  readonly dynatempExponent?: number;
  /**
   * Mirostat (Basu et al. 2021), version 1 or 2: cuts the row so that the information of the drawn tokens stays close to
   * `mirostatTau`. It keeps a state for each row, see `sampler.state`. 0 is off. Default 0.
   */
  readonly mirostat?: 0 | 1 | 2;
  /** Information that Mirostat aims at, in bits. From 0 to 64. Default 5. */
  readonly mirostatTau?: number;
  /** How fast Mirostat learns. From 0 to 1. Default 0.1. */
  readonly mirostatEta?: number;
  /**
   * Adaptive-p (llama.cpp): prefers tokens whose probability is close to a target that is moved so that the drawn tokens
   * have this probability on average. It keeps a state for each row, see `sampler.state`. From 0 to 1; left out, it is off.
   */
  readonly adaptiveP?: number;
  /** How much of its past adaptive-p remembers with each token. From 0 to 0.99. Default 0.9. */
  readonly adaptiveDecay?: number;
  /**
   * In which order the stages run: a preset, or their names. Default `"transformers"`.
   *
   * - `"transformers"`: temperature, topNSigma, topH, topK, topP, minP, typicalP, epsilonCutoff, etaCutoff, xtc
   * - `"vllm"`: temperature, topNSigma, minP, topK, topP, and the others as above
   * - `"llama.cpp"`: topNSigma, topK, typicalP, topP, minP, and the others as above; temperature last
   * - `"joint"`: as `"transformers"`, but top-k and top-p both see the whole row, as in SGLang
   *
   * In a list, a stage whose parameter is off does nothing, and a parameter that is on must have its stage in the list.
   * In all presets mirostat and adaptiveP come last.
   */
  readonly order?: SamplingOrder;
}

/** A probability as an integer share: `share · 2^-(32 + shift)`. */
export interface SmallShare {
  /** 32 bits. */
  readonly share: number;
  /** 0 to 31. */
  readonly shift: number;
}

/** A row's stages as integers; the twin of `Stages` in `shaders/lib/params.wgsl`. */
export interface StagePlan {
  /** Those that do something, in order. */
  readonly stages: readonly StageName[];
  /** Tokens that every stage leaves at least. */
  readonly minKeep: number;
  /** `minP` of {@link WEIGHT_ONE}. */
  readonly minPWeight: number;
  /** As `RowPlan.topP`. */
  readonly typicalP: number;
  /** Standard deviations, in 2^-16. */
  readonly nSigma: number;
  /** The epsilon cutoff. */
  readonly epsilon: SmallShare;
  /** The eta cutoff. */
  readonly eta: SmallShare;
  /** `sqrt(etaCutoff)`, in 2^-32. */
  readonly etaRoot: number;
  /** In 2^-31. */
  readonly topH: number;
  /** In 2^-32, from 0 to 2^32 - 1: runs if a random word is not larger. */
  readonly xtcProbability: number;
  /** The threshold of XTC. */
  readonly xtcThreshold: SmallShare;
  /** Lowest temperature, in 2^-16. */
  readonly dynatempLeast: number;
  /** How much it may be more, in 2^-16; 0 if the temperature is what it is. */
  readonly dynatempSpan: number;
  /** In 2^-16. */
  readonly dynatempExponent: number;
  /** Version of Mirostat; 0 is off. */
  readonly mirostat: 0 | 1 | 2;
  /** In 2^-20 octaves. */
  readonly mirostatTau: number;
  /** In 2^-16. */
  readonly mirostatEta: number;
  /** In 2^-31. */
  readonly adaptiveTarget: number;
  /** In 2^-32. */
  readonly adaptiveDecay: number;
}

/** What the stages have to know of the parameters that are not their own. */
export interface BasicParams {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
}

/** Names of the parameters. */
export const STAGE_PARAMS: readonly (keyof StageParams)[] = [
  "typicalP",
  "topNSigma",
  "epsilonCutoff",
  "etaCutoff",
  "topH",
  "xtcProbability",
  "xtcThreshold",
  "minKeep",
  "dynatempRange",
  "dynatempExponent",
  "mirostat",
  "mirostatTau",
  "mirostatEta",
  "adaptiveP",
  "adaptiveDecay",
  "order",
];

/** Names of the stages; the numbers that the kernel knows them by are their places here, from 1. */
export const STAGES: readonly StageName[] = [
  "temperature",
  "topK",
  "topP",
  "joint",
  "minP",
  "typicalP",
  "topNSigma",
  "epsilonCutoff",
  "etaCutoff",
  "topH",
  "xtc",
  "mirostat",
  "adaptiveP",
];

const CUTOFFS: readonly StageName[] = ["epsilonCutoff", "etaCutoff"];
const LATER: readonly StageName[] = ["typicalP", ...CUTOFFS, "xtc"];
const LAST: readonly StageName[] = ["mirostat", "adaptiveP"];
const PRESETS: Readonly<Record<string, readonly StageName[]>> = {
  transformers: ["temperature", "topNSigma", "topH", "topK", "topP", "minP", ...LATER, ...LAST],
  vllm: ["temperature", "topNSigma", "minP", "topK", "topP", "topH", ...LATER, ...LAST],
  "llama.cpp": ["topNSigma", "topK", "typicalP", "topP", "minP", "topH", ...CUTOFFS, "xtc", "temperature", ...LAST],
  joint: ["temperature", "topNSigma", "topH", "joint", "minP", ...LATER, ...LAST],
};

/** The orders that need nothing but top-k, top-p and min-p, each keeping the most probable of what it finds. */
const PLAIN: Readonly<Record<"transformers" | "vllm" | "llama.cpp", readonly StageName[]>> = {
  transformers: ["temperature", "topK", "topP", "minP"],
  vllm: ["temperature", "minP", "topK", "topP"],
  "llama.cpp": ["topK", "topP", "minP", "temperature"],
};

/** The stages of a row. */
export interface RowStages {
  /** Which of the three plain orders it is; undefined if it is none of them. */
  readonly plain: keyof typeof PLAIN | undefined;
  /** For those that are not plain. */
  readonly plan: StagePlan | undefined;
}

/** The stages of a row that says nothing of them. */
export const DEFAULT_STAGES: RowStages = { plain: "transformers", plan: undefined };

/**
 * Checks a row's stages and turns their parameters into integers.
 *
 * @param basic the parameters that have been checked elsewhere
 * @param at how messages name the parameter object
 */
export function planStages(params: StageParams, basic: BasicParams, at: string): RowStages {
  const number = (name: keyof StageParams, fallback: number, most: number, integer = false, least = 0): number => {
    const value = numberOf(params[name] as number | undefined, fallback, `${at}.${name}`);
    if (!(value >= least && value <= most) || (integer && !Number.isInteger(value)))
      fail(`${at}.${name}`, value, `${integer ? "an integer" : "a number"} from ${least} to ${most}`);
    return value;
  };
  const cutoff = (name: "epsilonCutoff" | "etaCutoff"): number => {
    const value = numberOf(params[name], 0, `${at}.${name}`);
    if (!(value >= 0 && value < 1)) fail(`${at}.${name}`, value, "a number from 0 up, below 1");
    return value;
  };
  const typicalP = number("typicalP", 1, 1);
  const topNSigma = number("topNSigma", 0, 1000);
  const epsilon = cutoff("epsilonCutoff");
  const eta = cutoff("etaCutoff");
  const topH = number("topH", 0, 1);
  const xtcProbability = number("xtcProbability", 0, 1);
  const xtcThreshold = number("xtcThreshold", 0.1, 1);
  const minKeep = number("minKeep", 1, 2 ** 22, true, 1);
  const range = number("dynatempRange", 0, 65_535);
  const exponent = number("dynatempExponent", 1, 64);
  const mirostat = number("mirostat", 0, 2, true) as 0 | 1 | 2;
  const tau = number("mirostatTau", 5, 64);
  const learning = number("mirostatEta", 0.1, 1);
  const target = params.adaptiveP === undefined ? undefined : number("adaptiveP", 0, 1);
  const decay = number("adaptiveDecay", 0.9, 0.99);
  if (mirostat !== 0 && target !== undefined) {
    fail(`${at}.adaptiveP`, target, "nothing beside mirostat: both of them choose how probable a token is drawn");
  }
  if (range > 0 && basic.temperature + range > 65_535) {
    fail(`${at}.dynatempRange`, range, `at most 65535 together with the temperature, ${basic.temperature}`);
  }

  const on: Readonly<Record<StageName, boolean>> = {
    temperature: basic.temperature !== 1 || range > 0,
    topK: basic.topK !== 0,
    topP: basic.topP !== 1,
    joint: basic.topK !== 0 || basic.topP !== 1,
    minP: basic.minP !== 0,
    typicalP: typicalP !== 1,
    topNSigma: topNSigma !== 0,
    epsilonCutoff: epsilon !== 0,
    etaCutoff: eta !== 0,
    topH: topH !== 0,
    xtc: xtcProbability !== 0 && xtcThreshold <= 0.5,
    mirostat: mirostat !== 0,
    adaptiveP: target !== undefined,
  };
  const stages = orderOf(params.order, on, `${at}.order`)
    .filter((stage) => on[stage])
    // With one of the two alone there is nothing joint about them.
    .map((stage) => (stage !== "joint" || (on.topK && on.topP) ? stage : on.topK ? "topK" : "topP"));
  const plain = minKeep === 1 && range === 0 ? plainOrder(stages) : undefined;
  if (plain !== undefined) return { plain, plan: undefined };
  const least = Math.max(0, basic.temperature - range);
  return {
    plain,
    plan: {
      stages,
      minKeep,
      minPWeight: Math.floor(basic.minP * (1 - 2 ** -20) * WEIGHT_ONE),
      typicalP: Math.max(0, Math.round(typicalP * 2 ** 32) - 2 ** 12),
      nSigma: Math.round(topNSigma * 2 ** 16),
      epsilon: smallShare(epsilon),
      eta: smallShare(eta),
      etaRoot: Math.floor(Math.sqrt(eta) * (1 - 2 ** -20) * 2 ** 32),
      topH: Math.round(topH * 2 ** 31),
      xtcProbability: Math.min(Math.round(xtcProbability * 2 ** 32), 2 ** 32 - 1),
      xtcThreshold: smallShare(xtcThreshold),
      dynatempLeast: Math.round(least * 2 ** 16),
      dynatempSpan:
        range === 0 ? 0 : Math.max(1, Math.round((basic.temperature + range) * 2 ** 16) - Math.round(least * 2 ** 16)),
      dynatempExponent: Math.round(exponent * 2 ** 16),
      mirostat,
      mirostatTau: Math.round(tau * 2 ** 20),
      mirostatEta: Math.round(learning * 2 ** 16),
      adaptiveTarget: Math.round((target ?? 0) * 2 ** 31),
      adaptiveDecay: Math.round(decay * 2 ** 32),
    },
  };
}

/** Whether a row is greedy for want of a temperature; a dynamic one may rise. */
export function isGreedy(temperature: number, { dynatempRange = 0 }: StageParams): boolean {
  return temperature < GREEDY_TEMPERATURE && !(dynatempRange > 0);
}

/** The stages that an order names; a list has been checked then. */
function orderOf(
  order: SamplingOrder | undefined,
  on: Readonly<Record<StageName, boolean>>,
  at: string,
): readonly StageName[] {
  if (!Array.isArray(order)) {
    const name = (order === undefined ? "transformers" : order) as string;
    if (typeof name === "string" && Object.hasOwn(PRESETS, name)) return PRESETS[name]!;
    const error = `${at}: expected one of ${Object.keys(PRESETS).map(show).join(", ")}, or a list of stages, got ${show(order)}`;
    throw typeof order === "string" ? new RangeError(error) : new TypeError(error);
  }
  const list = order as readonly StageName[];
  const refuse = (allowed: string): never => {
    throw new RangeError(`${at}: expected ${allowed}, got ${list.map(show).join(", ") || "an empty list"}`);
  };
  const seen = new Set<StageName>();
  for (const [index, stage] of list.entries()) {
    if (!STAGES.includes(stage)) fail(`${at}[${index}]`, stage, `a stage: one of ${STAGES.map(show).join(", ")}`);
    if (seen.has(stage)) fail(`${at}[${index}]`, stage, "every stage once");
    seen.add(stage);
  }
  if (seen.has("joint") && (seen.has("topK") || seen.has("topP"))) {
    refuse('"joint", or "topK" and "topP", not both');
  }
  if (seen.has("adaptiveP") && list.at(-1) !== "adaptiveP") refuse('"adaptiveP" in the last place');
  for (const stage of STAGES) {
    const done = stage === "topK" || stage === "topP" ? "joint" : stage;
    if (on[stage] && stage !== "joint" && !seen.has(stage) && !seen.has(done)) {
      refuse(`${show(stage)} in the list, since its parameter is on`);
    }
  }
  return list;
}

/** Which plain order does the same as these stages, all of which are on. */
function plainOrder(stages: readonly StageName[]): keyof typeof PLAIN | undefined {
  for (const name of Object.keys(PLAIN) as (keyof typeof PLAIN)[]) {
    const places = stages.map((stage) => PLAIN[name].indexOf(stage));
    if (places.every((place, index) => place >= 0 && (index === 0 || place > places[index - 1]!))) return name;
  }
  return undefined;
}

/** A probability with 32 significant bits, a millionth less than it is: what *is* the probability counts as reaching it. */
function smallShare(probability: number): SmallShare {
  const least = probability * (1 - 2 ** -20);
  if (least === 0) return { share: 0, shift: 0 };
  let shift = 0;
  while (shift < 31 && least * 2 ** (shift + 1) < 1) shift++;
  return { share: Math.min(Math.floor(least * 2 ** (32 + shift)), 2 ** 32 - 1), shift };
}
