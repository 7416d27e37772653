import type { Page } from "playwright";
import { afterEach, describe, expect, test } from "vitest";
import { en } from "../../demo/page/messages/en.ts";
import { zh } from "../../demo/page/messages/zh.ts";
import { visible } from "../../demo/page/playground/rows.ts";
import { createSampler, type SamplingParams } from "../../src/index.ts";
import { candidatesOf, ngramModel, writeText } from "./support/expected.ts";
import { loseDevices, useSite } from "./support/site.ts";

const site = useSite();
afterEach(() => site().leave());

const OPEN: SamplingParams = { temperature: 1.2, topP: 0.95 };
const QUERY = "?tab=generate&temperature=1.2&topK=0&topP=0.95";

const writeButton = (page: Page) => page.getByRole("button", { name: en.write, exact: true });
const status = (page: Page) => page.locator(".generate .status");
const textOf = (page: Page, engine: "webgpu" | "cpu"): Promise<string> =>
  page.locator(`.column[data-engine="${engine}"] [role="listbox"]`).evaluate((list) => list.textContent);
const written = (page: Page, engine: "webgpu" | "cpu"): Promise<number> =>
  page.locator(`.column[data-engine="${engine}"] .token`).count();

describe("the same seed, the same text, on both engines", () => {
  test("with the pointer, and another seed", async () => {
    const page = await site().visit({ query: `${QUERY}&length=40` });
    for (const seed of [7n, 8n]) {
      await page.getByLabel(en.seed, { exact: true }).last().fill(String(seed));
      await writeButton(page).click();
      await expect.poll(() => status(page).textContent()).toBe(en.same(40));
      const { text } = writeText("The sampler", OPEN, seed, 40);
      expect(await textOf(page, "webgpu")).toBe(text);
      expect(await textOf(page, "cpu")).toBe(text);
    }
    await page.locator('.column[data-engine="cpu"] .token').nth(4).hover();
    await expect.poll(() => page.locator(".candidates .note").textContent()).toContain(en.candidatesOf(5));
    expect(writeText("The sampler", OPEN, 7n, 40).text).not.toBe(writeText("The sampler", OPEN, 8n, 40).text);
  });

  test("with the keyboard: Enter writes, arrows walk, each token shows its candidates", async () => {
    const page = await site().visit({ query: `${QUERY}&length=20` });
    await page.getByLabel(en.prompt).fill("A logit");
    await page.keyboard.press("Enter");
    await expect.poll(() => status(page).textContent()).toBe(en.same(20));
    const { rows, tokens, pieces } = writeText("A logit", OPEN, 7n, 20);
    const first = page.locator('.column[data-engine="webgpu"] .token').first();
    await first.focus();
    for (const [presses, step] of [
      ["ArrowRight", 1],
      ["ArrowDown", 2],
      ["ArrowLeft", 1],
      ["End", 19],
      ["ArrowRight", 19],
      ["Home", 0],
    ] as const) {
      await page.keyboard.press(presses);
      await expect.poll(() => page.locator(".candidates .note").textContent()).toContain(en.candidatesOf(step + 1));
      expect(await page.evaluate(() => document.activeElement!.textContent)).toBe(pieces[step]);
      // Marked in both columns.
      expect(await page.locator(".token.marked").allTextContents()).toEqual([pieces[step], pieces[step]]);
      const expected = candidatesOf(rows[step]!, OPEN);
      const shown = await page.locator(".candidates li").evaluateAll((items) =>
        items.map((item) => ({
          name: item.querySelector(".name")!.textContent,
          share: item.querySelector(".number")!.textContent,
          drawn: item.classList.contains("is-drawn"),
        })),
      );
      expect(shown).toEqual(
        expected.slice(0, 10).map(({ token, probability }) => ({
          name: visible(ngramModel().tokenizer.decode([token])),
          share: `${(100 * probability).toFixed(probability < 0.01 ? 2 : 1)}%`,
          drawn: token === tokens[step],
        })),
      );
    }
  });
});

