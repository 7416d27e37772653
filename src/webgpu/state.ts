import type { EngineState } from "../engine.ts";
import type { RowState } from "../reference/stages.ts";
import { RECORD_STATE, RECORD_WORDS } from "./pack.ts";
import { recorded, USAGE, type Workspace } from "./workspace.ts";

const STATE_BYTES = 12;

/** Reads words of a buffer back. */
export type ReadBack = (
  bytes: number,
  record: (encoder: GPUCommandEncoder, readback: GPUBuffer) => void,
) => Promise<Uint32Array>;

/** What stages know of the rows: some words of each row's record. */
export class GpuState implements EngineState {
  readonly #device: GPUDevice;
  readonly #workspace: Workspace;
  readonly #readBack: ReadBack;
  readonly #between: GPUBuffer;

  constructor(device: GPUDevice, workspace: Workspace, maxBatch: number, readBack: ReadBack) {
    this.#device = device;
    this.#workspace = workspace;
    this.#readBack = readBack;
    this.#between = workspace.buffer("state-copy", STATE_BYTES * maxBatch, USAGE.COPY_SRC | USAGE.COPY_DST);
  }

  reset(rows: readonly number[], encoder?: GPUCommandEncoder): void {
    recorded(this.#device, encoder, "state", (commands) => {
      for (const row of rows) commands.clearBuffer(this.#workspace.records, place(row), STATE_BYTES);
    });
  }

  copy(pairs: readonly (readonly [from: number, to: number])[], encoder?: GPUCommandEncoder): void {
    const { records } = this.#workspace;
    // A buffer cannot be copied within itself, and every row is to be read before any is written.
    const between = this.#between;
    recorded(this.#device, encoder, "state", (commands) => {
      for (const [from, to] of pairs)
        commands.copyBufferToBuffer(records, place(from), between, STATE_BYTES * to, STATE_BYTES);
      for (const [, to] of pairs)
        commands.copyBufferToBuffer(between, STATE_BYTES * to, records, place(to), STATE_BYTES);
    });
  }

  async read(row: number): Promise<RowState> {
    const [mirostat, adaptiveSum, adaptiveTotal] = await this.#readBack(STATE_BYTES, (encoder, readback) =>
      encoder.copyBufferToBuffer(this.#workspace.records, place(row), readback, 0, STATE_BYTES),
    );
    return { mirostat: mirostat! | 0, adaptiveSum: adaptiveSum!, adaptiveTotal: adaptiveTotal! };
  }
}

/** Byte of a row's state in the records. */
function place(row: number): number {
  return 4 * (row * RECORD_WORDS + RECORD_STATE);
}
