/**
 * The least a sampler can take: a kernel that only reads the logits. A few shapes are tried, since what suits a GPU does not
 * suit a CPU that runs shaders, and the fastest is the limit.
 */
const SHAPES = [
  { size: 32, run: 8, workgroups: 64 },
  { size: 32, run: 4, workgroups: 64 },
  { size: 256, run: 1, workgroups: 1024 },
  { size: 256, run: 4, workgroups: 4096 },
];
const AMORTISED = 6;

function source({ size, run }: { size: number; run: number }): string {
  const reads = Array.from({ length: run }, (_, i) => `m = max(m, data[at + ${i}u]);`).join(" ");
  return `
    @group(0) @binding(0) var<storage, read> data: array<vec4<u32>>;
    @group(0) @binding(1) var<storage, read_write> out: array<u32>;
    @compute @workgroup_size(${size})
    fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>) {
      var m = vec4(0u);
      for (var i = id.x; i < arrayLength(&data) / ${run}u; i += n.x * ${size}u) { let at = i * ${run}u; ${reads} }
      if (max(max(m.x, m.y), max(m.z, m.w)) == 0x12345u) { out[0] = 1u; } // so that nothing is left out
    }`;
}

/** Prepares the limit for a buffer; each call measures one pass over it, in milliseconds, amortised over several. */
export async function readLimit(device: GPUDevice, buffer: GPUBuffer): Promise<() => Promise<number>> {
  const out = device.createBuffer({ label: "bench limit", size: 4, usage: 128 });
  const candidates: { time: () => Promise<number>; best: number }[] = [];
  for (const shape of SHAPES) {
    const module = device.createShaderModule({ label: "bench limit", code: source(shape) });
    const pipeline = await device.createComputePipelineAsync({
      label: "bench limit",
      layout: "auto",
      compute: { module },
    });
    const group = device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [buffer, out].map((resource, binding) => ({ binding, resource: { buffer: resource } })),
    });
    const time = async (): Promise<number> => {
      const encoder = device.createCommandEncoder();
      for (let i = 0; i < AMORTISED; i++) {
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(shape.workgroups);
        pass.end();
      }
      const start = performance.now();
      device.queue.submit([encoder.finish()]);
      await device.queue.onSubmittedWorkDone();
      return (performance.now() - start) / AMORTISED;
    };
    await time();
    candidates.push({ time, best: Math.min(await time(), await time(), await time()) });
  }
  return candidates.reduce((a, b) => (b.best < a.best ? b : a)).time;
}
