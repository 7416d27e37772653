/** The bench's read limit is only a limit if its kernels read everything. */
import { describe, expect, it } from "vitest";
import { readShapes, readSource, type ReadShape, SENTINEL, workgroupsOf } from "../../bench/limit.ts";
import { COPY_DST, COPY_SRC, sharedDevice, STORAGE } from "../support/device.ts";

const device = await sharedDevice();
const ALIGNED = 256;
const most = device.limits.maxComputeInvocationsPerWorkgroup;

/** A quad is told from zeros in one place after the other: which ones the kernel has noticed. */
async function found(shape: ReadShape, workgroups: number, quads: number): Promise<number[]> {
  const stride = Math.ceil((16 * quads) / ALIGNED) * ALIGNED;
  const words = new Uint32Array((stride * quads) / 4);
  for (let at = 0; at < quads; at++) words.fill(SENTINEL, (stride / 4) * at + 4 * at, (stride / 4) * at + 4 * at + 4);
  const logits = device.createBuffer({ label: "test.logits", size: words.byteLength, usage: STORAGE | COPY_DST });
  device.queue.writeBuffer(logits, 0, words);
  const seen = device.createBuffer({ label: "test.seen", size: ALIGNED * quads, usage: STORAGE | COPY_SRC });
  const readback = device.createBuffer({ label: "test.readback", size: seen.size, usage: 0x0001 | COPY_DST });
  const module = device.createShaderModule({ label: "test.read", code: readSource(shape) });
  const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module } });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  for (let at = 0; at < quads; at++) {
    const entries = [
      { binding: 0, resource: { buffer: logits, offset: stride * at, size: 16 * quads } },
      { binding: 1, resource: { buffer: seen, offset: ALIGNED * at, size: 4 } },
    ];
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(workgroups);
  }
  pass.end();
  encoder.copyBufferToBuffer(seen, 0, readback, 0, seen.size);
  device.queue.submit([encoder.finish()]);
  await readback.mapAsync(1);
  const flags = new Uint32Array(readback.getMappedRange());
  const places = Array.from({ length: quads }, (_, at) => at).filter((at) => flags[(ALIGNED / 4) * at] === 1);
  for (const buffer of [logits, seen, readback]) buffer.destroy();
  return places;
}

describe.each([true, false])("kernels of the read limit, on a CPU: %s", (software) => {
  it.each([1, 5, 129, 515])("read each of %i quads", async (quads) => {
    for (const shape of readShapes(software, 16 * quads, most)) {
      // A single workgroup has to loop.
      for (const one of shape.workgroups === undefined ? [shape] : [shape, { ...shape, workgroups: 1 }]) {
        const places = await found(one, workgroupsOf(one, 16 * quads), quads);
        expect(places.length, JSON.stringify(one)).toBe(quads);
      }
    }
  });

  it("are told from those that leave something out", async () => {
    for (const shape of readShapes(software, 16 * 515, most).filter(({ workgroups }) => workgroups === undefined)) {
      const workgroups = workgroupsOf(shape, 16 * 515);
      if (workgroups > 1) expect((await found(shape, workgroups - 1, 515)).length).toBeLessThan(515);
    }
  });
});
