/**
 * Packs calls into the layout of `shaders/lib/params.wgsl`.
 */
import { type RowPlan, TOP_K_OFF, TOP_P_OFF } from "../params.ts";
import type { RowSample, RowStatus } from "../reference/draw.ts";
import { bitsFloat, exp2fix, MAX_DISTANCE } from "../reference/numeric.ts";
import { words } from "../reference/philox.ts";
import { type StageName, STAGES, type StagePlan } from "../stages.ts";
import type { Constants } from "./kernels.ts";

/** Words of the `Call` header, of one `Plan`, and of the `Stages` in it: as many as of whole plans. */
const CALL_WORDS = 10;
const PLAN_WORDS = 12;
const STAGES_WORDS = 24;
/** Words of one `RowRecord`. */
export const RECORD_WORDS = 21;
/** Word of the token in it, and of the state that stages keep. */
export const RECORD_TOKEN = 3;
export const RECORD_STATE = 18;
/** Word of the draw's scale in it. */
const RECORD_DRAW_SCALE = 14;

const STATUS: readonly RowStatus[] = ["ok", "masked", "nan"];

/** A top-k up to here never needs the masses of groups (`TOP_K_REACH` in `draw.wgsl`). */
export const TOP_K_REACH = 512;

const FLAG = {
  greedy: 1,
  mass: 2,
  topK: 4,
  topP: 8,
  minP: 16,
  minPFirst: 32,
  position: 64,
  withoutReplacement: 128,
} as const;

/** What is the same for all rows of a dispatch. */
export interface CallShape {
  readonly vocab: number;
  /** Groups of a row. */
  readonly groups: number;
  /** Element where the logits of row 0 begin, in the bound range. */
  readonly first: number;
  /** Elements from row to row. */
  readonly rowStride: number;
  /** Which row of logits each row reads; its own if left out. */
  readonly rowMap?: Uint32Array | undefined;
  /** The dispatch's first row in the batch. */
  readonly firstRow: number;
  /** Word of the first row's token in the bound token buffer, and words from token to token (1 or 2). */
  readonly tokenFirst: number;
  readonly tokenStride: number;
  /** Tokens of a row; 1 if left out. */
  readonly draws?: number;
  /** Word of the bound token buffer where their weights begin; 0, or left out: they are not wanted. */
  readonly weightsFirst?: number;
  /** Whether the logits are processed before they are sampled. */
  readonly processed?: boolean;
}

/** Bytes of a call with so many rows. */
export function callBytes(rows: number, staged: boolean = false): number {
  return 4 * (CALL_WORDS + planWords(staged) * rows);
}

function planWords(staged: boolean): number {
  return PLAN_WORDS + (staged ? STAGES_WORDS : 0);
}

/** Whether a call needs the `stages` kernel; all of its rows go through it then. */
export function isStaged(plans: readonly RowPlan[]): boolean {
  return plans.some(({ stages }) => stages !== undefined);
}

/** Whether rows of a dispatch have logits that are processed; all of them are read as such then. */
export function isProcessed(plans: readonly RowPlan[]): boolean {
  return plans.some(({ process }) => process !== undefined);
}

/** Of `draw` where no row has top-k or top-p: much shorter, and nothing is written down. */
const NO_FILTERS: Constants = { FILTERS: 0, ROOM: 1 };
/**
 * Where a top-k is so large that its tokens, with others that lie as near, rarely fit into the usual room, in rows of many
 * groups. Workgroup memory is cleared at every start, by code that is written out word by word on SwiftShader: it costs a
 * CPU time in every call, and a second while compiling.
 */
const ALL_ROOM: Constants = { ROOM: 1024 };
const USUAL: Constants = {};
const LARGE_TOP_K = 352;
const MANY_GROUPS = 512;

/** Overrides that make a `draw` which serves all rows of a call, each of so many groups. */
export function drawConstants(plans: readonly RowPlan[], groups: number): Constants {
  let constants = NO_FILTERS;
  for (const { greedy, topK, topP } of plans) {
    if (greedy || (topK === TOP_K_OFF && topP === TOP_P_OFF)) continue;
    if (groups > MANY_GROUPS && topK > LARGE_TOP_K && topK <= TOP_K_REACH) return ALL_ROOM;
    constants = USUAL;
  }
  return constants;
}

/** Whether the row's whole mass matters, so that the mass kernel has to run. */
export function needsMass(plan: RowPlan): boolean {
  return !plan.greedy && plan.topK === TOP_K_OFF;
}

