import type { Page } from "playwright";
import { afterEach, describe, expect, test } from "vitest";
import { en } from "../../demo/page/messages/en.ts";
import { zh } from "../../demo/page/messages/zh.ts";
import type { SamplingParams } from "../../src/index.ts";
import { ANIMAL_LOGITS, ANIMALS, candidatesOf, countsOf, ngramModel } from "./support/expected.ts";
import { addressOf, loseDevices, useSite } from "./support/site.ts";

const site = useSite();
afterEach(() => site().leave());

interface ShownRow {
  readonly token: string;
  /** Percentage, or who removed it. */
  readonly after: string;
  readonly drawn: string;
}

/** The chart, once it shows as many tokens as `kept`. */
async function chart(page: Page): Promise<ShownRow[]> {
  return page.locator(".chart tbody tr").evaluateAll((rows) =>
    rows.map((row) => ({
      token: row.querySelector("th")!.textContent,
      after: row.querySelector(".after.number")!.textContent,
      drawn: row.querySelector(".drawn.number")!.textContent,
    })),
  );
}

/** What the chart has to show of the animals. */
function animals(params: SamplingParams): Record<string, string> {
  return Object.fromEntries(
    candidatesOf(ANIMAL_LOGITS, params).map(({ token, probability }) => [
      ANIMALS[token]!,
      `${(100 * probability).toFixed(1)}%`,
    ]),
  );
}

const kept = (rows: readonly ShownRow[]): Record<string, string> =>
  Object.fromEntries(rows.filter(({ after }) => after.endsWith("%")).map(({ token, after }) => [token, after]));

const counts = (rows: readonly ShownRow[]): number[] => rows.map(({ drawn }) => Number(drawn.replaceAll(",", "")));

const range = (page: Page, label: string) => page.getByRole("slider", { name: label, exact: true });
const exact = (page: Page, label: string) => page.getByRole("spinbutton", { name: en.exactly(label) });
const drawButton = (page: Page, count: string) => page.getByRole("button", { name: en.drawCount(count), exact: true });
const verdict = (page: Page) => page.locator(".verdict");

const FIRST: SamplingParams = { temperature: 0.9, topK: 4, topP: 0.9 };

describe("what the settings leave", () => {
  test.each<[string, SamplingParams]>([
    ["", FIRST],
    ["?topK=0&topP=1&temperature=1", {}],
    ["?topK=0&topP=0.7&temperature=1", { topP: 0.7 }],
    ["?topK=0&topP=0.85&temperature=2&order=llama.cpp", { topP: 0.85, temperature: 2, order: "llama.cpp" }],
    ["?topK=0&topP=0.6&minP=0.3&order=vllm", { topP: 0.6, minP: 0.3, temperature: 0.9, order: "vllm" }],
    ["?temperature=0", { ...FIRST, temperature: 0 }],
    ["?temperature=nonsense&topK=-3&topP=7&order=none&seed=x&tab=none", FIRST],
  ])("%s", async (query, params) => {
    const page = await site().visit({ query });
    await page.waitForSelector(".chart tbody tr");
    const rows = await chart(page);
    expect(rows.map(({ token }) => token)).toEqual(ANIMALS);
    expect(kept(rows)).toEqual(animals(params));
  });

  test("stage by stage: who removed what, and why", async () => {
    const page = await site().visit();
    await page.waitForSelector(".stage.result");
    const stages = await page.locator(".stage").allInnerTexts();
    expect(stages.map((text) => text.split("\n")[0])).toEqual([
      "Temperature 0.9",
      "Top-k 4",
      "Top-p 0.9",
      "Min-p off",
      en.result,
    ]);
    const hot = candidatesOf(ANIMAL_LOGITS, { temperature: 0.9 });
    const afterTopK = candidatesOf(ANIMAL_LOGITS, { temperature: 0.9, topK: 4 });
    const share = afterTopK.slice(0, 3).reduce((sum, { probability }) => sum + probability, 0);
    const percent = (value: number): string => `${(100 * value).toFixed(1)}%`;
    expect(stages[0]).toContain(en.temperatureChanges("猫", "40.0%", percent(hot[0]!.probability)));
    expect(stages[1]).toContain(`${en.whyTopK(4)} ${en.removes("马")}`);
    expect(stages[2]).toContain(`${en.whyTopP(3, percent(share), "90%")} ${en.removes("鱼")}`);
    const rows = await chart(page);
    expect(rows[3]!.after).toBe(en.removedBy("Top-p"));
    expect(rows[4]!.after).toBe(en.removedBy("Top-k"));
    // The running sum ends at everything, and crosses the line of p in the row of the last token that stays.
    const ends = await page.locator(".sum").evaluateAll((lines) => lines.map((line) => line.getAttribute("d")));
    const sums = ends.map((d) => (d === null ? undefined : Number(/L([\d.]+)/u.exec(d)![1])));
    expect(sums[1]!).toBeLessThan(90);
    expect(sums[2]!).toBeCloseTo(100 * share, 2);
    expect(sums[2]!).toBeGreaterThan(90);
    expect(sums[3]!).toBeCloseTo(100, 2);
    expect(sums[4]).toBeUndefined();
  });
});