test("penalties look back at the text, on both engines", async () => {
  const page = await site().visit({ query: `${QUERY}&length=30&repetitionPenalty=1.5&frequencyPenalty=1` });
  await writeButton(page).click();
  await expect.poll(() => status(page).textContent()).toBe(en.same(30));
  const penalties: SamplingParams = { ...OPEN, repetitionPenalty: 1.5, frequencyPenalty: 1 };
  const { tokenizer, vocabSize } = ngramModel();
  const sampler = await createSampler({ vocabSize, maxHistory: 100, engine: "cpu" });
  const prompt = tokenizer.encode("The sampler");
  sampler.history.set(0, prompt);
  const text: number[] = [];
  const rows: Float32Array[] = [];
  for (let position = 0; position < 30; position++) {
    const logits = new Float32Array(vocabSize);
    ngramModel().logits([...prompt, ...text], logits);
    const { tokens } = await sampler.sample(logits, { ...penalties, seed: 7n, position });
    rows.push(logits);
    text.push(tokens[0]!);
  }
  expect(await textOf(page, "webgpu")).toBe(tokenizer.decode(text));
  expect(text).not.toEqual(writeText("The sampler", OPEN, 7n, 30).tokens);
  // And so do the candidates of a step, here of the last one whose first ten would be others without penalties.
  const lists: number[][] = [];
  for (const [step, logits] of rows.entries()) {
    sampler.history.set(0, prompt, text.slice(0, step));
    const [list] = await sampler.candidates(logits, penalties);
    lists.push(Array.from(list!.tokens.slice(0, 10)));
  }
  const differs = lists.map((list, at) => {
    const without = candidatesOf(rows[at]!, OPEN).slice(0, 10);
    return list.join() !== without.map(({ token }) => token).join();
  });
  const step = differs.lastIndexOf(true);
  const nameOf = (token: number): string => visible(tokenizer.decode([token]));
  await page.locator('.column[data-engine="cpu"] .token').nth(step).hover();
  await expect.poll(() => page.locator(".candidates .note").textContent()).toContain(en.candidatesOf(step + 1));
  expect(await page.locator(".candidates li .name").allTextContents()).toEqual(lists[step]!.map(nameOf));
  expect(await page.locator(".candidates li.is-drawn .name").allTextContents()).toEqual(
    lists[step]!.filter((token) => token === text[step]).map(nameOf),
  );
});

test("the neural model writes the same on both engines, and has its own beginning", async () => {
  const page = await site().visit({ query: "?tab=generate&temperature=0.8&topK=0&topP=0.95&length=25" });
  await page.getByLabel(en.model, { exact: true }).selectOption("tales");
  expect(await page.getByLabel(en.prompt).inputValue()).toBe("Long ago");
  await writeButton(page).click();
  await expect.poll(() => status(page).textContent(), { timeout: 60_000 }).toBe(en.same(25));
  const text = await textOf(page, "webgpu");
  expect(await textOf(page, "cpu")).toBe(text);
  // Words, mostly: single letters are what it falls back to.
  expect(text.split(" ").filter((word) => word.length > 1).length).toBeGreaterThan(10);
});

test("an address that names a model opens with its beginning", async () => {
  const page = await site().visit({ query: "?tab=generate&model=tales", gpu: "none" });
  expect(await page.getByLabel(en.prompt).inputValue()).toBe("Long ago");
  await page.getByLabel(en.model, { exact: true }).selectOption("ngram");
  expect(await page.getByLabel(en.prompt).inputValue()).toBe("The sampler");
});

test("the neural model without WebGPU", async () => {
  const page = await site().visit({ query: "?tab=generate&model=tales&prompt=Long+ago&length=12", gpu: "none" });
  await writeButton(page).click();
  await expect.poll(() => status(page).textContent(), { timeout: 60_000 }).toBe(en.onlyCpu);
  expect(await written(page, "cpu")).toBe(12);
});

