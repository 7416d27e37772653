import { expect, test } from "vitest";
import { type KernelName, KERNELS } from "../../src/webgpu/kernels.ts";
import { shaderSource } from "../../src/webgpu/shader.ts";
import { sharedDevice } from "../support/device.ts";

const device = await sharedDevice();
const subgroups = device.features.has("subgroups");

test.each(Object.keys(KERNELS) as KernelName[])("%s compiles in every variant, without a message", async (name) => {
  for (const SUBGROUPS of subgroups ? [false, true] : [false]) {
    for (const [HALF, BFLOAT] of [
      [false, false],
      [true, false],
      [true, true],
    ] as const) {
      const module = device.createShaderModule({
        code: shaderSource(KERNELS[name].source, { HALF, BFLOAT, SUBGROUPS }),
      });
      const { messages } = await module.getCompilationInfo();
      expect(messages.map(({ lineNum, message }) => `${lineNum}: ${message}`)).toEqual([]);
    }
  }
});

test("this device has subgroups, so that both variants are tested", () => {
  expect(subgroups).toBe(true);
});
