/** The built page, served from a folder of a static server, in a real browser. */
import { readFileSync, rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { gzipSync } from "node:zlib";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright";
import { build } from "vite";
import { afterAll, beforeAll, expect } from "vitest";
import { chromiumFlags, findBrowser } from "../../../scripts/browser.mjs";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".woff2": "font/woff2",
  ".wasm": "application/wasm",
  ".json": "application/json",
  ".txt": "text/plain",
};
/** Packed already, or too large to be packed for a test. */
const PACKED = new Set([".woff2", ".wasm", ".onnx"]);
/** Nothing on the page may depend on where it lies. */
const FOLDER = "/some/where/";

export interface Visit {
  /** The address behind the `?`. */
  readonly query?: string;
  readonly language?: "en-US" | "zh-CN";
  readonly dark?: boolean;
  readonly width?: number;
  readonly height?: number;
  /** `"none"`: no `navigator.gpu`; `"no adapter"`: one that has no adapter. Default `"usual"`. */
  readonly gpu?: "usual" | "none" | "no adapter";
  /**
   * In a browser profile of its own, with an empty cache and a device of its own. Default: visits of one language share
   * a profile and a device, which has compiled the kernels.
   */
  readonly alone?: boolean;
}

export class Site {
  readonly #browser: Browser;
  readonly #server: Server;
  readonly #folder: string;
  readonly url: string;
  /** What went wrong on each page that is open, and what to close when it is left. */
  readonly #open: { readonly wrong: readonly string[]; readonly ends: Page | BrowserContext }[] = [];
  /** Pages that stay open, and have the device of the visits that they open. */
  readonly #hosts = new Map<string, Promise<Page>>();

  private constructor(browser: Browser, server: Server, folder: string) {
    this.#browser = browser;
    this.#server = server;
    this.#folder = folder;
    this.url = `http://localhost:${(server.address() as AddressInfo).port}${FOLDER}`;
  }

  static async open(): Promise<Site> {
    const folder = await mkdtemp(join(tmpdir(), "wts-page-"));
    await build({ configFile: "demo/page/vite.config.ts", logLevel: "error", build: { outDir: folder } });
    const server = createServer((request, response) => {
      const { pathname } = new URL(request.url!, "http://localhost");
      const path = pathname.endsWith("/") ? `${pathname}index.html` : pathname;
      const type = extname(path);
      try {
        if (!path.startsWith(FOLDER)) throw new Error("outside of the folder");
        const file = readFileSync(join(folder, normalize(path.slice(FOLDER.length))));
        const headers = { "Content-Type": TYPES[type] ?? "application/octet-stream" };
        if (PACKED.has(type)) response.writeHead(200, headers).end(file);
        else response.writeHead(200, { ...headers, "Content-Encoding": "gzip" }).end(gzipSync(file));
      } catch {
        response.writeHead(404).end();
      }
    });
    await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
    const browser = await chromium.launch({
      executablePath: findBrowser().path,
      args: chromiumFlags(process.env["WTS_GPU"] === "hardware"),
    });
    return new Site(browser, server, folder);
  }

