/** The read limit: kernels that do nothing but read the logits, of which the fastest on this adapter counts. */
import { adapterClass } from "../src/webgpu/tuning.ts";
import type { Clock, Record } from "./clock.ts";
import type { Copies } from "./copies.ts";
import { median } from "./statistics.ts";

/**
 * Each invocation reads `run` quads (16 bytes), either side by side or a workgroup's width apart, and goes on with the
 * next block while there are any. What was read is folded into a maximum and all but never written, so that no
 * compiler can leave the reads out.
 */
function source({ size, run, strided }: ReadShape): string {
  const stride = strided ? size : 1;
  const reads = Array.from({ length: run }, (_, at) => `largest = max(largest, logits[at + ${at * stride}u]);`);
  return /* wgsl */ `
@group(0) @binding(0) var<storage, read> logits: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> seen: array<u32>;

@compute @workgroup_size(${size})
fn read_all(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let quads = arrayLength(&logits);
  let step = workgroups.x * ${size * run}u;
  var largest = vec4(0u);
  var at = workgroup.x * ${size * run}u + ${strided ? "lane" : `lane * ${run}u`};
  for (; at + ${(run - 1) * stride}u < quads; at += step) {
    ${reads.join("\n    ")}
  }
  for (; at < quads; at += ${stride}u) {
    largest = max(largest, logits[at]);
  }
  if (all(largest == vec4(0x12345678u))) {
    seen[0] = 1u;
  }
}
`;
}

interface ReadShape {
  readonly size: number;
  readonly run: number;
  readonly strided: boolean;
  /** Workgroups; each goes on until everything is read. */
  readonly workgroups: number;
}

const name = ({ size, run, strided, workgroups }: ReadShape): string =>
  `${workgroups} × ${size} invocations, ${run} quads ${strided ? "a workgroup apart" : "side by side"}`;

/** What is tried: few looping workgroups of contiguous blocks for CPUs, many wide ones for GPUs. */
function shapesFor(software: boolean, bytes: number): ReadShape[] {
  const shapes: ReadShape[] = [];
  const add = (size: number, run: number, strided: boolean, counts: readonly number[]): void => {
    const most = Math.max(1, Math.ceil(bytes / 16 / size / run));
    for (const workgroups of new Set(counts.map((count) => Math.min(count, most, 65_535)))) {
      shapes.push({ size, run, strided, workgroups });
    }
  };
  if (software) {
    add(32, 4, false, [8, 64, 512]);
    add(32, 16, false, [8, 64, 512]);
    add(128, 8, false, [16]);
    add(64, 4, true, [64]);
  } else {
    add(256, 4, true, [256, 512, 1024, 2048, 4096, 65_535]);
    add(256, 8, true, [256, 512, 1024, 2048]);
    add(512, 4, true, [512, 1024]);
    add(128, 4, true, [1024, 4096, 65_535]);
    add(256, 4, false, [1024, 4096]);
  }
  return shapes;
}

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
    const tried = shapesFor(software, bytes).map((shape) => ({
      shape,
      record: this.#record(shape, copies),
      times: [] as number[],
    }));
    const count = await clock.calibrate(tried[0]!.record, targetMs / 2);
    for (let round = 0; round < 4; round++) {
      for (const { record, times } of tried) {
        const { gpu, wall } = await clock.time(record, count);
        if (round > 0) times.push(gpu ?? wall);
      }
    }
    const best = tried.reduce((a, b) => (median(b.times) < median(a.times) ? b : a));
    return { kernel: name(best.shape), record: best.record };
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
    return (encoder) => {
      const pass = encoder.beginComputePass({ label: "bench.read-limit" });
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, groupOf(copies.next()));
      pass.dispatchWorkgroups(shape.workgroups);
      pass.end();
    };
  }

  #pipeline(shape: ReadShape): GPUComputePipeline {
    const code = source(shape);
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
