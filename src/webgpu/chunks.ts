/** How a call is cut into what one dispatch can work on, and how that is bound. */
import type { LogitsView } from "../engine.ts";
import type { RowPlan } from "../params.ts";
import type { GPUBuffer } from "../webgpu-types.ts";

/** Rows that one dispatch works on, and how their logits are bound. */
export interface Chunk {
  readonly firstRow: number;
  readonly rows: number;
  /** One per row. */
  readonly plans: readonly RowPlan[];
  readonly offset: number;
  readonly size: number;
  /** Element of the bound range where the logits of row 0 begin; of the map, if there is one. */
  readonly first: number;
  /** Which row of logits each row reads, counted from there. */
  readonly rowMap: Uint32Array | undefined;
}

/** What chunks have to fit. */
export interface ChunkShape {
  readonly vocabSize: number;
  /** Bytes of a logit. */
  readonly bytes: 2 | 4;
  /** Bytes that can be bound. */
  readonly bindingLimit: number;
  /** Rows that there is scratch memory for, or room in another binding. */
  readonly rows: number;
}

/** Cuts a view into chunks that can be bound and dispatched at once. */
export function chunksOf(
  { source, offset, rowStride, rows, rowMap }: LogitsView,
  plans: readonly RowPlan[],
  { vocabSize, bytes, bindingLimit, rows: mostRows }: ChunkShape,
): Chunk[] {
  const { size } = source as GPUBuffer;
  const whole = size <= bindingLimit;
  const reach = rowsWithin(size, bindingLimit, vocabSize * bytes, rowStride * bytes);
  const chunks: Chunk[] = [];
  for (let firstRow = 0, count = 0; firstRow < rows; firstRow += count) {
    // As many rows as have their logits within reach of each other.
    let low = Infinity;
    let high = 0;
    for (count = 0; count < Math.min(mostRows, rows - firstRow); count++) {
      const row = rowMap?.[firstRow + count] ?? firstRow + count;
      if (Math.max(high, row) - Math.min(low, row) >= reach) break;
      [low, high] = [Math.min(low, row), Math.max(high, row)];
    }
    // A map binds all that it might reach, so that there are no more bindings than rows of logits.
    if (rowMap !== undefined) high = low + reach - 1;
    const start = (offset + low * rowStride) * bytes;
    const end = (offset + high * rowStride + vocabSize) * bytes;
    const range = rangeOf(size, whole, start, end);
    chunks.push({
      firstRow,
      rows: count,
      plans: plans.slice(firstRow, firstRow + count),
      ...range,
      first: (start - range.offset) / bytes,
      rowMap: rowMap?.slice(firstRow, firstRow + count).map((row) => row - low),
    });
  }
  return chunks;
}

/** Rows of a buffer that can be bound at once, wherever the first of them begins. */
export function rowsWithin(bufferSize: number, bindingLimit: number, rowBytes: number, strideBytes: number): number {
  if (bufferSize <= bindingLimit) return Infinity;
  // A binding begins up to 255 bytes before the row, and ends up to three behind it.
  return Math.max(1, Math.floor((bindingLimit - 256 - 4 - rowBytes) / strideBytes) + 1);
}

/**
 * What is bound of a buffer, so that the bytes from `start` to `end` lie in it: whole words, from where a binding may begin.
 *
 * @param whole whether the buffer can be bound whole
 */
export function rangeOf(
  bufferSize: number,
  whole: boolean,
  start: number,
  end: number,
): { readonly offset: number; readonly size: number } {
  const usable = bufferSize - (bufferSize % 4);
  const offset = whole ? 0 : Math.floor(start / 256) * 256;
  return { offset, size: Math.min(usable, whole ? usable : Math.ceil(end / 4) * 4) - offset };
}