  /**
   * Opens the page.
   *
   * @param before gets the browser's page before it goes anywhere
   */
  async visit(
    {
      query = "",
      language = "en-US",
      dark = false,
      width = 1280,
      height = 900,
      gpu = "usual",
      alone = gpu !== "usual",
    }: Visit = {},
    before?: (page: Page) => void,
  ): Promise<Page> {
    const page = alone ? await (await this.#profile(language)).newPage() : await this.#hosted(language);
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: dark ? "dark" : "light", reducedMotion: "reduce" });
    const wrong: string[] = [];
    this.#open.push({ wrong, ends: alone ? page.context() : page });
    page.on("pageerror", (error) => wrong.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") wrong.push(message.text());
    });
    page.on("request", (request) => {
      const { protocol } = new URL(request.url());
      if (!request.url().startsWith(this.url) && protocol !== "data:") wrong.push(`request of ${request.url()}`);
    });
    page.on("response", (response) => {
      if (response.status() >= 400) wrong.push(`${response.status()} for ${response.url()}`);
    });
    before?.(page);
    await page.addInitScript(prepareGpu, gpu);
    await page.goto(this.url + query);
    await page.waitForSelector("h1");
    return page;
  }

  async #profile(locale: string): Promise<BrowserContext> {
    const context = await this.#browser.newContext({ locale, permissions: ["clipboard-read", "clipboard-write"] });
    context.setDefaultTimeout(30_000);
    return context;
  }

  /** A page whose `opener` can lend it a device. */
  async #hosted(language: string): Promise<Page> {
    let host = this.#hosts.get(language);
    if (host === undefined) {
      host = this.#profile(language).then(async (profile) => {
        const page = await profile.newPage();
        await page.goto(`${this.url}licences.txt`);
        return page;
      });
      this.#hosts.set(language, host);
    }
    const opener = await host;
    const opened = opener.waitForEvent("popup");
    await opener.evaluate(() => {
      localStorage.clear();
      window.open("about:blank");
    });
    return opened;
  }

  /** Closes what is open; fails if a page reported an error, a warning, or asked for something that is not of the site. */
  async leave(): Promise<void> {
    const all = this.#open.splice(0);
    for (const { ends } of all) await ends.close();
    expect(all.flatMap(({ wrong }) => wrong)).toEqual([]);
  }

  async close(): Promise<void> {
    await this.#browser.close();
    this.#server.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/**
 * Runs in the page before it: takes WebGPU away, or gives it the device of the page that opened it, or keeps its devices
 * where `loseDevices` finds them.
 */
function prepareGpu(gpu: Visit["gpu"]): void {
  if (gpu === "none") {
    Object.defineProperty(Navigator.prototype, "gpu", { value: undefined });
    return;
  }
  if (gpu === "no adapter") {
    GPU.prototype.requestAdapter = () => Promise.resolve(null);
    return;
  }
  const host = window.opener as (Window & typeof globalThis & { device?: Promise<GPUDevice> }) | null;
  /** A device of the host's, since what is a page's ends with it. It keeps what it has compiled. */
  const lend = async ({ navigator }: Window, descriptor: GPUDeviceDescriptor): Promise<GPUDevice> => {
    const device = await (await navigator.gpu.requestAdapter())!.requestDevice(descriptor);
    const pipelines: GPUComputePipeline[] = [];
    device.createComputePipelineAsync = new Proxy(Reflect.get(device, "createComputePipelineAsync"), {
      apply: async (compile, _, descriptors: [GPUComputePipelineDescriptor]) => {
        const pipeline = await Reflect.apply(compile, device, descriptors);
        pipelines.push(pipeline);
        return pipeline;
      },
    });
    return device;
  };
  const devices: GPUDevice[] = [];
  GPUAdapter.prototype.requestDevice = new Proxy(Reflect.get(GPUAdapter.prototype, "requestDevice"), {
    apply: async (requestDevice, adapter: GPUAdapter, descriptors: [GPUDeviceDescriptor?]) => {
      // The bench of the page asks for a device with other features.
      if (host !== null && descriptors[0]?.label === "page.device") return (host.device ??= lend(host, descriptors[0]));
      const device = await Reflect.apply(requestDevice, adapter, descriptors);
      devices.push(device);
      return device;
    },
  });
  Object.assign(globalThis, { devices });
}

/** Takes every device away that the page has for itself, see {@link Visit.alone}. Returns how many there were. */
export function loseDevices(page: Page): Promise<number> {
  return page.evaluate(() => {
    const { devices } = globalThis as unknown as { devices: GPUDevice[] };
    for (const device of devices) device.destroy();
    return devices.splice(0).length;
  });
}

/** One site for the tests of a file. */
export function useSite(): () => Site {
  let site: Site | undefined;
  beforeAll(async () => {
    site = await Site.open();
  });
  afterAll(() => site?.close());
  return () => site!;
}

/** The address as the page keeps it, once it has settled. */
export async function addressOf(page: Page): Promise<URLSearchParams> {
  await page.waitForTimeout(250);
  return new URL(page.url()).searchParams;
}
