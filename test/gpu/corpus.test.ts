/**
 * Of the corpus that all runtimes are asked (test/everywhere), the part that goes for the edges, and whatever else takes
 * several kernels: the browser's digests are the committed ones.
 */
import { expect, test } from "vitest";
import { sections } from "../everywhere/corpus.ts";
import { deviceRows, open } from "../everywhere/device.ts";
import committed from "../everywhere/digest.json";
import { digestOf } from "../everywhere/suite.ts";
import { sharedDevice } from "../support/device.ts";

const device = await sharedDevice();
const asItComes = { name: "as it comes" };
const digests: Readonly<Record<string, string>> = committed.sections;
const asked = sections.filter(({ name }) => /edges|^float32.*told and written/u.test(name));

test.each(asked.map((section) => [section.name, section] as const))("%s", async (name, section) => {
  const opened = await open(device, section, asItComes);
  const digest = await digestOf(section, (_, call) => deviceRows(device, opened, section, call, asItComes));
  opened.sampler.destroy();
  expect(digest).toBe(digests[name]);
});

test("there are such sections", () => {
  expect(asked.map(({ name }) => name).join()).toMatch(
    /told and written.*edges, processed.*edges, stages.*edges, wide/u,
  );
});