test("with the pointer: sliders, order, address, and back", async () => {
  const page = await site().visit();
  await page.waitForSelector(".chart tbody tr");
  const slider = range(page, "Temperature");
  const box = (await slider.boundingBox())!;
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width - 1, box.y + box.height / 2, { steps: 5 });
  await page.mouse.up();
  await expect.poll(() => slider.inputValue()).toBe("2");
  await page.getByRole("radio", { name: en.orders["llama.cpp"] }).click();
  const params: SamplingParams = { temperature: 2, topK: 4, topP: 0.9, order: "llama.cpp" };
  await expect.poll(async () => kept(await chart(page))).toEqual(animals(params));
  expect(Object.fromEntries(await addressOf(page))).toEqual({ temperature: "2", order: "llama.cpp" });
  await page.reload();
  await page.waitForSelector(".chart tbody tr");
  expect(kept(await chart(page))).toEqual(animals(params));

  await page.getByRole("button", { name: en.allOff }).first().click();
  await expect.poll(async () => kept(await chart(page))).toEqual(animals({}));
});

test("with the keyboard alone", async () => {
  const page = await site().visit();
  await page.waitForSelector(".chart tbody tr");
  const focused = () =>
    page.evaluate(() => {
      const element = document.activeElement!;
      return (
        element.getAttribute("aria-label") ??
        (element as HTMLInputElement).labels?.[0]?.textContent ??
        element.textContent
      );
    });
  const tabTo = async (name: string): Promise<void> => {
    for (let presses = 0; presses < 40; presses++) {
      await page.keyboard.press("Tab");
      if ((await focused()) === name) return;
    }
    throw new Error(`Tab never came to ${name}`);
  };
  await tabTo("Top-k");
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("ArrowLeft");
  await expect.poll(async () => kept(await chart(page))).toEqual(animals({ ...FIRST, topK: 2 }));
  await tabTo(en.exactly("Top-p"));
  await page.keyboard.type("5"); // not allowed, and not taken
  expect(await exact(page, "Top-p").getAttribute("aria-invalid")).toBe("true");
  expect(kept(await chart(page))).toEqual(animals({ ...FIRST, topK: 2 }));
  await page.keyboard.press("Control+A");
  await page.keyboard.type("0.5");
  await expect.poll(async () => kept(await chart(page))).toEqual(animals({ ...FIRST, topK: 2, topP: 0.5 }));
  await tabTo(en.orders.transformers);
  await page.keyboard.press("ArrowRight");
  await expect.poll(async () => (await addressOf(page)).get("order")).toBe("vllm");
  await tabTo(en.drawCount("1,000"));
  await page.keyboard.press("Enter");
  await expect.poll(() => verdict(page).textContent()).toContain(en.gTest);
  // The focus is not lost on the way.
  expect(await focused()).toBe(en.drawCount("1,000"));
});

