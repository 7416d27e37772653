import type { RowPlan } from "../params.ts";
import { narrow, sum, weightsOf } from "./cut.ts";
import { type Cut, isKept, mass } from "./mass.ts";
import { GROUP_SIZE, max, type RowMax } from "./max.ts";
import { clampLogit, distance, drawPoint, exp2fix, NO_TOKEN, WEIGHT_ONE } from "./numeric.ts";
import { uniformOf } from "./philox.ts";
import { type RowState, stages, type Staged } from "./stages.ts";

/** Why a row has the token it has: `"ok"`; or no candidate, because all was masked, or because `NaN`s left none. */
export type RowStatus = "ok" | "masked" | "nan";

/** One sampled row. */
export interface RowSample {
  /** The token, or `NO_TOKEN` (0xFFFFFFFF) when the row has no candidate. */
  readonly token: number;
  /** Why it has that token, or none. */
  readonly status: RowStatus;
  /** Weight of the token; 0 without one. */
  readonly weight: number;
  /** Sum of the weights of all kept tokens; 0 without one. */
  readonly mass: number;
  /** What the row keeps for its next token; only where the plan has stages. */
  readonly state?: RowState;
}

/**
 * Samples one row: the contract from end to end.
 *
 * @param logits one row, `[vocabSize]`, processed (see `processed`) if the plan asks for it
 * @param plan see `planRow`
 * @param seed the row's seed, 64 bits
 * @param position which number of the seed's stream to use, 64 bits
 * @param state what the row's last token has left, for the stages that keep a state
 */
export function sampleRow(
  logits: Float32Array,
  plan: RowPlan,
  seed: bigint,
  position: bigint,
  state?: RowState,
): RowSample {
  const groups = Math.ceil(logits.length / GROUP_SIZE);
  if (delegates.length !== groups) delegates = new Float32Array(groups);
  return draw(logits, max(logits, delegates), plan, seed, position, state);
}

/** Scratch for rows of the last vocabulary. */
let delegates = new Float32Array(0);

/** Filters a row and draws its token. The twin of `shaders/draw.wgsl`. */
export function draw(
  logits: Float32Array,
  row: RowMax,
  plan: RowPlan,
  seed: bigint,
  position: bigint,
  state?: RowState,
): RowSample {
  if (row.max === -Infinity) {
    return { token: NO_TOKEN, status: logits.some(Number.isNaN) ? "nan" : "masked", weight: 0, mass: 0 };
  }
  if (plan.greedy) return sampled(best(logits, row), WEIGHT_ONE, WEIGHT_ONE);
  if (plan.stages !== undefined) {
    return drawStaged(stages(logits, row, plan, seed, position, state), uniformOf(seed, position));
  }

  const [high, low] = uniformOf(seed, position);
  const { cut, kept, count, weights, mass: known } = narrow(logits, row, plan);
  if (count !== undefined) {
    const total = count * WEIGHT_ONE;
    return sampled(Math.floor(drawPoint(high, low, total) / WEIGHT_ONE), WEIGHT_ONE, total);
  }
  if (known !== undefined && weights !== undefined && plan.drawScale === plan.filterScale) {
    return drawWeighed(logits, row, cut, weights, known, drawPoint(high, low, known));
  }
  if (kept !== undefined) {
    kept.sort();
    const weights = weightsOf(logits, row.max, kept, plan.drawScale);
    const total = sum(weights);
    let rest = drawPoint(high, low, total);
    for (let index = 0; index < kept.length; index++) {
      const weight = weights[index]!;
      if (rest < weight) return sampled(kept[index]!, weight, total);
      rest -= weight;
    }
  } else {
    const masses = new Float64Array(row.delegates.length);
    const total = mass(logits, row, plan.drawScale, cut, masses);
    let rest = drawPoint(high, low, total);
    let group = 0;
    while (rest >= masses[group]!) rest -= masses[group++]!;
    for (let id = group * GROUP_SIZE; id < logits.length; id++) {
      if (!isKept(logits[id]!, id, cut)) continue;
      const weight = exp2fix(distance(row.max, clampLogit(logits[id]!), plan.drawScale));
      if (rest < weight) return sampled(id, weight, total);
      rest -= weight;
    }
  }
  throw new Error("unreachable: the draw point lies below the mass");
}

/** Draws by weights that are known already. */
function drawWeighed(
  logits: Float32Array,
  { delegates }: RowMax,
  cut: Cut,
  weights: Float64Array,
  total: number,
  point: number,
): RowSample {
  let rest = point;
  for (let group = 0; group < delegates.length; group++) {
    if (delegates[group]! < cut.logit) continue;
    const start = group * GROUP_SIZE;
    const end = Math.min(start + GROUP_SIZE, logits.length);
    const sum = keptWeight(logits, start, end, cut, weights);
    if (rest >= sum) {
      rest -= sum;
      continue;
    }
    for (let id = start; id < end; id++) {
      if (!isKept(logits[id]!, id, cut)) continue;
      if (rest < weights[id]!) return sampled(id, weights[id]!, total);
      rest -= weights[id]!;
    }
  }
  throw new Error("unreachable: the draw point lies below the mass");
}

/** The sum of the kept weights from `start` up to `end`. Which are kept is a factor, since a branch could not be predicted. */
function keptWeight(logits: Float32Array, start: number, end: number, cut: Cut, weights: Float64Array): number {
  const { logit: least, id: last } = cut;
  let sum = 0;
  for (let id = start; id < end; id++) {
    const z = logits[id]!;
    sum += weights[id]! * Number(z > least);
    if (z === least && id <= last) sum += weights[id]!;
  }
  return sum;
}

/** Draws from what the stages have left. */
function drawStaged(staged: Staged, [high, low]: readonly [number, number]): RowSample {
  const { tokens, weights, places } = inIdOrder(staged);
  const total = sum(weights);
  const index = indexAt(weights, drawPoint(high, low, total));
  return { ...sampled(tokens[index]!, weights[index]!, total), state: staged.next(places[index]!) };
}

/** A copy in the order in which a draw walks through tokens; and where in the list each was. */
export function inIdOrder({ tokens, weights }: Pick<Staged, "tokens" | "weights">): {
  readonly tokens: Uint32Array;
  readonly weights: Uint32Array;
  readonly places: Uint32Array;
} {
  // Token ids and places in one number each.
  const joined = Float64Array.from(tokens, (token, place) => token * tokens.length + place).sort();
  const places = Uint32Array.from(joined, (number) => number % tokens.length);
  return {
    tokens: places.map((place) => tokens[place]!),
    weights: places.map((place) => weights[place]!),
    places,
  };
}

/** The first place whose running sum is greater than the draw point. */
export function indexAt(weights: Uint32Array, point: number): number {
  let rest = point;
  let index = 0;
  for (; rest >= weights[index]!; index++) rest -= weights[index]!;
  return index;
}

/** The first token of the ordered row. */
export function best(logits: Float32Array, { max, delegates }: RowMax): number {
  let id = delegates.indexOf(max) * GROUP_SIZE;
  while (!(logits[id]! >= max)) id++;
  return id;
}

function sampled(token: number, weight: number, mass: number): RowSample {
  return { token, status: "ok", weight, mass };
}

/** Natural logarithm of the probability a token was drawn with, as float32; `NaN` for a row without a token. */
export function logprobOf({ weight, mass }: RowSample): number {
  return Math.fround(Math.log(weight / mass));
}
