/**
 * The CPU reference: the sampling contract as plain functions, one per kernel. Also the `"cpu"` engine.
 *
 * @module
 */
export {
  type DryPlan,
  type MaskPlan,
  planProcess,
  type ProcessingParams,
  type ProcessPlan,
  WHOLE_HISTORY,
} from "../processing.ts";
export { planRow, type RowPlan, type SamplingParams, TOP_K_OFF, TOP_P_OFF } from "../params.ts";
export type { SmallShare, StagePlan } from "../stages.ts";
export { append } from "./append.ts";
export { clear } from "./clear.ts";
export { bitsOfHalf, type LogitsType, widen } from "./convert.ts";
export { count } from "./count.ts";
export { filter, type Filtered } from "./cut.ts";
export { best, draw, logprobOf, type RowSample, type RowStatus, sampleRow } from "./draw.ts";
export { draws } from "./draws.ts";
export { emptyHistory, type RowHistory, tokenAt } from "./history.ts";
export { list, normalize, type RowCandidates, type RowContext, type WeightedCandidates } from "./list.ts";
export { type Cut, isKept, KEEP_ALL, mass } from "./mass.ts";
export { type Marks, newMarks } from "./marks.ts";
export { GROUP_SIZE, max, type RowMax } from "./max.ts";
export {
  bitsOfKey,
  distance,
  distanceOfWeight,
  distanceScale,
  drawPoint,
  exp2fix,
  keyOfBits,
  keyOfDistance,
  massNeeded,
  MAX_DISTANCE,
  NO_TOKEN,
  WEIGHT_ONE,
} from "./numeric.ts";
export { emptyState, type RowState, type Staged, stages } from "./stages.ts";
export { write, type Written } from "./write.ts";
export { process, processed, type ProcessScratch, processScratch } from "./process.ts";
export { type LogprobsMode, type OutputPlan } from "../outputs.ts";
export {
  needsKept,
  numbersOf,
  report,
  type ReportInput,
  type RowNumbers,
  type DrawnReport,
  type ReportedRow,
  type RowReport,
  type TopReport,
  type TokenLogprobs,
} from "./report.ts";
export { philox4x32, PURPOSE, seedOfRow, uniformOf } from "./philox.ts";
