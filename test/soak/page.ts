/** The soak in a page that `scripts/soak.mjs` opens. */
import { requestDevice } from "../support/device.ts";
import { growth, soak } from "./soak.ts";

Object.assign(globalThis, {
  soak: async (calls: number, readings: number, minutes: number) => {
    const device = await requestDevice();
    const result = await soak(
      device,
      calls,
      readings,
      (reading) => console.log(JSON.stringify(reading)),
      performance.now() + minutes * 60_000,
    );
    const { vendor, architecture, device: name, description } = device.adapterInfo;
    return {
      ...result,
      growth: growth(result),
      adapter: [vendor, architecture, name, description].filter(Boolean).join(" "),
    };
  },
});