describe("draws", () => {
  test("1 and 1,000 on the GPU: the reference's tokens, counted and judged", async () => {
    const page = await site().visit({ query: "?seed=12345678901234567890" });
    const seed = 12345678901234567890n;
    await drawButton(page, "1").click();
    const [first] = countsOf(ANIMAL_LOGITS, FIRST, seed, 1).flatMap((count, id) => (count === 1 ? [ANIMALS[id]!] : []));
    await expect.poll(() => page.locator(".status").textContent()).toContain(en.lastToken(first!));
    expect(await verdict(page).textContent()).toContain(en.gTestFew);
    await drawButton(page, "1,000").click();
    await expect.poll(() => page.locator(".status").textContent()).toContain(en.sameOnCpu("1,000"));
    // 1,001 by now: the draws go on where they were.
    expect(counts(await chart(page))).toEqual(countsOf(ANIMAL_LOGITS, FIRST, seed, 1001));
    expect(await verdict(page).textContent()).toContain("The counts fit");

    await page.getByRole("button", { name: en.clear }).click();
    expect((await chart(page)).map(({ drawn }) => drawn)).toEqual(["", "", "", "", ""]);
  });

  test("a distribution that is not the one drawn from is told apart", async () => {
    // The draws of a broken engine: every buffer that is read back says token 1.
    const page = await site().visit({ alone: true });
    await page.evaluate(() => {
      GPUBuffer.prototype.getMappedRange = new Proxy(Reflect.get(GPUBuffer.prototype, "getMappedRange"), {
        apply: (getMappedRange, buffer: GPUBuffer, range: [number?, number?]) => {
          const bytes = Reflect.apply(getMappedRange, buffer, range);
          if (buffer.label === "page.readback") new Uint32Array(bytes).fill(1);
          return bytes;
        },
      });
    });
    await drawButton(page, "1,000").click();
    await expect.poll(() => verdict(page).textContent()).toContain("do not fit");
    expect(await page.locator(".status").textContent()).toMatch(/is another token on the CPU/u);
  });

  test("a million on the GPU: can be watched and stopped, with the keyboard", async () => {
    const page = await site().visit();
    await drawButton(page, "1,000,000").focus();
    await page.keyboard.press("Enter");
    const drawn = async (): Promise<number> => counts(await chart(page)).reduce((sum, count) => sum + count, 0);
    await expect.poll(drawn).toBeGreaterThan(1000);
    const before = await drawn();
    await expect.poll(drawn).toBeGreaterThan(before);
    await page.getByRole("button", { name: en.stop }).press("Enter");
    await expect.poll(() => verdict(page).textContent()).toContain("The counts fit");
    expect(await drawn()).toBeLessThan(1_000_000);
    expect(await drawButton(page, "1").isEnabled()).toBe(true);
  });

  test("where there is no adapter: on the CPU, and the page says so", async () => {
    const page = await site().visit({ gpu: "no adapter" });
    await expect.poll(() => page.locator(".notice").isVisible()).toBe(true);
    expect(await page.locator(".engine").textContent()).toBe(en.engineCpu);
    await drawButton(page, "1,000").click();
    await expect.poll(() => verdict(page).textContent(), { timeout: 60_000 }).toContain("The counts fit");
    expect(counts(await chart(page)).reduce((sum, count) => sum + count, 0)).toBe(1000);
  });

  test("other settings while draws come back: the next draw waits for them", async () => {
    const page = await site().visit({ alone: true });
    // What is read back first stays out until it is let go.
    await page.evaluate(() => {
      const held = new Promise<void>((resolve) => Object.assign(globalThis, { letGo: resolve }));
      GPUBuffer.prototype.mapAsync = new Proxy(Reflect.get(GPUBuffer.prototype, "mapAsync"), {
        apply: async (mapAsync, buffer: GPUBuffer, range: [GPUMapModeFlags]) => {
          await Reflect.apply(mapAsync, buffer, range);
          if (buffer.label !== "page.readback") return;
          Object.assign(globalThis, { isOut: true });
          await held;
        },
      });
    });
    await drawButton(page, "1,000").click();
    await page.waitForFunction(() => "isOut" in globalThis);
    await range(page, "Top-k").press("ArrowLeft");
    await drawButton(page, "1,000").click();
    await expect.poll(() => page.locator(".status").textContent()).toBe(en.drawing(en.engines.webgpu));
    await page.waitForTimeout(100);
    await page.evaluate(() => (globalThis as unknown as { letGo: () => void }).letGo());
    await expect.poll(() => page.locator(".status").textContent()).toContain(en.sameOnCpu("1,000"));
    expect(counts(await chart(page))).toEqual(countsOf(ANIMAL_LOGITS, { ...FIRST, topK: 3 }, 7n, 1000));
  });

  test("stay when the language is changed, and go on", async () => {
    const page = await site().visit();
    await drawButton(page, "1,000").click();
    await expect.poll(() => page.locator(".status").textContent()).toContain(en.sameOnCpu("1,000"));
    await page.getByRole("button", { name: en.otherLanguage }).click();
    await expect.poll(() => page.locator(".status").textContent()).toContain(zh.sameOnCpu("1,000"));
    expect(await verdict(page).textContent()).toContain(zh.gTest);
    expect(counts(await chart(page))).toEqual(countsOf(ANIMAL_LOGITS, FIRST, 7n, 1000));
    await page.getByRole("button", { name: zh.drawCount("1"), exact: true }).click();
    await expect.poll(() => page.locator(".status").textContent()).toContain(zh.sameOnCpu("1"));
    expect(counts(await chart(page))).toEqual(countsOf(ANIMAL_LOGITS, FIRST, 7n, 1001));
    await range(page, "Top-k").press("ArrowLeft");
    await expect.poll(async () => (await chart(page)).map(({ drawn }) => drawn).join("")).toBe("");
    await page.getByRole("button", { name: zh.otherLanguage }).click();
    await page.waitForSelector(".chart tbody tr");
    expect((await chart(page)).map(({ drawn }) => drawn).join("")).toBe("");
  });

  test("a GPU that gives no device: the page says CPU everywhere", async () => {
    const page = await site().visit({ alone: true, query: "?length=10" });
    await page.evaluate(() => {
      GPUAdapter.prototype.requestDevice = () => Promise.reject(new Error("none left"));
    });
    await drawButton(page, "1").click();
    await expect.poll(() => page.locator(".status").textContent()).toContain(en.engines.cpu);
    expect(await page.locator(".draw").textContent()).toContain(en.wrongGpu("none left"));
    expect(await page.locator(".engine").textContent()).toBe(en.engineCpu);
    await page.getByRole("tab", { name: en.tabs.generate }).click();
    await page.getByRole("button", { name: en.write, exact: true }).click();
    await expect.poll(() => page.locator(".generate .status").textContent()).toBe(en.onlyCpu);
    expect(await page.locator(".trouble").textContent()).toBe(en.wrongGpu("none left"));
    expect(await page.locator(".engine").textContent()).toBe(en.engineCpu);
  });

  test("a device that goes away is replaced by the next draw", async () => {
    const page = await site().visit({ alone: true });
    await drawButton(page, "1").click();
    await expect.poll(() => page.locator(".status").textContent()).toContain(en.sameOnCpu("1"));
    expect(await loseDevices(page)).toBe(1);
    await drawButton(page, "1,000").click();
    await expect.poll(() => page.locator(".status").textContent()).toContain(en.sameOnCpu("1,000"));
    expect(counts(await chart(page))).toEqual(countsOf(ANIMAL_LOGITS, FIRST, 7n, 1001));
  });

  test("a device that goes away in the middle: what was drawn stays, and the next draw goes on", async () => {
    const page = await site().visit({ alone: true });
    await drawButton(page, "1,000,000").click();
    const drawn = async (): Promise<number> => counts(await chart(page)).reduce((sum, count) => sum + count, 0);
    await expect.poll(drawn).toBeGreaterThan(1000);
    await loseDevices(page);
    await expect.poll(() => page.locator(".status").textContent()).toContain(en.failed(""));
    const before = await drawn();
    await drawButton(page, "1").click();
    await expect.poll(() => page.locator(".status").textContent()).toContain(en.sameOnCpu("1"));
    expect(counts(await chart(page))).toEqual(countsOf(ANIMAL_LOGITS, FIRST, 7n, before + 1));
  });
});

