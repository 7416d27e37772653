import type { RowPlan } from "../params.ts";
import { filter, sum, weightsOf } from "./cut.ts";
import { isKept, mass } from "./mass.ts";
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
  return draw(logits, max(logits), plan, seed, position, state);
}

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
  const { cut, kept } = filter(logits, row, plan);
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

/** Draws from what the stages have left. */
function drawStaged({ tokens, weights, next }: Staged, [high, low]: readonly [number, number]): RowSample {
  const total = sum(weights);
  let rest = drawPoint(high, low, total);
  // Token ids and places in one number each, to be put in order of ids.
  const byId = Float64Array.from(tokens, (token, index) => token * tokens.length + index).sort();
  for (const joined of byId) {
    const index = joined % tokens.length;
    const weight = weights[index]!;
    if (rest < weight) return { ...sampled(tokens[index]!, weight, total), state: next(index) };
    rest -= weight;
  }
  throw new Error("unreachable: the draw point lies below the mass");
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