/** Overrides that make a `mass` which serves all rows of a call. */
export function massConstants(plans: readonly RowPlan[]): Constants {
  const limited = ({ minPDistance, minPFirst, topP }: RowPlan): boolean =>
    minPDistance < MAX_DISTANCE && (minPFirst || topP === TOP_P_OFF);
  return plans.some((plan) => needsMass(plan) && limited(plan)) ? { LIMITED: 1 } : {};
}

/** Whether the row may need room for the masses of its groups. */
export function needsMassRoom(plan: RowPlan): boolean {
  return plan.stages !== undefined || (!plan.greedy && plan.topK > TOP_K_REACH);
}

/**
 * Packs a call.
 *
 * @param plans one per row of the dispatch
 * @param seedOf the seed of a row of the batch that is given none
 * @param staged whether plans have stages; one without then has those of its filters
 */
export function packCall(
  shape: CallShape,
  plans: readonly RowPlan[],
  seedOf: (row: number) => bigint,
  staged: boolean = false,
): Uint32Array<ArrayBuffer> {
  const stride = planWords(staged);
  const out = new Uint32Array(CALL_WORDS + stride * plans.length);
  const floats = new Float32Array(out.buffer);
  out.set([
    shape.vocab,
    shape.groups,
    shape.firstRow,
    shape.tokenFirst,
    shape.tokenStride,
    0,
    stride / PLAN_WORDS,
    shape.draws ?? 1,
    shape.weightsFirst ?? 0,
    Number(shape.processed ?? false),
  ]);
  for (let row = 0, at = CALL_WORDS; row < plans.length; row++, at += stride) {
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
      (plan.position !== undefined ? FLAG.position : 0) |
      (plan.replacement ? 0 : FLAG.withoutReplacement);
    out[at + 1] = plan.topK;
    out[at + 2] = plan.topP;
    out[at + 3] = plan.minPDistance;
    floats[at + 4] = plan.filterScale;
    floats[at + 5] = plan.drawScale;
    out[at + 6] = seedLow;
    out[at + 7] = seedHigh;
    out[at + 8] = positionLow;
    out[at + 9] = positionHigh;
    out[at + 10] = shape.first + (shape.rowMap?.[row] ?? row) * shape.rowStride;
    if (staged && !plan.greedy) packStages(plan.stages ?? plainStages(plan), out.subarray(at + PLAN_WORDS));
  }
  return out;
}

/** The stages of a plan that has none but top-k, top-p and min-p. */
function plainStages(plan: RowPlan): Partial<StagePlan> & Pick<StagePlan, "stages"> {
  const filters: StageName[] = plan.minPFirst ? ["minP", "topK", "topP"] : ["topK", "topP", "minP"];
  const on = { topK: plan.topK !== TOP_K_OFF, topP: plan.topP !== TOP_P_OFF, minP: plan.minPDistance < MAX_DISTANCE };
  const stages = filters.filter((stage) => on[stage as keyof typeof on]);
  return {
    stages: plan.filterScale === plan.drawScale ? ["temperature", ...stages] : [...stages, "temperature"],
    // The least weight that min-p keeps.
    minPWeight: exp2fix(plan.minPDistance),
  };
}

/** Packs `Stages`. */
function packStages(stages: ReturnType<typeof plainStages>, out: Uint32Array): void {
  for (const [place, stage] of stages.stages.entries()) {
    out[place >> 3]! |= (STAGES.indexOf(stage) + 1) << ((place & 7) * 4);
  }
  out.set(
    [
      stages.minKeep ?? 1,
      stages.minPWeight,
      stages.typicalP,
      stages.nSigma,
      stages.epsilon?.share,
      stages.epsilon?.shift,
      stages.eta?.share,
      stages.eta?.shift,
      stages.etaRoot,
      stages.topH,
      stages.xtcThreshold?.share,
      stages.xtcThreshold?.shift,
      stages.xtcProbability,
      stages.dynatempLeast,
      stages.dynatempSpan,
      stages.dynatempExponent,
      stages.mirostat,
      stages.mirostatTau,
      stages.mirostatEta,
      stages.adaptiveTarget,
      stages.adaptiveDecay,
    ].map((word) => word ?? 0),
    2,
  );
}

/** The scale of the draw in a row's record; 0 in a greedy row. */
export function drawScaleOf(words: Uint32Array, row: number): number {
  return bitsFloat(words[row * RECORD_WORDS + RECORD_DRAW_SCALE]!);
}

/** Reads what the draw left in a row's record. */
export function unpackRecord(words: Uint32Array, row: number): RowSample {
  const [token, status, weight, massLow, massHigh] = words.subarray(row * RECORD_WORDS + RECORD_TOKEN);
  return { token: token!, status: STATUS[status!]!, weight: weight!, mass: massHigh! * 2 ** 32 + massLow! };
}
