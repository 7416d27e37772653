/** Calls that wait in encoders, on a device that only keeps what is written: what they have put down stays as long as is promised. */
import { expect, test } from "vitest";
import type { Pipelines } from "../src/webgpu/pipelines.ts";
import { sameWords, WAITING_CALLS } from "../src/webgpu/slots.ts";
import { Workspace } from "../src/webgpu/workspace.ts";

interface FakeBuffer {
  readonly label: string;
  readonly size: number;
  readonly words: Map<number, Uint32Array>;
}

const SHAPE = { maxBatch: 4, chunkRows: 2, groups: 8 };

/** A workspace, and how many buffers for calls it has made. */
function workspaceWith(limits: object = {}): { workspace: Workspace; made: FakeBuffer[] } {
  const made: FakeBuffer[] = [];
  const device = {
    limits: {
      minStorageBufferOffsetAlignment: 256,
      maxBufferSize: 2 ** 28,
      maxStorageBufferBindingSize: 2 ** 27,
      ...limits,
    },
    createBuffer({ label, size }: { label: string; size: number }) {
      const buffer = { label, size, words: new Map<number, Uint32Array>(), destroy() {} };
      if (label.endsWith(".calls")) made.push(buffer);
      return buffer;
    },
    queue: {
      writeBuffer(buffer: FakeBuffer, offset: number, words: Uint32Array) {
        if (offset + words.byteLength > buffer.size) throw new RangeError("written behind the end");
        buffer.words.set(offset, words);
      },
    },
  };
  const workspace = new Workspace(device as unknown as GPUDevice, {} as Pipelines, SHAPE, new Set(), () => {});
  made.length = 0; // that of the sampler's own calls
  return { workspace, made };
}

/** An encoder, and what its calls expect to find. */
class Waiting {
  readonly encoder = {} as GPUCommandEncoder;
  readonly #finds: { buffer: FakeBuffer; offset: number; words: Uint32Array }[] = [];
  /** Calls that were recorded into others since the last of this one. */
  further = 0;

  record(workspace: Workspace, contents: number, staged: boolean = false, chunks: number = 1): void {
    const calls = Array.from({ length: chunks }, (_, chunk) => Uint32Array.of(contents, chunk));
    const { ring, offsets } = workspace.place(this.encoder, { staged, waits: true }, calls);
    const buffer = ring.buffer as unknown as FakeBuffer;
    offsets.forEach((offset, chunk) => this.#finds.push({ buffer, offset, words: calls[chunk]! }));
    this.further = 0;
  }

  check(): void {
    expect(this.#finds.filter(({ buffer, offset, words }) => !sameWords(buffer.words.get(offset), words))).toEqual([]);
  }
}

test.each([{}, { maxBufferSize: 4096 }])(
  "whatever is recorded into several encoders, by turns: what each finds is its own until 16 further calls, %j",
  (limits) => {
    const { workspace } = workspaceWith(limits);
    let state = 1;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    let encoders = [new Waiting()];
    let checks = 0;
    for (let call = 0; call < 8000; call++) {
      if (random(4) === 0) encoders.push(new Waiting());
      const encoder = encoders[random(encoders.length)]!;
      // Some contents come again, soon or late.
      const contents = random(3) === 0 ? random(30) : 100 + call;
      encoder.record(workspace, contents, random(4) === 0, 1 + random(2));
      for (const other of encoders) if (other !== encoder) other.further++;
      // Submitted in time, or as late as may be.
      for (const other of encoders) {
        if (other.further < WAITING_CALLS - 1 && random(40) > 0) continue;
        other.check();
        encoders = encoders.filter((each) => each !== other);
        checks++;
      }
      if (encoders.length === 0) encoders.push(new Waiting());
    }
    expect(checks).toBeGreaterThan(1000);
  },
);

test("memory is made for what waits at once, and then no more", () => {
  const { workspace, made } = workspaceWith();
  for (let call = 0; call < 10_000; call++) new Waiting().record(workspace, call);
  expect(made).toHaveLength(1);
  // An encoder that uses few contents again and again needs room for these.
  const many = new Waiting();
  for (let call = 0; call < 10_000; call++) many.record(workspace, 20_000 + (call % 40));
  expect(made.length).toBeLessThanOrEqual(3);
  const large = new Waiting();
  for (let call = 0; call < 500; call++) large.record(workspace, 30_000 + call);
  large.check();
  // What it has is free again a few calls later.
  const most = made.length + 1;
  for (let call = 0; call < 2000; call++) {
    const encoder = new Waiting();
    for (let each = 0; each < 1 + (call % 7); each++) encoder.record(workspace, 40_000 + 10 * call + each);
    encoder.check();
  }
  expect(made.length).toBeLessThanOrEqual(most);
});

test("calls that fill a buffer: as many buffers as wait, and none for the same call", () => {
  // Two slots of 256 bytes a call, so that sixteen calls are more than a buffer holds.
  const { workspace, made } = workspaceWith({ maxBufferSize: 4096 });
  for (let call = 0; call < 100; call++) new Waiting().record(workspace, 7, false, 2);
  expect(made).toHaveLength(1);
  for (let call = 0; call < 1000; call++) new Waiting().record(workspace, call, false, 2);
  expect(made.length).toBeLessThanOrEqual(3);
});
