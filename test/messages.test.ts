/** The texts of the page. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { en } from "../demo/page/messages/en.ts";

test("every text of the page is used", () => {
  const files = readdirSync("demo/page", { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(".ts") && !/^(messages|dist)\b/u.test(file),
  );
  const code = files.map((file) => readFileSync(`demo/page/${file}`, "utf8")).join("\n");
  // Views take them from words() or from what they call `text`.
  const used = new Set(Array.from(code.matchAll(/\b(?:words\(\)|text)\s*\.(\w+)/gu), ([, name]) => name));
  expect(Object.keys(en).filter((name) => !used.has(name))).toEqual([]);
});
