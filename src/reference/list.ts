import type { RowPlan } from "../params.ts";
import { filter, inOrder, sum, weightsOf } from "./cut.ts";
import { best } from "./draw.ts";
import { isKept } from "./mass.ts";
import { GROUP_SIZE, max, type RowMax } from "./max.ts";
import { probabilityOf } from "./numeric.ts";
import { type RowState, stages } from "./stages.ts";

/** The kept tokens of a row, most probable first. */
export interface RowCandidates {
  /** Token ids, `[kept]`. */
  readonly tokens: Uint32Array;
  /** Probabilities after temperature and filters, renormalised, `[kept]`. */
  readonly probabilities: Float32Array;
}

/** Kept tokens with their integer weights. */
export interface WeightedCandidates {
  /** Token ids, `[kept]`. */
  readonly tokens: Uint32Array;
  /** Weights, of which `WEIGHT_ONE` is the largest, `[kept]`. */
  readonly weights: Uint32Array;
  /** Scale of the weights, where the stages have chosen it. */
  readonly scale?: number;
}

/** What some stages depend on besides logits and parameters: the row's random stream, and what its last token has left. */
export interface RowContext {
  /** The row's seed, 64 bits. */
  readonly seed: bigint;
  /** Which number of the seed's stream the row uses next, 64 bits. */
  readonly position: bigint;
  /** What the last token has left; none before the first. */
  readonly state?: RowState | undefined;
}

/** Lists what the filters keep of a row, with the weights the draw sees. The twin of `shaders/list.wgsl`. */
export function list(
  logits: Float32Array,
  plan: RowPlan,
  row: RowMax = max(logits),
  context: RowContext = { seed: 0n, position: 0n },
): WeightedCandidates {
  if (row.max === -Infinity) return { tokens: new Uint32Array(0), weights: new Uint32Array(0) };
  if (plan.greedy) return { tokens: Uint32Array.of(best(logits, row)), weights: Uint32Array.of(0x8000_0000) };
  if (plan.stages !== undefined) return stages(logits, row, plan, context.seed, context.position, context.state);
  const { cut, kept } = filter(logits, row, plan);
  let tokens = kept;
  if (tokens === undefined) {
    tokens = new Uint32Array(logits.length);
    let count = 0;
    for (let group = 0; group < row.delegates.length; group++) {
      if (row.delegates[group]! < cut.logit) continue;
      const end = Math.min((group + 1) * GROUP_SIZE, logits.length);
      for (let id = group * GROUP_SIZE; id < end; id++) if (isKept(logits[id]!, id, cut)) tokens[count++] = id;
    }
    tokens = inOrder(logits, tokens.subarray(0, count));
  }
  return { tokens, weights: weightsOf(logits, row.max, tokens, plan.drawScale) };
}

/** Integer weights as probabilities: each divided by their exact sum, rounded once, to the nearest float32. */
export function normalize({ tokens, weights }: WeightedCandidates): RowCandidates {
  const total = sum(weights);
  return { tokens, probabilities: Float32Array.from(weights, (weight) => probabilityOf(weight, total)) };
}