test("every text begins with an empty bar", async () => {
  const page = await site().visit({ query: `${QUERY}&length=10`, gpu: "none" });
  const bar = page.locator(".generate progress");
  await writeButton(page).click();
  await expect.poll(() => status(page).textContent()).toBe(en.onlyCpu);
  expect(await bar.evaluate((progress: HTMLProgressElement) => progress.value)).toBe(1);
  const begun = await page.evaluate(() => {
    document.querySelector<HTMLButtonElement>(".generate .main")!.click();
    return document.querySelector<HTMLProgressElement>(".generate progress")!.value;
  });
  expect(begun).toBe(0);
  await expect.poll(() => status(page).textContent()).toBe(en.onlyCpu);
});

describe("another language", () => {
  const other = (page: Page) => page.getByRole("button", { name: en.otherLanguage });

  test("keeps what is written, and what else could have come", async () => {
    const page = await site().visit({ query: `${QUERY}&length=20` });
    await writeButton(page).click();
    await expect.poll(() => status(page).textContent()).toBe(en.same(20));
    const text = await textOf(page, "webgpu");
    await other(page).click();
    await expect.poll(() => status(page).textContent()).toBe(zh.same(20));
    expect(await textOf(page, "webgpu")).toBe(text);
    expect(await textOf(page, "cpu")).toBe(text);
    expect(await page.locator('.column[data-engine="cpu"] h3').textContent()).toBe(zh.engineCpu);
    await page.locator('.column[data-engine="cpu"] .token').nth(4).hover();
    await expect.poll(() => page.locator(".candidates .note").textContent()).toContain(zh.candidatesOf(5));
    expect(await page.locator(".token.marked").count()).toBe(2);
  });

  test("stops a text under way, and says so", async () => {
    const page = await site().visit({ query: `${QUERY}&length=200` });
    await writeButton(page).click();
    await expect.poll(() => written(page, "webgpu")).toBeGreaterThan(3);
    await other(page).click();
    await expect.poll(() => page.locator("h1").textContent()).toBe(zh.title);
    await expect.poll(() => written(page, "webgpu")).toBeGreaterThan(3);
    const count = Math.max(await written(page, "webgpu"), await written(page, "cpu"));
    expect(await status(page).textContent()).toBe(zh.stopped(count));
    await page.waitForTimeout(300);
    expect(Math.max(await written(page, "webgpu"), await written(page, "cpu"))).toBe(count);
    expect(await page.getByRole("button", { name: zh.write, exact: true }).isEnabled()).toBe(true);
  });
});

test("stops when it is told to", async () => {
  const page = await site().visit({ query: `${QUERY}&length=200` });
  await writeButton(page).click();
  await expect.poll(() => written(page, "webgpu")).toBeGreaterThan(3);
  await page.getByRole("button", { name: en.stop, exact: true }).last().click();
  const count = await written(page, "webgpu");
  expect(await status(page).textContent()).toMatch(/^Stopped after \d+ tokens?\.$/u);
  await page.waitForTimeout(300);
  expect(await written(page, "webgpu")).toBe(count);
  expect(count).toBeLessThan(200);
});

test("stops while the model is loading, too, and writes when it is told to again", async () => {
  const page = await site().visit({ query: `${QUERY}&length=12`, gpu: "none" });
  let go = (): void => {};
  const held = new Promise<void>((resolve) => (go = resolve));
  await page.route(/ngram[^/]*\.js/u, async (route) => {
    await held;
    await route.continue();
  });
  await writeButton(page).click();
  expect(await status(page).textContent()).toBe(en.modelLoading);
  await page.getByRole("button", { name: en.stop, exact: true }).last().click();
  expect(await status(page).textContent()).toBe(en.stopped(0));
  const loaded = page.waitForResponse(/ngram[^/]*\.js/u);
  go();
  await loaded;
  await page.waitForTimeout(300);
  expect(await status(page).textContent()).toBe(en.stopped(0));
  expect(await page.locator(".column").count()).toBe(0);
  await writeButton(page).click();
  await expect.poll(() => status(page).textContent()).toBe(en.onlyCpu);
});

