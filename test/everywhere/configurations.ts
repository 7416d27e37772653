/** The ways in which the kernels can be cut, and a batch be asked. None of them may change a result. */
import type { Tuning } from "../../src/webgpu/tuning.ts";

export interface Configuration {
  readonly name: string;
  readonly tuning?: Partial<Tuning>;
  /** Caps on what one dispatch binds. */
  readonly chunk?: { readonly rows?: number; readonly bytes?: number };
  /** In which order the rows of a call are handed over; `alone`: in calls of one row each. */
  readonly order?: "reversed" | "rotated" | "alone";
  /** Also with 16-bit logits: not everywhere, since every tuning and type is compiled anew. */
  readonly half?: true;
  /** One of the few that run where there is little time: those that need nothing compiled, and a GPU's workgroups. */
  readonly brief?: true;
}

const tuned = (
  drawWorkgroup: number,
  streamWorkgroup: number,
  lanes: number,
  quads: number,
  subgroups: boolean,
  extra: Pick<Configuration, "half" | "brief"> = {},
): Configuration => ({
  name: `draw ${drawWorkgroup}, stream ${streamWorkgroup}, lanes ${lanes}, quads ${quads}, subgroups ${subgroups ? "on" : "off"}`,
  tuning: { drawWorkgroup, streamWorkgroup, lanes, quads, subgroups },
  ...extra,
});

/** Every workgroup size of both kinds, with subgroups on and off, and lanes from end to end, quads from 1 to 64. */
export const configurations: readonly Configuration[] = [
  tuned(1, 256, 1, 16, true),
  tuned(2, 1, 4, 4, true, { half: true }),
  tuned(4, 2, 1, 1, false),
  tuned(4, 32, 1, 16, true),
  tuned(8, 4, 64, 2, false),
  tuned(16, 8, 2, 32, true),
  tuned(32, 16, 8, 64, false),
  tuned(64, 64, 16, 16, true, { half: true, brief: true }),
  tuned(128, 32, 32, 1, false),
  // What every GPU gets.
  tuned(256, 128, 16, 16, true, { half: true }),
  { name: "chunks of 1 row", chunk: { rows: 1 } },
  { name: "chunks of 4 rows", chunk: { rows: 4 }, brief: true },
  { name: "bindings of 9,000 bytes", chunk: { bytes: 9000 }, half: true, brief: true },
  { name: "rows in reverse", order: "reversed", brief: true },
  { name: "rows rotated", order: "rotated", brief: true },
  { name: "rows alone", order: "alone" },
];
