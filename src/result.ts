/** What a call returns, put together from what the engines found. */
import type { SampleResult } from "./engine.ts";
import type { OutputPlan, SampleOutputs } from "./outputs.ts";
import { logprobOf, type RowSample } from "./reference/draw.ts";
import type { RowNumbers } from "./reference/report.ts";

/** What is told of rows, and what was asked for. */
export interface Told {
  /** `[rows]` */
  readonly rows: readonly RowNumbers[];
  /** `[rows]` */
  readonly plans: readonly OutputPlan[];
}

/** The result of a call, from the draws of each row. */
export function resultOf(samples: readonly (readonly RowSample[])[], told?: Told): SampleResult {
  const all = samples.flat();
  return {
    tokens: Uint32Array.from(all, ({ token }) => token),
    logprobs: Float32Array.from(told?.rows.flatMap(({ logprobs }) => logprobs) ?? all.map(logprobOf)),
    status: samples.map(([first]) => first!.status),
    ...(told && toldOf(told)),
  };
}

function toldOf({ rows, plans }: Told): SampleOutputs {
  const { rank, entropy } = plans[0]!;
  return {
    ...(plans.some(({ top }) => top > 0) && { topLogprobs: rows.map(({ top }) => top) }),
    ...(plans.some(({ chosen }) => chosen.length > 0) && { tokenLogprobs: rows.map(({ chosen }) => chosen) }),
    ...(rank && { ranks: Uint32Array.from(rows.flatMap(({ ranks }) => ranks)) }),
    ...(entropy && {
      entropies: Float32Array.from(rows, (row) => row.entropy),
      keptCounts: Uint32Array.from(rows, ({ keptCount }) => keptCount),
      keptMasses: Float32Array.from(rows, ({ keptMass }) => keptMass),
    }),
  };
}