test("a model that fails while it writes: says why, and another attempt works", async () => {
  const page = await site().visit({ query: `${QUERY}&length=12`, gpu: "none" });
  await writeButton(page).click();
  await expect.poll(() => status(page).textContent()).toBe(en.onlyCpu);
  // Which the model takes of every probability.
  await page.evaluate(() => {
    const { log } = Math;
    Math.log = () => {
      Math.log = log;
      throw new Error("no room left");
    };
  });
  await writeButton(page).click();
  await expect.poll(() => status(page).textContent()).toBe(en.failed("no room left"));
  await writeButton(page).click();
  await expect.poll(() => status(page).textContent()).toBe(en.onlyCpu);
});

test.each([
  ["a character that the model has not", "☃", "☃"],
  ["nothing", "", en.promptEmpty],
])("names what is wrong with a beginning: %s", async (_, prompt, message) => {
  const page = await site().visit({ query: QUERY });
  await page.getByLabel(en.prompt).fill(prompt);
  await writeButton(page).click();
  await expect.poll(() => status(page).textContent()).toContain(message);
  expect(await writeButton(page).isEnabled()).toBe(true);
});

test("without WebGPU: one column, the same text", async () => {
  const page = await site().visit({ query: `${QUERY}&length=15`, gpu: "none" });
  await expect.poll(() => page.locator(".notice").isVisible()).toBe(true);
  await writeButton(page).click();
  await expect.poll(() => status(page).textContent()).toBe(en.onlyCpu);
  expect(await page.locator(".column").count()).toBe(1);
  expect(await textOf(page, "cpu")).toBe(writeText("The sampler", OPEN, 7n, 15).text);
});

describe("a device lost while writing", () => {
  const LENGTH = 80;

  async function lose(page: Page): Promise<number> {
    await writeButton(page).click();
    await expect.poll(() => written(page, "webgpu")).toBeGreaterThan(5);
    expect(await loseDevices(page)).toBe(1);
    await expect.poll(() => page.getByRole("alert").count()).toBe(1);
    const count = await written(page, "webgpu");
    expect(await page.getByRole("alert").textContent()).toContain(`after ${count} tokens`);
    expect(count).toBeLessThan(LENGTH);
    return count;
  }

  test("goes on with a new device, and nothing is missing", async () => {
    const page = await site().visit({ query: `${QUERY}&length=${LENGTH}`, alone: true });
    await lose(page);
    await page.getByRole("button", { name: en.goOnGpu }).click();
    await expect.poll(() => status(page).textContent()).toBe(en.same(LENGTH));
    expect(await textOf(page, "webgpu")).toBe(writeText("The sampler", OPEN, 7n, LENGTH).text);
    expect(await page.getByRole("alert").count()).toBe(0);
    // It was a new device indeed.
    expect(await loseDevices(page)).toBe(1);
  });

  test("says so when there is no new device, and the CPU still goes on, with the keyboard", async () => {
    const page = await site().visit({ query: `${QUERY}&length=${LENGTH}`, alone: true });
    await lose(page);
    await page.evaluate(() => {
      GPU.prototype.requestAdapter = () => Promise.resolve(null);
    });
    await page.getByRole("button", { name: en.goOnGpu }).click();
    await expect.poll(() => page.getByRole("alert").textContent()).toBe(en.noNewGpu);
    await page.getByRole("button", { name: en.goOnCpu }).press("Enter");
    await expect.poll(() => status(page).textContent()).toBe(en.same(LENGTH));
    expect(await textOf(page, "webgpu")).toBe(writeText("The sampler", OPEN, 7n, LENGTH).text);
    expect(await page.locator('.column[data-engine="webgpu"] .pace').textContent()).toContain(en.wentOn);
  });
});
