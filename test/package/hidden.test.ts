/** A tab that nobody looks at: browsers slow it down, and may stop it altogether for a while. */
import { type Browser, chromium } from "playwright";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { chromiumFlags, findBrowser } from "../../scripts/browser.mjs";
import { serve } from "./support/serve.ts";

const { project } = inject("installed");
let browser: Browser;
let server: Awaited<ReturnType<typeof serve>>;
beforeAll(async () => {
  server = await serve(project);
  browser = await chromium.launch({
    executablePath: findBrowser().path,
    args: chromiumFlags(process.env["WTS_GPU"] === "hardware"),
    // Playwright keeps hidden tabs as quick as others; people's browsers do not.
    ignoreDefaultArgs: [
      "--disable-backgrounding-occluded-windows",
      "--disable-renderer-backgrounding",
      "--disable-background-timer-throttling",
    ],
  });
});
afterAll(async () => {
  await browser.close();
  server.close();
});

test("a tab that another one hides draws the same tokens", async () => {
  // Playwright tells its own tabs that they are seen, so this one is opened without it, and talks through its title.
  const devtools = await browser.newBrowserCDPSession();
  const open = async (url: string): Promise<string> => (await devtools.send("Target.createTarget", { url })).targetId;
  const hidden = await open(`${server.origin}/hidden/index.html`);
  const title = async (): Promise<string | undefined> =>
    (await devtools.send("Target.getTargets")).targetInfos.find(({ targetId }) => targetId === hidden)?.title;
  await expect.poll(title, { timeout: 60_000 }).toBe("visible");
  await open("about:blank");
  await expect.poll(title, { timeout: 60_000 }).toBe("hidden: true");
});

test("a tab that is frozen in the middle of its calls goes on when it is woken", async () => {
  const tab = await browser.newPage();
  const devtools = await tab.context().newCDPSession(tab);
  await tab.goto(`${server.origin}/hidden/index.html`);
  await expect.poll(() => tab.title(), { timeout: 60_000 }).toBe("visible");
  // As text: a function would be rewritten on its way through Vitest.
  await tab.evaluate("void (globalThis.pending = agree(200))");
  await devtools.send("Page.setWebLifecycleState", { state: "frozen" });
  await new Promise((resolve) => setTimeout(resolve, 300));
  await devtools.send("Page.setWebLifecycleState", { state: "active" });
  expect(await tab.evaluate("pending")).toBe(true);
  await tab.close();
});
