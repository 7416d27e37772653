import type { Page } from "playwright";
import { afterEach, expect, test } from "vitest";
import { MODES } from "../../bench/cases.ts";
import { en } from "../../demo/page/messages/en.ts";
import { zh } from "../../demo/page/messages/zh.ts";
import { useSite } from "./support/site.ts";

const site = useSite();
afterEach(() => site().leave());

const measureButton = (page: Page) => page.getByRole("button", { name: en.measure, exact: true });
const results = (page: Page) => page.locator(".results");
const status = (page: Page) => page.locator(".measure .status");
const modes = Object.keys(MODES).map((mode) => en.modes[mode]!);

async function open(gpu: "usual" | "none"): Promise<Page> {
  const page = await site().visit({ query: "?tab=measure", gpu });
  await page.getByLabel(en.vocabulary).selectOption("32000");
  await page.getByLabel(en.batch).selectOption("1");
  await page.getByLabel(en.rounds).selectOption("3");
  return page;
}

/** Bars of a chart by their label, with the milliseconds beside them. */
async function barsOf(page: Page, title: string): Promise<Record<string, number>> {
  const rows = await page
    .locator(".times")
    .filter({ has: page.getByRole("heading", { name: title, exact: true }) })
    .locator("tr")
    .evaluateAll((all) =>
      all.map((row) => [
        row.querySelector("th")!.textContent,
        Number.parseFloat(row.querySelector(".number")!.textContent),
      ]),
    );
  return Object.fromEntries(rows) as Record<string, number>;
}

test("measures every mode beside the read limit and the copy, and copies Markdown", async () => {
  const page = await open("usual");
  await measureButton(page).press("Enter");
  await expect.poll(() => page.locator(".measure progress").isVisible()).toBe(true);
  await expect.poll(() => results(page).locator(".times").count(), { timeout: 90_000 }).toBe(2);
  expect(await page.locator(".measure progress").isVisible()).toBe(false);

  const onGpu = await barsOf(page, en.onGpu);
  expect(Object.keys(onGpu)).toEqual([en.readLimit, ...modes]);
  const toScript = await barsOf(page, en.toScript);
  expect(Object.keys(toScript)).toEqual([
    ...modes.map((mode) => en.tokensOf(mode)),
    en.copyToCpu,
    en.copyAndSample(en.modes["top-k+top-p"]!),
  ]);
  for (const time of [...Object.values(onGpu), ...Object.values(toScript)]) expect(time).toBeGreaterThan(0);

  const name = (await page.locator(".engine").textContent())!.replace(en.engineGpu(""), "");
  expect(name.length).toBeGreaterThan(3);
  expect(await page.locator(".adapter").textContent()).toContain(name);
  await page.getByRole("button", { name: en.copyMarkdown }).click();
  await expect.poll(() => status(page).textContent()).toBe(en.copied);
  const markdown = await page.evaluate(() => navigator.clipboard.readText());
  expect(markdown).toContain("Adapter: ");
  expect(markdown).toContain("| read limit");
  expect(markdown).toContain("Copy of all logits to the CPU");
});

test("can be cancelled", async () => {
  const page = await open("usual");
  await page.getByLabel(en.rounds).selectOption("15");
  await measureButton(page).click();
  await expect.poll(() => status(page).textContent()).toMatch(/^Round/u);
  // The round under way comes to its end first.
  const then = await page.getByRole("button", { name: en.cancel }).evaluate((button: HTMLButtonElement) => {
    button.click();
    return { disabled: button.disabled, said: document.querySelector(".measure .status")!.textContent };
  });
  expect(then).toEqual({ disabled: true, said: en.cancelling });
  await expect.poll(() => status(page).textContent()).toBe(en.cancelled);
  expect(await results(page).textContent()).toBe("");
  expect(await measureButton(page).isEnabled()).toBe(true);
  expect(await page.evaluate(() => document.activeElement!.textContent)).toBe(en.measure);
});

test("goes on in another language, and what it came to stays in another one", async () => {
  const page = await open("none");
  await page.getByLabel(en.vocabulary).selectOption("151936");
  await page.getByLabel(en.rounds).selectOption("15");
  await measureButton(page).click();
  await expect.poll(() => status(page).textContent()).toMatch(/^Round/u);
  await page.getByRole("button", { name: en.otherLanguage }).click();
  await expect.poll(() => status(page).textContent()).toMatch(/^第/u);
  await expect.poll(() => results(page).locator(".times").count(), { timeout: 60_000 }).toBe(1);
  expect(await results(page).locator("h3").textContent()).toBe(zh.onCpu);
  await page.getByRole("button", { name: zh.otherLanguage }).click();
  await expect.poll(() => results(page).locator("h3").textContent()).toBe(en.onCpu);
  expect(await page.getByLabel(en.vocabulary).inputValue()).toBe("151936");
});

test("without WebGPU it measures the CPU engine", async () => {
  const page = await open("none");
  await page.evaluate(() => {
    const status = document.querySelector(".measure .status")!;
    const bar = document.querySelector<HTMLProgressElement>(".measure progress")!;
    const said: [string, number][] = [];
    new MutationObserver(() => said.push([status.textContent, bar.value])).observe(status, { childList: true });
    Object.assign(globalThis, { said });
  });
  await measureButton(page).click();
  await expect.poll(() => results(page).locator(".times").count(), { timeout: 60_000 }).toBe(1);
  expect(Object.keys(await barsOf(page, en.onCpu))).toEqual(modes);
  // Each round is named when it begins.
  const said = await page.evaluate(() => (globalThis as unknown as { said: [string, number][] }).said);
  const rounds = said.filter(([text]) => text.startsWith("Round"));
  expect(rounds.map(([text]) => text)).toEqual([1, 2, 3].map((round) => en.measuring(round, 3)));
  expect(rounds[2]![1]).toBeLessThan(1);
});
