/**
 * Packs calls into the layout of `shaders/lib/params.wgsl`.
 */
import { type RowPlan, TOP_K_OFF, TOP_P_OFF } from "../params.ts";
import type { RowSample, RowStatus } from "../reference/draw.ts";
import { MAX_DISTANCE } from "../reference/numeric.ts";
import { words } from "../reference/philox.ts";

/** Words of the `Call` header and of one `Plan`. */
const CALL_WORDS = 8;
const PLAN_WORDS = 10;
/** Words of one `RowRecord`. */
export const RECORD_WORDS = 14;
/** Word of the token in it. */
export const RECORD_TOKEN = 3;

const STATUS: readonly RowStatus[] = ["ok", "masked", "nan"];

/** A top-k up to here never needs the masses of groups (`TOP_K_REACH` in `draw.wgsl`). */
export const TOP_K_REACH = 512;

const FLAG = { greedy: 1, mass: 2, topK: 4, topP: 8, minP: 16, minPFirst: 32, position: 64 } as const;

/** What is the same for all rows of a dispatch. */
export interface CallShape {
  readonly vocab: number;
  /** Groups of a row. */
  readonly groups: number;
  /** Element of the first row's first logit, in the bound range. */
  readonly first: number;
  /** Elements from row to row. */
  readonly rowStride: number;
  /** The dispatch's first row in the batch. */
  readonly firstRow: number;
  /** Word of the first row's token in the bound token buffer, and words from token to token (1 or 2). */
  readonly tokenFirst: number;
  readonly tokenStride: number;
}

/** Bytes of a call with so many rows. */
export function callBytes(rows: number): number {
  return 4 * (CALL_WORDS + PLAN_WORDS * rows);
}

/** Whether the row's whole mass matters, so that the mass kernel has to run. */
export function needsMass(plan: RowPlan): boolean {
  return !plan.greedy && plan.topK === TOP_K_OFF;
}

/** Whether the row may need room for the masses of its groups. */
export function needsMassRoom(plan: RowPlan): boolean {
  return !plan.greedy && plan.topK > TOP_K_REACH;
}

/**
 * Packs a call.
 *
 * @param plans one per row of the dispatch
 * @param seedOf the seed of a row of the batch that is given none
 */
export function packCall(
  shape: CallShape,
  plans: readonly RowPlan[],
  seedOf: (row: number) => bigint,
): Uint32Array<ArrayBuffer> {
  const out = new Uint32Array(CALL_WORDS + PLAN_WORDS * plans.length);
  const floats = new Float32Array(out.buffer);
  out.set([
    shape.vocab,
    shape.groups,
    shape.first,
    shape.rowStride,
    shape.firstRow,
    shape.tokenFirst,
    shape.tokenStride,
  ]);
  for (let row = 0, at = CALL_WORDS; row < plans.length; row++, at += PLAN_WORDS) {
    const plan = plans[row]!;
    const [seedLow, seedHigh] = words(plan.seed ?? seedOf(shape.firstRow + row));
    const [positionLow, positionHigh] = words(plan.position ?? 0n);
    out[at] =
      (plan.greedy ? FLAG.greedy : 0) |
      (needsMass(plan) ? FLAG.mass : 0) |
      (plan.topK !== TOP_K_OFF ? FLAG.topK : 0) |
      (plan.topP !== TOP_P_OFF ? FLAG.topP : 0) |
      (plan.minPDistance < MAX_DISTANCE ? FLAG.minP : 0) |
      (plan.minPFirst ? FLAG.minPFirst : 0) |
      (plan.position !== undefined ? FLAG.position : 0);
    out[at + 1] = plan.topK;
    out[at + 2] = plan.topP;
    out[at + 3] = plan.minPDistance;
    floats[at + 4] = plan.filterScale;
    floats[at + 5] = plan.drawScale;
    out[at + 6] = seedLow;
    out[at + 7] = seedHigh;
    out[at + 8] = positionLow;
    out[at + 9] = positionHigh;
  }
  return out;
}

/** Reads what the draw left in a row's record. */
export function unpackRecord(words: Uint32Array, row: number): RowSample {
  const [token, status, weight, massLow, massHigh] = words.subarray(row * RECORD_WORDS + RECORD_TOKEN);
  return { token: token!, status: STATUS[status!]!, weight: weight!, mass: massHigh! * 2 ** 32 + massLow! };
}
