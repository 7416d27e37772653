/** The read limit: kernels that do nothing but read the logits, of which the fastest on this adapter counts. */
import { adapterClass } from "../src/webgpu/tuning.ts";
import type { Clock, Record } from "./clock.ts";
import type { Copies } from "./copies.ts";

/** How a buffer is read. */
export interface ReadShape {
  /** Invocations of a workgroup. */
  readonly size: number;
  /** Quads (16 bytes) that an invocation reads one after the other, with no loop around them. */
  readonly run: number;
  /** Whether these lie a workgroup's width apart, and not side by side. */
  readonly strided: boolean;
  /** Workgroups that loop until everything is read; absent: as many as it takes, without a loop. */
  readonly workgroups?: number;
}

/** Bits that are nowhere: only a buffer that is full of them would be noticed. */
export const SENTINEL = 0x1234_5678;

/**
 * A kernel that reads everything. What was read is folded by `or`, as cheap as anything (where a CPU runs shaders, a
 * maximum of unsigned integers costs several times as much), and all but never written, so that no compiler can leave the
 * reads out. Without a loop the last workgroup may read behind the end, which gives some quad of the buffer, or zeros.
 */
export function readSource({ size, run, strided, workgroups }: ReadShape): string {
  const stride = strided ? size : 1;
  const reads = Array.from({ length: run }, (_, at) => `folded |= logits[at + ${at * stride}u];`).join("\n    ");
  const start = `workgroup.x * ${size * run}u + ${strided ? "lane" : `lane * ${run}u`}`;
  const body =
    workgroups === undefined
      ? `
  let at = ${start};
    ${reads}`
      : `
  let quads = arrayLength(&logits);
  let step = workgroups.x * ${size * run}u;
  var at = ${start};
  for (; at + ${(run - 1) * stride}u < quads; at += step) {
    ${reads}
  }
  for (; at < quads; at += ${stride}u) {
    folded |= logits[at];
  }`;
  return /* wgsl */ `
@group(0) @binding(0) var<storage, read> logits: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> seen: array<u32>;

@compute @workgroup_size(${size})
fn read_all(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  var folded = vec4(0u);${body}
  if (all(folded == vec4(${SENTINEL}u))) {
    seen[0] = 1u;
  }
}
`;
}

/** How many workgroups read so many bytes: without a loop, as many as cover everything. */
export const workgroupsOf = ({ size, run, workgroups }: ReadShape, bytes: number): number =>
  workgroups ?? Math.max(1, Math.ceil(bytes / 16 / size / run));

function name(shape: ReadShape, bytes: number): string {
  const { size, run, strided, workgroups } = shape;
  const quads = `${run} quad${run === 1 ? "" : "s"} ${strided ? "a workgroup apart" : "side by side"}`;
  return `${workgroupsOf(shape, bytes)} × ${size} invocations, ${quads}${workgroups === undefined ? ", no loop" : ""}`;
}

const MOST_GROUPS = 65_535;

/**
 * What is tried on a buffer: few looping workgroups of contiguous blocks for CPUs, many wide ones for GPUs, and on both
 * as many as it takes without a loop.
 *
 * @param most invocations of a workgroup that the device allows
 */
