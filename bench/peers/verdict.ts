/**
 * What a peer makes of masked and of tied rows, measured: its tokens beside what the rules keep. Ours is exact by
 * contract and tests; a peer is not asked for our tokens, only for tokens that the filter keeps.
 */
import { createSampler } from "../../src/index.ts";
import { batch, type InputName } from "../../test/support/inputs.ts";
import { MODES, type ModeName } from "../cases.ts";
import type { LoadedPeer, Peer } from "./peer.ts";

const VOCAB = 4096;
const CALLS = 6;
/** Rows of the check. An equal row comes first: a generator that is stuck is often stuck there. */
const INPUTS: readonly InputName[] = [
  "equal",
  "masked90",
  "tiesAtCut",
  "lastTokenOnly",
  "equal",
  "masked90",
  "tiesAtCut",
  "allMasked",
];
const MASKED: readonly InputName[] = ["masked90", "lastTokenOnly"];
const TIED: readonly InputName[] = ["equal", "tiesAtCut"];

/** How many tokens were what. */
export interface Count {
  readonly tokens: number;
  /** Kept by the rules, where the lower id comes first among equals. */
  readonly kept: number;
  /** Not kept, but as probable as the last one that is: ties were broken otherwise. */
  readonly equals: number;
  /** Masked, not in the vocabulary, or less probable than anything kept. */
  readonly wrong: number;
}

export interface Verdict {
  readonly mode: ModeName;
  /** Rows with `-inf` in them. */
  readonly masked: Count;
  /** Rows of few different logits. */
  readonly tied: Count;
  /** What came back for a row without a candidate. */
  readonly empty: readonly string[];
  /** Rows of all equal logits, of which at least fifty were kept, that gave the same token in every call. */
  readonly stuck: number;
  /** It failed, and how. */
  readonly error?: string;
}

/** What one row of a mode keeps. */
export interface KeptRow {
  readonly input: InputName;
  readonly logits: Float32Array;
  readonly tokens: ReadonlySet<number>;
}

/** Sorts the tokens of several calls, row by row. */
export function judge(mode: ModeName, rows: readonly KeptRow[], calls: readonly ArrayLike<number | bigint>[]): Verdict {
  const count = (inputs: readonly InputName[]): Count => {
    const total = { tokens: 0, kept: 0, equals: 0, wrong: 0 };
    for (const [index, row] of rows.entries()) {
      if (!inputs.includes(row.input)) continue;
      const least = Math.min(...[...row.tokens].map((token) => row.logits[token]!));
      for (const call of calls) {
        const token = Number(call[index]);
        total.tokens++;
        if (row.tokens.has(token)) total.kept++;
        else if (row.logits[token] === least) total.equals++;
        else total.wrong++;
      }
    }
    return total;
  };
  const empty = new Set<string>();
  let stuck = 0;
  for (const [index, row] of rows.entries()) {
    const tokens = new Set(calls.map((call) => String(call[index])));
    if (row.tokens.size === 0) for (const token of tokens) empty.add(token);
    else if (row.input === "equal" && row.tokens.size >= 50 && tokens.size === 1) stuck++;
  }
  return { mode, masked: count(MASKED), tied: count(TIED), empty: [...empty], stuck };
}

/** A verdict in words. */
export function verdictNote({ masked, tied, empty, stuck, error }: Verdict): string {
  if (error !== undefined) return `failed on masked and tied rows: ${error}`;
  const words = (name: string, { tokens, kept, equals, wrong }: Count): string => {
    if (kept === tokens) return `${name}: all ${tokens} tokens right`;
    const others = [equals > 0 ? `${equals} another of the equals` : "", wrong > 0 ? `${wrong} WRONG` : ""];
    return `${name}: ${kept} of ${tokens} tokens right, ${others.filter(Boolean).join(", ")}`;
  };
  return [
    words("masked rows", masked),
    words("tied rows", tied),
    `no candidate: token ${empty.length > 3 ? `${empty.slice(0, 3).join(", ")}, …` : empty.join(" or ")}`,
    ...(stuck > 0 ? [`the same token in all ${CALLS} calls for ${stuck} row(s) of equal logits`] : []),
  ].join("; ");
}

/** Asks a peer in every mode that it has. */
export async function verdicts(peer: Peer): Promise<Verdict[]> {
  const data = batch(INPUTS, VOCAB, INPUTS.length, 11);
  const reference = await createSampler({ vocabSize: VOCAB, maxBatch: INPUTS.length, engine: "cpu" });
  const loaded = await peer.load({ vocab: VOCAB, batch: INPUTS.length, data });
  const found: Verdict[] = [];
  for (const mode of Object.keys(loaded.modes) as ModeName[]) {
    const kept = await reference.candidates(data, MODES[mode]);
    const rows = INPUTS.map((input, index) => ({
      input,
      logits: data.subarray(index * VOCAB, (index + 1) * VOCAB),
      tokens: new Set(kept[index]!.tokens),
    }));
    found.push(await ask(loaded, mode, rows));
  }
  loaded.release();
  reference.destroy();
  return found;
}

async function ask(loaded: LoadedPeer, mode: ModeName, rows: readonly KeptRow[]): Promise<Verdict> {
  const calls: ArrayLike<number | bigint>[] = [];
  try {
    for (let call = 0; call < CALLS; call++) calls.push(...(await loaded.modes[mode]!(1)));
    return judge(mode, rows, calls);
  } catch (error) {
    return { ...judge(mode, rows, []), error: error instanceof Error ? error.message : String(error) };
  }
}
