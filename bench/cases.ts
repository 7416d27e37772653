/** What is measured: modes, vocabularies, batches, inputs; and the shape of the results. */
import type { SamplingParams } from "../src/index.ts";
import type { InputName } from "../test/support/inputs.ts";
import type { Verdict } from "./peers/verdict.ts";

/** Ways of sampling, all at temperature 0.8. */
export const MODES = {
  greedy: { temperature: 0 },
  none: { temperature: 0.8 },
  "top-k": { temperature: 0.8, topK: 50 },
  "top-k+top-p": { temperature: 0.8, topK: 50, topP: 0.9 },
  "top-p": { temperature: 0.8, topP: 0.9 },
  "min-p": { temperature: 0.8, minP: 0.05 },
} as const satisfies Record<string, SamplingParams>;

export type ModeName = keyof typeof MODES;

/** How a mode is called in tables and charts. */
export const MODE_LABELS: Readonly<Record<ModeName, string>> = {
  greedy: "greedy",
  none: "no filter",
  "top-k": "top-k 50",
  "top-k+top-p": "top-k 50 + top-p 0.9",
  "top-p": "top-p 0.9",
  "min-p": "min-p 0.05",
};

export const MODE_NAMES = Object.keys(MODES) as readonly ModeName[];

/** A vocabulary and a batch: one buffer of logits. */
export interface Shape {
  readonly vocab: number;
  readonly batch: number;
}

/** What to run. */
export interface BenchOptions {
  readonly shapes: readonly Shape[];
  readonly inputs: readonly InputName[];
  readonly modes: readonly ModeName[];
  readonly rounds: number;
  /** Wall time that one measurement aims at, in milliseconds; more calls go into one submit until it is reached. */
  readonly targetMs: number;
  /** Reads from many copies of the logits in turn, instead of the same ones again and again. */
  readonly cold: boolean;
  /** Whether top-k 50 is also measured with every control of the logits. */
  readonly controls?: boolean;
}

/** What a series of measurements comes to; in milliseconds unless said otherwise. */
export interface Summary {
  readonly median: number;
  /** Quartiles. */
  readonly low: number;
  readonly high: number;
  readonly count: number;
}

/** What one way of sampling took. Absent: it has no such figure. */
export interface Figure {
  /** Who sampled, as charts and tables call it. */
  readonly who: string;
  readonly mode: ModeName;
  /** Time per call on the GPU, several calls in one submit: by timestamps. */
  readonly gpu?: Summary;
  /** The same by the clock on the wall, from submit until the queue is done. */
  readonly wall?: Summary;
  /** Time over that of the read limit measured right beside it, by timestamps if there are any, else wall. */
  readonly overLimit?: Summary;
  /** From the call until its tokens are in JavaScript, logits on the GPU. */
  readonly tokens?: Summary;
  /** The same per call, with several independent calls in flight. */
  readonly inFlight?: Summary;
  /** From the call until its tokens are in JavaScript, logits in CPU memory. */
  readonly cpu?: Summary;
  /** Time that JavaScript needs to record a call, in microseconds. */
  readonly recordMicroseconds?: Summary;
  /** Rows whose tokens were found equal to the CPU reference's before anything was timed. */
  readonly checkedRows?: number;
  /** What is known of the correctness of a peer: measured here, not quoted. */
  readonly notes?: readonly string[];
}

/** The figures of one buffer of logits. */
export interface Case {
  readonly input: InputName;
  readonly vocab: number;
  readonly batch: number;
  /** Bytes of logits that a call reads at least once. */
  readonly bytes: number;
  readonly limit: {
    /** The fastest of the kernels that only read. */
    readonly kernel: string;
    readonly gpu?: Summary;
    readonly wall: Summary;
  };
  readonly figures: readonly Figure[];
}

/** Who computed. */
export interface Adapter {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** Whether the shaders run on a CPU. */
  readonly software: boolean;
  readonly timestamps: boolean;
  readonly subgroups: boolean;
}

/** One run. */
export interface BenchResult {
  readonly version: 1;
  readonly date: string;
  readonly command: string;
  readonly package: string;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly system: string };
  /** Browser or runtime, with its version. */
  readonly runtime: string;
  readonly adapter: Adapter;
  readonly options: BenchOptions;
  /** Whether any token differed from the reference's. A run with a difference has no figures. */
  readonly mismatches: readonly string[];
  readonly cases: readonly Case[];
  /** Who else was asked, and what came of it. */
  readonly peers?: readonly PeerReport[];
}

/** A peer, how it was used, and what it makes of masked and tied rows. */
export interface PeerReport {
  readonly name: string;
  readonly version: string;
  readonly how: string;
  readonly verdicts: readonly Verdict[];
}

/** What a run measures itself; the command adds the rest. */
export type BenchOutcome = Pick<BenchResult, "adapter" | "cases" | "mismatches" | "peers">;

export type Progress = (line: string) => void;