describe("other rows", () => {
  test("one's own: from the editor to the address and back, mistakes named", async () => {
    const page = await site().visit({ query: "?topK=0&topP=1&temperature=1" });
    await page.getByRole("radio", { name: en.rows.own }).click();
    const editor = page.getByLabel(en.ownLabel);
    await expect.poll(() => editor.inputValue()).toContain("猫 -0.9163");
    await editor.fill("yes 1\nno way 1\nperhaps -inf");
    await expect.poll(async () => kept(await chart(page))).toEqual({ yes: "50.0%", "no way": "50.0%" });
    expect((await chart(page))[2]!.after).toBe(en.masked);
    await editor.fill("yes 1\nno");
    expect(await page.locator("#own-hint").textContent()).toBe(en.ownBad.form(2));
    expect(await editor.getAttribute("aria-invalid")).toBe("true");
    expect(kept(await chart(page))).toEqual({ yes: "50.0%", "no way": "50.0%" });
    expect((await addressOf(page)).get("tokens")).toBe("yes 1\nno way 1\nperhaps -inf");
    await page.reload();
    await expect.poll(async () => kept(await chart(page))).toEqual({ yes: "50.0%", "no way": "50.0%" });

    await editor.fill("never -inf");
    await expect.poll(() => page.locator(".stage.result").innerText()).toContain(en.noneLeft);
    expect(await drawButton(page, "1").isDisabled()).toBe(true);
  });

  test("what is typed stays as it is typed, and so does what is wrong with it", async () => {
    const page = await site().visit({ query: "?row=own&tokens=yes+1%0Ano+1&topK=0&topP=1&temperature=1" });
    const editor = page.getByLabel(en.ownLabel);
    const hint = page.locator("#own-hint");
    await expect.poll(() => editor.inputValue()).toBe("yes 1\nno 1");
    await editor.fill("yes  1.000001\nno 1");
    await range(page, "Top-k").press("ArrowRight");
    await expect.poll(async () => kept(await chart(page))).toEqual({ yes: "100.0%" });
    expect(await editor.inputValue()).toBe("yes  1.000001\nno 1");

    await editor.fill("yes 1\nno");
    await range(page, "Top-k").press("ArrowRight");
    await expect.poll(async () => Object.keys(kept(await chart(page)))).toEqual(["yes", "no"]);
    expect(await editor.inputValue()).toBe("yes 1\nno");
    expect(await hint.textContent()).toBe(en.ownBad.form(2));
    await page.getByRole("button", { name: en.otherLanguage }).click();
    await expect.poll(() => hint.textContent()).toBe(zh.ownBad.form(2));
    expect(await page.getByLabel(zh.ownLabel).inputValue()).toBe("yes 1\nno");
    expect(await page.getByLabel(zh.ownLabel).getAttribute("aria-invalid")).toBe("true");

    await page.getByLabel(zh.ownLabel).fill("yes 1\nno 0");
    expect(await hint.textContent()).toBe(zh.ownHint);
    expect(await page.getByLabel(zh.ownLabel).getAttribute("aria-invalid")).toBeNull();
    await expect.poll(async () => kept(await chart(page))).toEqual({ yes: "73.1%", no: "26.9%" });
  });

  test("a real row that cannot be had says why", async () => {
    const page = await site().visit({ gpu: "none" });
    await page.route(/ngram[^/]*\.js/u, (route) =>
      route.fulfill({ contentType: "text/javascript", body: 'throw new Error("cut off");' }),
    );
    await page.getByRole("radio", { name: en.rows.real }).click();
    await expect.poll(() => page.getByText(en.failed("cut off")).count()).toBe(1);
  });

  test("fifty tokens of a real row", async () => {
    const page = await site().visit({ query: "?row=real&topK=0&topP=0.8&temperature=1" });
    await expect.poll(async () => (await chart(page)).length).toBe(50);
    const model = ngramModel();
    const logits = new Float32Array(model.vocabSize);
    model.logits(model.tokenizer.encode("The token is"), logits);
    const ids = Array.from(logits.keys())
      .sort((a, b) => logits[b]! - logits[a]! || a - b)
      .slice(0, 50);
    const row = Float32Array.from(ids, (id) => logits[id]!);
    const expected = candidatesOf(row, { topP: 0.8 }).map(({ probability }) => `${(100 * probability).toFixed(1)}%`);
    expect(Object.values(kept(await chart(page)))).toEqual(expected);
    expect(expected.length).toBeGreaterThan(2);
    expect(expected.length).toBeLessThan(50);
  });
});
