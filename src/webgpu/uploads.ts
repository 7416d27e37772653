/** Logits of the caller's arrays on their way to the GPU. */
import { show } from "../check.ts";
import { isGPUBuffer, type LogitsView } from "../engine.ts";
import { USAGE, type Workspace } from "./workspace.ts";

/** Rows whose data goes up at once. */
interface Part {
  readonly firstRow: number;
  readonly rows: number;
  /** The rows of logits that go up, in this order. */
  readonly sources: readonly number[];
  /** Which of them each row reads; its own if left out. */
  readonly rowMap: Uint32Array | undefined;
}

/** Rows of a call with their logits on the GPU. */
export interface Uploaded {
  readonly view: LogitsView;
  readonly source: GPUBuffer;
  /** Of the call. */
  readonly firstRow: number;
  /** Whether no part comes after it. */
  readonly last: boolean;
}

/** What goes up, and how much of it at once. */
export interface UploadShape {
  readonly vocabSize: number;
  /** Bytes of a buffer at most. */
  readonly limit: number;
  /** Bytes of a logit. */
  readonly bytes: 2 | 4;
}

/** The uploads of one engine. */
export class Uploads {
  readonly #device: GPUDevice;
  readonly #workspace: Workspace;
  readonly #vocabSize: number;
  /** Rows of logits that one buffer holds. */
  readonly #rows: number;

  constructor(device: GPUDevice, workspace: Workspace, { vocabSize, limit, bytes }: UploadShape) {
    this.#device = device;
    this.#workspace = workspace;
    this.#vocabSize = vocabSize;
    this.#rows = Math.max(1, Math.floor((limit - 4) / (vocabSize * bytes)));
  }

  /** The parts of a call, each with its logits on the GPU. Each must be submitted before the next is asked for. */
  *parts(logits: LogitsView): Generator<Uploaded> {
    if (isGPUBuffer(logits.source)) {
      yield { view: logits, source: logits.source, firstRow: 0, last: true };
      return;
    }
    for (const { firstRow, rows, sources, rowMap } of this.#cut(logits)) {
      const data = this.#pack(logits, sources);
      const source = this.#workspace.upload(data.byteLength);
      this.#write(source, data);
      const view = { source, offset: 0, rowStride: this.#vocabSize, rows, rowMap };
      yield { view, source, firstRow, last: firstRow + rows === logits.rows };
    }
  }

  /**
   * The parts of a call that waits for the GPU between them, each with its logits in a buffer that is its own until the next
   * one is asked for.
   *
   * @param mostRows of one part
   */
  *held(logits: LogitsView, mostRows: number = Infinity): Generator<Uploaded> {
    const { source } = logits;
    const parts = this.#cut(logits, mostRows);
    if (isGPUBuffer(source)) {
      for (const { firstRow, rows } of parts) {
        const rowMap = logits.rowMap?.slice(firstRow, firstRow + rows);
        const offset = rowMap === undefined ? logits.offset + firstRow * logits.rowStride : logits.offset;
        yield { view: { ...logits, offset, rows, rowMap }, source, firstRow, last: firstRow + rows === logits.rows };
      }
      return;
    }
    // What does not go up at once is copied: the caller may have new logits there by the time it does.
    const data = parts.map(({ sources }) => {
      const words = this.#pack(logits, sources);
      return parts.length === 1 ? words : words.slice();
    });
    for (const [index, { firstRow, rows, rowMap }] of parts.entries()) {
      const words = data[index]!;
      const buffer = this.#workspace.buffer("logits", words.byteLength, USAGE.STORAGE | USAGE.COPY_DST);
      try {
        this.#write(buffer, words);
        const view = { source: buffer, offset: 0, rowStride: this.#vocabSize, rows, rowMap };
        yield { view, source: buffer, firstRow, last: index === parts.length - 1 };
      } finally {
        this.#workspace.release(buffer);
      }
    }
  }

  /** Cuts a call into parts whose rows of logits fit a buffer; what several rows read goes up once. */
  #cut({ rows, rowMap }: LogitsView, mostRows = Infinity): Part[] {
    const parts: Part[] = [];
    for (let firstRow = 0, count = 0; firstRow < rows; firstRow += count) {
      const places = new Map<number, number>();
      const map: number[] = [];
      for (count = 0; count < mostRows && firstRow + count < rows; count++) {
        const row = rowMap?.[firstRow + count] ?? firstRow + count;
        const place = places.get(row) ?? places.size;
        if (place === this.#rows) break;
        places.set(row, place);
        map.push(place);
      }
      const part = { firstRow, rows: count, sources: [...places.keys()] };
      parts.push({ ...part, rowMap: rowMap && Uint32Array.from(map) });
    }
    return parts;
  }

  /** Rows of the caller's array without gaps: a view where they lie so already, else a copy. */
  #pack({ source, offset, rowStride }: LogitsView, rows: readonly number[]): Float32Array | Uint16Array {
    const data = source as Float32Array | Uint16Array;
    const starts = rows.map((row) => offset + row * rowStride);
    const length = rows.length * this.#vocabSize;
    const [at] = starts as [number];
    if (starts.every((start, place) => start === at + place * this.#vocabSize)) return data.subarray(at, at + length);
    const packed = data instanceof Float32Array ? new Float32Array(length) : new Uint16Array(length);
    starts.forEach((start, place) =>
      packed.set(data.subarray(start, start + this.#vocabSize), place * this.#vocabSize),
    );
    return packed;
  }

  /** Writes an array, whose last word may be half full. */
  #write(buffer: GPUBuffer, data: Float32Array | Uint16Array): void {
    let whole = data;
    if (data.byteLength % 4 !== 0) {
      whole = new Uint16Array(data.length + 1);
      whole.set(data);
    } else if (show(data.buffer) === "SharedArrayBuffer") {
      whole = data.slice(); // memory that is shared ends the process in Dawn for Node
    }
    this.#device.queue.writeBuffer(buffer, 0, whole as Float32Array<ArrayBuffer>);
  }
}
