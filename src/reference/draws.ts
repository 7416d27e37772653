import type { RowPlan } from "../params.ts";
import { sum } from "./cut.ts";
import { inIdOrder, indexAt, type RowSample } from "./draw.ts";
import type { WeightedCandidates } from "./list.ts";
import { drawPoint, NO_TOKEN } from "./numeric.ts";
import { uniformOf } from "./philox.ts";

/**
 * Draws all tokens of a row that has several. The first is the one that `draw` draws. The twin of `shaders/draws.wgsl`.
 *
 * @param kept what the filters have left, see `list`
 * @param plan see `planRow`
 * @param seed the row's seed, 64 bits
 * @param position which number of the seed's stream to use, 64 bits; all draws share it
 * @param first what `draw` has drawn
 * @returns `[draws]`; `NO_TOKEN` where nothing is left to draw
 */
export function draws(
  kept: WeightedCandidates,
  plan: Pick<RowPlan, "draws" | "replacement">,
  seed: bigint,
  position: bigint,
  { status }: RowSample,
): RowSample[] {
  const { tokens, weights } = inIdOrder(kept);
  const mass = sum(weights);
  let left = mass;
  return Array.from({ length: plan.draws }, (_, number): RowSample => {
    if (left === 0) return { token: NO_TOKEN, status, weight: 0, mass: 0 };
    const index = indexAt(weights, drawPoint(...uniformOf(seed, position, number), left));
    const weight = weights[index]!;
    if (!plan.replacement) {
      left -= weight;
      weights[index] = 0;
    }
    return { token: tokens[index]!, status, weight, mass };
  });
}
