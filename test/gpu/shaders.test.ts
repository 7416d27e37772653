import { expect, test } from "vitest";
import { KERNELS, PROCESSING_KERNELS, stagesOf } from "../../src/webgpu/kernels.ts";
import { shaderSource } from "../../src/webgpu/shader.ts";
import { sharedDevice } from "../support/device.ts";

const device = await sharedDevice();
const subgroups = device.features.has("subgroups");

const kernels = { ...KERNELS, ...PROCESSING_KERNELS };

test.each(Object.keys(kernels) as (keyof typeof kernels)[])(
  "%s compiles in every variant, without a message",
  async (name) => {
    for (const SUBGROUPS of subgroups ? [false, true] : [false]) {
      for (const [HALF, BFLOAT] of [
        [false, false],
        [true, false],
        [true, true],
      ] as const) {
        for (const PROCESSED of name in KERNELS ? [false, true] : [false]) {
          for (const STAGES of name in KERNELS ? stagesOf(name) : [false]) {
            const flags = { HALF, BFLOAT, SUBGROUPS, PROCESSED, STAGES };
            const code = shaderSource(kernels[name].source, flags, kernels[name].library);
            const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
            expect(messages.map(({ lineNum, message }) => `${lineNum}: ${message}`)).toEqual([]);
          }
        }
      }
    }
  },
);

test("this device has subgroups, so that both variants are tested", () => {
  expect(subgroups).toBe(true);
});
