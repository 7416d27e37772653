import { known, show } from "../check.ts";
import { UnfitDeviceError } from "./device.ts";

/**
 * How the kernels are cut to the adapter. None of it changes a result.
 */
export interface Tuning {
  /** Invocations of a workgroup of the streaming kernels (max, mass, list); a power of two. */
  readonly streamWorkgroup: number;
  /** Invocations of a workgroup of draw; a power of two up to 256. */
  readonly drawWorkgroup: number;
  /** Groups of tokens whose loads alternate in memory; a power of two. */
  readonly lanes: number;
  /** Quads (4 tokens) of a group, whose largest token is its delegate. */
  readonly quads: number;
  /** Whether to use subgroup operations, where the device has them. */
  readonly subgroups: boolean;
}

/** A GPU, or one of the CPU drivers that run shaders. */
export type AdapterClass = "gpu" | "swiftshader" | "llvmpipe";

/**
 * One row per class of adapter, with the reason.
 *
 * - `swiftshader` runs four invocations side by side, and a barrier costs per four of them: workgroups of draw, which is full of
 *   barriers, are just four. A workgroup costs by itself, in pure reads as well: streaming kernels have 128 invocations, a tenth faster
 *   than with 32. Every invocation reads a contiguous run, which is where the fastest pure read is, too.
 * - `llvmpipe` (also called lavapipe) gives an invocation 65,535 loop iterations in all and then leaves every loop without a
 *   word, so draw has as many invocations as there may be. What that is not enough for is refused: see `MOST_TOKENS`.
 * - `gpu`: full warps; 16 neighbouring invocations read 256 consecutive bytes at a time.
 */
export const TUNINGS: Readonly<Record<AdapterClass, Tuning>> = {
  swiftshader: { streamWorkgroup: 128, drawWorkgroup: 4, lanes: 1, quads: 16, subgroups: false },
  llvmpipe: { streamWorkgroup: 32, drawWorkgroup: 256, lanes: 1, quads: 16, subgroups: false },
  gpu: { streamWorkgroup: 128, drawWorkgroup: 256, lanes: 16, quads: 16, subgroups: true },
};

/**
 * Groups of a row, which may begin up to three tokens into its first quad.
 *
 * @internal
 */
export function groupsOf(vocabSize: number, { quads, lanes }: Tuning): number {
  return Math.ceil(Math.ceil((vocabSize + 3) / 4) / (quads * lanes)) * lanes;
}

/**
 * Largest vocabulary of a class: on llvmpipe, wider rows take some invocations more iterations than they have, and come out
 * wrong without a word. With 2^19 tokens top-k, top-p and 64 draws still come out right there, but not five stages that all have to
 * search a row of ties. With 2^18 and 2^17 some such rows still come out wrong, with five stages and eleven; with 2^16 none was found.
 */
const MOST_TOKENS: Readonly<Partial<Record<AdapterClass, number>>> = { llvmpipe: 2 ** 18 };

/**
 * Refuses a vocabulary that a device's class of adapter is known to get wrong.
 *
 * @throws UnfitDeviceError
 * @internal
 */
export function checkVocabulary(device: GPUDevice, vocabSize: number): void {
  const most = MOST_TOKENS[adapterClass((device as { adapterInfo?: GPUAdapterInfo }).adapterInfo)];
  if (most !== undefined && vocabSize > most) {
    throw new UnfitDeviceError(
      `vocabSize: expected at most ${most} on llvmpipe, got ${vocabSize}; "auto" takes the CPU`,
    );
  }
}

/**
 * Which class an adapter belongs to, from what it says of itself. A CPU of no known kind counts as llvmpipe, where
 * nothing is assumed.
 *
 * @internal
 */
export function adapterClass(info: GPUAdapterInfo | undefined): AdapterClass {
  if (info === undefined) return "gpu";
  const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`;
  if (/swiftshader/i.test(text)) return "swiftshader";
  const fallback = (info as { isFallbackAdapter?: boolean }).isFallbackAdapter === true;
  return fallback || /llvmpipe|lavapipe|softpipe|\bwarp\b|basic render|cpu/i.test(text) ? "llvmpipe" : "gpu";
}

/**
 * What can be said of a caller's tuning before there is a device.
 *
 * @returns what it overrides
 * @throws TypeError for what is not a tuning, RangeError for a value that no kernel can run with
 * @internal
 */
export function checkTuning(tuning: Partial<Tuning>): Partial<Tuning> {
  const row = TUNINGS.gpu;
  const read = Object.entries(known("tuning", tuning, Object.keys(row)));
  const overrides = read.filter(([, value]) => value !== undefined);
  for (const [name, value] of overrides) {
    const expected = typeof row[name as keyof Tuning];
    if (typeof value !== expected) throw new TypeError(`tuning.${name}: expected a ${expected}, got ${show(value)}`);
    if (typeof value === "number" && !(Number.isInteger(Math.log2(value)) && value >= 1)) {
      throw new RangeError(`tuning.${name}: expected a power of two, got ${value}`);
    }
  }
  return Object.fromEntries(overrides);
}

/**
 * The tuning for a device: the class's row, what the caller overrides, and the 16-bit types' larger groups (as many
 * bytes a group as float32 has, so that scratch memory keeps its share of the logits).
 *
 * @param overrides what {@link checkTuning} returns
 * @throws RangeError for a value that the kernels cannot run with there
 * @internal
 */
export function tuningFor(device: GPUDevice, half: boolean, overrides: Partial<Tuning> = {}): Tuning {
  const info = (device as { adapterInfo?: GPUAdapterInfo }).adapterInfo;
  const row = TUNINGS[adapterClass(info)];
  const most = Math.min(device.limits.maxComputeInvocationsPerWorkgroup, device.limits.maxComputeWorkgroupSizeX);
  const largest = 2 ** Math.floor(Math.log2(most));
  const tuning = {
    ...row,
    streamWorkgroup: Math.min(row.streamWorkgroup, largest),
    drawWorkgroup: Math.min(row.drawWorkgroup, largest),
    quads: row.quads * (half ? 2 : 1),
    ...overrides,
  };
  const check = (name: "streamWorkgroup" | "drawWorkgroup" | "lanes" | "quads", limit: number): void => {
    const value = tuning[name];
    if (value > limit) {
      throw new RangeError(`tuning.${name}: expected a power of two from 1 to ${limit}, got ${value}`);
    }
  };
  check("streamWorkgroup", most);
  check("drawWorkgroup", Math.min(most, 256));
  check("lanes", 64);
  check("quads", 256);
  return { ...tuning, subgroups: tuning.subgroups && device.features.has("subgroups") };
}
