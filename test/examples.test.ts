/** The code in the documentation is the code of the examples, which test/integrations/examples.test.ts runs. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const text = readFileSync("docs/integrations.md", "utf8");
const shown = new Map(
  Array.from(text.matchAll(/<!-- example: (\S+) -->\n\n```ts\n([\s\S]*?)```\n/g), ([, name, code]) => [name!, code!]),
);
const names = readdirSync("examples").filter((file) => file.endsWith(".ts"));

test("every example is in docs/integrations.md, and every block of code there is an example", () => {
  expect([...shown.keys()].sort()).toEqual(names.filter((name) => name !== "main.ts").sort());
  expect(text.match(/```ts/g)).toHaveLength(shown.size);
});

test.each([...shown])("docs/integrations.md has examples/%s as it is", (name, code) => {
  expect(code).toBe(readFileSync(`examples/${name}`, "utf8"));
});

test("the ONNX model and its tokenizer are small", () => {
  expect(readFileSync("demo/model/tales/onnx/model.onnx").length).toBeLessThan(2_000_000);
  const { model } = JSON.parse(readFileSync("demo/model/tales/tokenizer.json", "utf8")) as {
    model: { vocab: unknown[] };
  };
  expect(model.vocab.length).toBeGreaterThanOrEqual(2000);
});