export function readShapes(software: boolean, bytes: number, most: number): ReadShape[] {
  const shapes: ReadShape[] = [];
  const loops = (size: number, run: number, strided: boolean, counts: readonly number[]): void => {
    const all = workgroupsOf({ size, run, strided }, bytes);
    for (const workgroups of new Set(counts.map((count) => Math.min(count, all, MOST_GROUPS)))) {
      shapes.push({ size, run, strided, workgroups });
    }
  };
  const straight = (size: number, run: number, strided: boolean): void => {
    if (workgroupsOf({ size, run, strided }, bytes) <= MOST_GROUPS) shapes.push({ size, run, strided });
  };
  if (software) {
    loops(32, 4, false, [8, 64, 512]);
    loops(32, 16, false, [8, 64, 512]);
    loops(128, 8, false, [16]);
    loops(64, 4, true, [64]);
    straight(32, 4, false);
    straight(32, 16, false);
    straight(128, 4, false);
    straight(256, 4, false);
    straight(256, 8, false);
  } else {
    loops(256, 4, true, [256, 512, 1024, 2048, 4096, MOST_GROUPS]);
    loops(256, 8, true, [256, 512, 1024, 2048]);
    loops(512, 4, true, [512, 1024]);
    loops(128, 4, true, [1024, 4096, MOST_GROUPS]);
    loops(256, 4, false, [1024, 4096]);
    straight(256, 1, true);
    straight(256, 4, true);
    straight(256, 8, true);
    straight(256, 16, true);
    straight(128, 4, true);
  }
  return shapes.filter(({ size }) => size <= most);
}

/** Rounds in which the kernels are tried; the first one warms up. */
const ROUNDS = 5;

/** Reads whole buffers. */
export class ReadLimit {
  readonly #device: GPUDevice;
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  readonly #seen: GPUBuffer;

  constructor(device: GPUDevice) {
    this.#device = device;
    this.#seen = device.createBuffer({ label: "bench.read-limit", size: 4, usage: 0x0080 });
  }

  /** Tries all kernels on the buffers, and returns the fastest. */
  async fastest(copies: Copies, clock: Clock, targetMs: number): Promise<{ kernel: string; record: Record }> {
    const software = adapterClass((this.#device as { adapterInfo?: GPUAdapterInfo }).adapterInfo) !== "gpu";
    const bytes = copies.first.size;
    const most = this.#device.limits.maxComputeInvocationsPerWorkgroup;
    const tried = readShapes(software, bytes, most).map((shape) => ({
      shape,
      record: this.#record(shape, copies),
      least: Infinity,
    }));
    const count = await clock.calibrate(tried[0]!.record, targetMs / 2);
    for (let round = 0; round < ROUNDS; round++) {
      for (const one of tried) {
        const { gpu, wall } = await clock.time(one.record, count);
        // What else the machine does only adds to a time.
        if (round > 0) one.least = Math.min(one.least, gpu ?? wall);
      }
    }
    const best = tried.reduce((a, b) => (b.least < a.least ? b : a));
    return { kernel: name(best.shape, bytes), record: best.record };
  }

  #record(shape: ReadShape, copies: Copies): Record {
    const pipeline = this.#pipeline(shape);
    const groups = new Map<GPUBuffer, GPUBindGroup>();
    const groupOf = (buffer: GPUBuffer): GPUBindGroup => {
      let group = groups.get(buffer);
      if (group === undefined) {
        group = this.#device.createBindGroup({
          label: "bench.read-limit",
          layout: pipeline.getBindGroupLayout(0),
          entries: [
            { binding: 0, resource: { buffer } },
            { binding: 1, resource: { buffer: this.#seen } },
          ],
        });
        groups.set(buffer, group);
      }
      return group;
    };
    const workgroups = workgroupsOf(shape, copies.first.size);
    return (encoder) => {
      const pass = encoder.beginComputePass({ label: "bench.read-limit" });
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, groupOf(copies.next()));
      pass.dispatchWorkgroups(workgroups);
      pass.end();
    };
  }

  #pipeline(shape: ReadShape): GPUComputePipeline {
    const code = readSource(shape);
    let pipeline = this.#pipelines.get(code);
    if (pipeline === undefined) {
      const module = this.#device.createShaderModule({ label: "bench.read-limit", code });
      pipeline = this.#device.createComputePipeline({
        label: "bench.read-limit",
        layout: "auto",
        compute: { module, entryPoint: "read_all" },
      });
      this.#pipelines.set(code, pipeline);
    }
    return pipeline;
  }

  destroy(): void {
    this.#seen.destroy();
  }
}
