/** Draws many tokens of one row: draw number i takes random number i of the seed's stream, on either engine. */
import { createSampler, type SamplingParams } from "webgpu-token-sampler";
import type { Gpu } from "../gpu.ts";

export interface Drawer {
  readonly engine: "webgpu" | "cpu";
  /** Draws number `from` and the following ones. `count` is at most `most`. */
  draw(params: SamplingParams, from: number, count: number): Promise<Uint32Array>;
  readonly most: number;
  /** Whether its device is gone: it draws no more then. */
  lost(): boolean;
  destroy(): void;
}

/** Rows of one call: all hold the same logits, each draws at a position of its own. */
const ROWS = 1024;
/** Calls with different positions that one command buffer takes. */
const CALLS = 16;

const positions = (params: SamplingParams, from: number, rows: number): SamplingParams[] =>
  Array.from({ length: rows }, (_, row) => ({ ...params, position: from + row }));

function repeated(logits: Float32Array, rows: number): Float32Array<ArrayBuffer> {
  const all = new Float32Array(rows * logits.length);
  for (let row = 0; row < rows; row++) all.set(logits, row * logits.length);
  return all;
}

/** Draws on the GPU; the tokens of up to 16,384 draws come back at once. */
export async function gpuDrawer(gpu: Gpu, logits: Float32Array): Promise<Drawer> {
  const { device } = gpu;
  const sampler = await createSampler({ vocabSize: logits.length, maxBatch: ROWS, engine: "webgpu", device });
  const most = ROWS * CALLS;
  const buffer = (noun: string, size: number, usage: number): GPUBuffer =>
    device.createBuffer({ label: `page.${noun}`, size, usage });
  const rows = repeated(logits, ROWS);
  const source = buffer("logits", rows.byteLength, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST);
  device.queue.writeBuffer(source, 0, rows);
  const tokens = buffer("tokens", 4 * most, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
  const readback = buffer("readback", 4 * most, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  const drawNow = async (params: SamplingParams, from: number, count: number): Promise<Uint32Array> => {
    const encoder = device.createCommandEncoder({ label: "page.draw" });
    for (let first = 0; first < count; first += ROWS) {
      const rows = Math.min(ROWS, count - first);
      const target = { logits: { buffer: source, rows }, tokens, tokensOffset: first };
      sampler.encode(encoder, target, positions(params, from + first, rows));
    }
    encoder.copyBufferToBuffer(tokens, 0, readback, 0, 4 * count);
    device.queue.submit([encoder.finish()]);
    await readback.mapAsync(GPUMapMode.READ, 0, 4 * count);
    const drawn = new Uint32Array(readback.getMappedRange(0, 4 * count)).slice();
    readback.unmap();
    return drawn;
  };
  let last: Promise<unknown> = Promise.resolve();
  return {
    engine: "webgpu",
    most,
    lost: () => gpu.lost() !== undefined,
    draw(params, from, count) {
      // They share a readback buffer, so they come one after the other: one that nobody waits for any more may be under way.
      const drawn = last.then(() => drawNow(params, from, count));
      last = drawn.catch(() => undefined);
      return drawn;
    },
    destroy() {
      sampler.destroy();
      for (const owned of [source, tokens, readback]) owned.destroy();
    },
  };
}

/** Draws on the CPU. */
export async function cpuDrawer(logits: Float32Array): Promise<Drawer> {
  const sampler = await createSampler({ vocabSize: logits.length, maxBatch: ROWS, engine: "cpu" });
  const rows = repeated(logits, ROWS);
  return {
    engine: "cpu",
    most: ROWS,
    lost: () => false,
    async draw(params, from, count) {
      const { tokens } = await sampler.sample(rows.subarray(0, count * logits.length), positions(params, from, count));
      return tokens;
    },
    destroy: () => sampler.destroy(),
  };
}

const FIRST = 256;
/** Draws go out in lots of about this many milliseconds: short enough to watch and to stop. */
const LOT_MS = 60;

/**
 * Draws `count` tokens in lots that grow while they are quick.
 *
 * @param from number of the first draw
 * @param seen gets the tokens of each lot
 * @returns milliseconds that the drawing took, without what `seen` did
 */
export async function drawMany(
  drawer: Drawer,
  params: SamplingParams,
  from: number,
  count: number,
  seen: (tokens: Uint32Array) => Promise<void>,
  signal: AbortSignal,
): Promise<number> {
  let lot = Math.min(FIRST, drawer.most);
  let milliseconds = 0;
  for (let done = 0; done < count && !signal.aborted;) {
    const size = Math.min(lot, count - done);
    const started = performance.now();
    const tokens = await drawer.draw(params, from + done, size);
    const took = performance.now() - started;
    milliseconds += took;
    done += size;
    if (took < LOT_MS) lot = Math.min(2 * lot, drawer.most);
    await seen(tokens);
  }
  return milliseconds;
}
