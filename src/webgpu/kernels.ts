/**
 * The table of kernels: file, bind groups, overrides. Pipelines and tests read it; nothing repeats it.
 */
import append from "../../shaders/append.wgsl?raw";
import clear from "../../shaders/clear.wgsl?raw";
import count from "../../shaders/count.wgsl?raw";
import draw from "../../shaders/draw.wgsl?raw";
import draws from "../../shaders/draws.wgsl?raw";
import list from "../../shaders/list.wgsl?raw";
import mass from "../../shaders/mass.wgsl?raw";
import max from "../../shaders/max.wgsl?raw";
import process from "../../shaders/process.wgsl?raw";
import report from "../../shaders/report.wgsl?raw";
import stages from "../../shaders/stages.wgsl?raw";
import write from "../../shaders/write.wgsl?raw";
import type { LibraryName } from "./shader.ts";

export type FirstKernelName = "max" | "mass" | "draw" | "list";
export type KernelName = FirstKernelName | "stages" | "draws" | "report" | "write";
/** Kernels that nearly every call needs, compiled with the sampler. */
export const FIRST_KERNELS: readonly FirstKernelName[] = ["max", "mass", "draw", "list"];
/** Kernels that work on logits before the others do, compiled when they are first needed. */
export type ProcessingKernelName = "count" | "process" | "clear" | "append";

/** One binding: its name in the shader, and how it is bound. */
export interface Binding {
  readonly name: string;
  readonly type: GPUBufferBindingType;
  readonly dynamic?: true;
}

export type BindGroupName =
  "inputs" | "processed" | "workspace" | "tokens" | "listing" | "reporting" | "output" | "processing" | "appending";

/** Bind groups by name; the number is the group's index. */
export const BIND_GROUPS: Readonly<Record<BindGroupName, readonly Binding[]>> = {
  /** The caller's logits, seen as quads and as words. */
  inputs: [
    { name: "logits", type: "read-only-storage" },
    { name: "logit_words", type: "read-only-storage" },
  ],
  /** In place of those, where logits are processed: the caller's logits, and what is laid over them. */
  processed: [
    { name: "logits", type: "read-only-storage" },
    { name: "overlay", type: "read-only-storage" },
  ],
  /** What the sampler owns. */
  workspace: [
    { name: "call", type: "read-only-storage", dynamic: true },
    { name: "delegates", type: "storage" },
    { name: "masses", type: "storage" },
    { name: "records", type: "storage" },
  ],
  /** Where tokens go. */
  tokens: [{ name: "tokens", type: "storage" }],
  /** Where listed tokens go. */
  listing: [{ name: "listing", type: "storage" }],
  /** What is asked of rows, and the answers. */
  reporting: [{ name: "reports", type: "storage" }],
  /** Where all tokens' logits or probabilities go. */
  output: [{ name: "output", type: "storage" }],
  /** What logits are processed with. */
  processing: [
    { name: "call", type: "read-only-storage", dynamic: true },
    { name: "controls", type: "read-only-storage" },
    { name: "overlay", type: "storage" },
    { name: "history", type: "read-only-storage" },
  ],
  /** Tokens on their way into the history. */
  appending: [
    { name: "job", type: "read-only-storage" },
    { name: "incoming", type: "read-only-storage" },
    { name: "history", type: "storage" },
  ],
};

/** Overrides by name. */
export type Constants = Readonly<Record<string, number>>;

export interface Kernel {
  readonly source: string;
  readonly groups: readonly BindGroupName[];
  /** Whether it works on a row with one workgroup, or on a group of tokens with one invocation. */
  readonly per: "row" | "group";
  /** Whether the SUBGROUPS flag changes it. */
  readonly subgroups?: true;
  /** Which files of the library stand in front of it; "sampling" if left out. */
  readonly library?: LibraryName;
}

/** Storage buffers that one kernel binds at most; WebGPU's default limit is 8. */
export const STORAGE_BUFFERS = 7;
/** Workgroup memory of `draw` at most, in bytes. */
export const WORKGROUP_STORAGE = 16_384;

export const KERNELS: Readonly<Record<KernelName, Kernel>> = {
  max: { source: max, groups: ["inputs", "workspace"], per: "group", subgroups: true },
  mass: { source: mass, groups: ["inputs", "workspace"], per: "group" },
  draw: {
    source: draw,
    groups: ["inputs", "workspace", "tokens"],
    per: "row",
    library: "draw",
  },
  stages: {
    source: stages,
    groups: ["inputs", "workspace", "tokens"],
    per: "row",
    library: "draw",
  },
  draws: {
    source: draws,
    groups: ["inputs", "workspace", "tokens"],
    per: "row",
    library: "draw",
  },
  list: {
    source: list,
    groups: ["inputs", "workspace", "listing"],
    per: "group",
  },
  report: {
    source: report,
    groups: ["inputs", "workspace", "reporting"],
    per: "row",
    library: "row",
  },
  write: {
    source: write,
    groups: ["inputs", "workspace", "output"],
    per: "group",
  },
};

/** The function that a kernel begins with. */
export function entryPointOf(name: KernelName | ProcessingKernelName): string {
  return `${name}_main`;
}

/** Whether there is a kernel for calls without stages, and for those with. */
export function stagesOf(name: KernelName | ProcessingKernelName): readonly boolean[] {
  if (name === "stages") return [true];
  return ["draws", "list", "report", "write"].includes(name) ? [false, true] : [false];
}

const PROCESSING = { groups: ["inputs", "processing"], per: "group", library: "processing" } as const;

export const PROCESSING_KERNELS: Readonly<Record<ProcessingKernelName, Kernel>> = {
  count: { source: count, ...PROCESSING },
  process: { source: process, ...PROCESSING },
  clear: { source: clear, ...PROCESSING },
  append: {
    source: append,
    groups: ["appending"],
    per: "group",
    library: "history",
  },
};
