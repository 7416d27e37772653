/**
 * The one place where shader text is put together: library files, then the kernel, then specialisation by flags.
 */
import { wgsl } from "wgsl-preprocessor/wgsl-preprocessor.js";
import adaptive from "../../shaders/lib/adaptive.wgsl?raw";
import band from "../../shaders/lib/band.wgsl?raw";
import bindings from "../../shaders/lib/bindings.wgsl?raw";
import bins from "../../shaders/lib/bins.wgsl?raw";
import drawing from "../../shaders/lib/drawing.wgsl?raw";
import fixed from "../../shaders/lib/fixed.wgsl?raw";
import float32 from "../../shaders/lib/float32.wgsl?raw";
import groups from "../../shaders/lib/groups.wgsl?raw";
import history from "../../shaders/lib/history.wgsl?raw";
import int64 from "../../shaders/lib/int64.wgsl?raw";
import keys from "../../shaders/lib/keys.wgsl?raw";
import logits from "../../shaders/lib/logits.wgsl?raw";
import look from "../../shaders/lib/look.wgsl?raw";
import overlay from "../../shaders/lib/overlay.wgsl?raw";
import params from "../../shaders/lib/params.wgsl?raw";
import philox from "../../shaders/lib/philox.wgsl?raw";
import processing from "../../shaders/lib/processing.wgsl?raw";
import row from "../../shaders/lib/row.wgsl?raw";
import search from "../../shaders/lib/search.wgsl?raw";
import token from "../../shaders/lib/token.wgsl?raw";
import weights from "../../shaders/lib/weights.wgsl?raw";
import workgroup from "../../shaders/lib/workgroup.wgsl?raw";

/** What a shader can be specialised for. */
export interface ShaderFlags {
  /** Logits of 16 bits. */
  readonly HALF: boolean;
  /** … of which bfloat16. */
  readonly BFLOAT: boolean;
  /** Subgroup operations may be used. */
  readonly SUBGROUPS: boolean;
  /** Logits are read as processed. */
  readonly PROCESSED: boolean;
  /** Rows may have more stages than top-k, top-p and min-p. */
  readonly STAGES: boolean;
}

/** What a kernel does, which tells what has to stand in front of it. */
export type LibraryName = "sampling" | "draw" | "row" | "processing" | "history";

const SAMPLING = [params, int64, fixed, keys, weights, adaptive, philox, logits, overlay, bindings];
const ROW = [...SAMPLING, row, workgroup, groups, look, bins, band, search, drawing];
const LIBRARIES: Readonly<Record<LibraryName, readonly string[]>> = {
  sampling: SAMPLING,
  draw: [...ROW, token],
  row: ROW,
  processing: [params, int64, float32, logits, overlay, processing, history],
  history: [history],
};

/** The WGSL of one kernel. */
export function shaderSource(kernel: string, flags: ShaderFlags, library: LibraryName = "sampling"): string {
  const enable = flags.SUBGROUPS ? "enable subgroups;\n" : "";
  return enable + specialize(`${LIBRARIES[library].join("\n")}\n${kernel}`, flags);
}

/**
 * Resolves `#if NAME` … `#else` … `#endif`. wgsl-preprocessor is a template tag that takes its conditions as values;
 * the text is cut after each `#if`, and the flag handed over in its place.
 */
function specialize(text: string, flags: ShaderFlags): string {
  const pieces: string[] = [];
  const values: boolean[] = [];
  let from = 0;
  for (const match of text.matchAll(/#(?:el)?if +(\w+)/g)) {
    const name = match[1]!;
    if (!Object.hasOwn(flags, name)) throw new Error(`shader: unknown flag ${name} in "${match[0]}"`);
    const nameAt = match.index + match[0].length - name.length;
    pieces.push(text.slice(from, nameAt));
    values.push(flags[name as keyof ShaderFlags]);
    from = nameAt + name.length;
  }
  pieces.push(text.slice(from));
  return wgsl(Object.assign(pieces, { raw: pieces }), ...values);
}
