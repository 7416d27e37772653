/**
 * The suite as one module that every runtime loads: asks the reference and, where there is one, the device, and says
 * what came out. Nothing in it is of Node, Deno or a browser.
 */
import { type Configuration, configurations } from "./configurations.ts";
import { describeRow, sections } from "./corpus.ts";
import { deviceRows, open } from "./device.ts";
import { referenceRows, rowDifference, type RowOutcome, sha256, sha256OfText, wordsOfRow } from "./outcome.ts";

/** Digests of the sections, and of all of them. */
export interface Digests {
  readonly digest: string;
  readonly sections: Readonly<Record<string, string>>;
}

export interface DeviceReport {
  readonly adapter: string;
  readonly subgroups: boolean;
  /** Digests of the sampler as it comes. */
  readonly digests: Digests;
  /** Configurations that ran, the one as it comes included. */
  readonly configurations: number;
  readonly calls: number;
  /** Rows asked of the device. */
  readonly rows: number;
  /** Where the device differs from the reference in the same runtime. */
  readonly differences: readonly string[];
  /** More than are listed. */
  readonly differing: number;
  readonly seconds: number;
}

export interface Report {
  readonly reference: Digests;
  readonly device?: DeviceReport;
}

export interface Options {
  /** Where to look for a device; without one, the reference alone runs. */
  readonly gpu?: GPU | undefined;
  /** Runs only the configurations whose name holds this. */
  readonly only?: string | undefined;
  /** Runs the configurations that stand for the others, where there is little time. */
  readonly brief?: boolean | undefined;
  /** How often the device is asked everything. */
  readonly rounds?: number | undefined;
  readonly log?: (line: string) => void;
}

const MOST_LISTED = 20;
const AS_IT_COMES: Configuration = { name: "as it comes" };

/** Runs everything there is to run. */
export async function run(options: Options = {}): Promise<Report> {
  const reference = await digestsOf(async (section, call) => referenceRows(section, call));
  if (options.gpu === undefined) return { reference };
  const adapter = await options.gpu.requestAdapter();
  if (adapter === null) throw new Error("no WebGPU adapter");
  return { reference, device: await runDevice(adapter, options) };
}

type Section = (typeof sections)[number];
type Call = ReturnType<Section["calls"]> extends Generator<infer C> ? C : never;
type Ask = (section: Section, call: Call) => Promise<RowOutcome[]>;

async function digestsOf(ask: Ask): Promise<Digests> {
  const digests: Record<string, string> = {};
  for (const section of sections) digests[section.name] = await digestOf(section, ask);
  return { digest: await sha256OfText(Object.values(digests).join()), sections: digests };
}

/** The digest of what is answered to all calls of a section. */
export async function digestOf(section: Section, ask: Ask): Promise<string> {
  const digests: string[] = [];
  for (const call of section.calls()) digests.push(await sha256((await ask(section, call)).map(wordsOfRow)));
  return sha256OfText(digests.join());
}

async function runDevice(
  adapter: GPUAdapter,
  { only, brief = false, rounds = 1, log = () => {} }: Options,
): Promise<DeviceReport> {
  const subgroups = adapter.features.has("subgroups");
  const device = await adapter.requestDevice({ requiredFeatures: subgroups ? ["subgroups"] : [] });
  const uncaught: string[] = [];
  device.addEventListener("uncapturederror", (event) => uncaught.push(event.error.message));
  const began = performance.now();
  const differences: string[] = [];
  let [differing, calls, rows, ran] = [0, 0, 0, 0];
  let digests: Digests | undefined;

  /** Asks all calls of a section under one configuration, and compares row by row. */
  const asker =
    (configuration: Configuration, opened: Awaited<ReturnType<typeof open>>): Ask =>
    async (section, call) => {
      const actual = await deviceRows(device, opened, section, call, configuration);
      const expected = referenceRows(section, call);
      calls++;
      rows += actual.length;
      for (const [row, outcome] of actual.entries()) {
        const difference = rowDifference(outcome, expected[row]!);
        if (difference === undefined) continue;
        differing++;
        const line = `${configuration.name}: ${section.logitsType}, ${describeRow(call, row)}: ${difference}`;
        if (differences.length < MOST_LISTED) differences.push(line);
      }
      return actual;
    };
  const sectionUnder = async (section: Section, configuration: Configuration): Promise<string> => {
    let opened;
    try {
      opened = await open(device, section, configuration);
      return await digestOf(section, asker(configuration, opened));
    } catch (error) {
      // A device that fails its self-check, or is lost, has failed this section; the next one is asked all the same.
      differing++;
      if (differences.length < MOST_LISTED)
        differences.push(`${configuration.name}: ${section.name}: ${String(error)}`);
      return "";
    } finally {
      opened?.sampler.destroy();
    }
  };

  for (let round = 0; round < rounds; round++) {
    for (const configuration of [AS_IT_COMES, ...configurations]) {
      const whole = configuration === AS_IT_COMES;
      if (only !== undefined && !configuration.name.includes(only)) continue;
      if (brief && !whole && configuration.brief !== true) continue;
      const start = performance.now();
      const found: Record<string, string> = {};
      const before = differing;
      for (const section of sections) {
        const left = brief && section.ownKernels === true;
        const core = section.core === "all" || (section.core === "half" && configuration.half === true);
        const asked = whole || (core && !left);
        if (asked) found[section.name] = await sectionUnder(section, configuration);
      }
      if (whole) digests = { digest: await sha256OfText(Object.values(found).join()), sections: found };
      ran++;
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      log(`${configuration.name}: ${seconds} s${differing > before ? `, ${differing - before} rows differ` : ""}`);
    }
  }
  await device.queue.onSubmittedWorkDone();
  const { vendor, architecture, description, device: name } = adapter.info;
  device.destroy();
  for (const message of uncaught) {
    differing++;
    differences.push(`uncaught error: ${message}`);
  }
  return {
    adapter: [vendor, architecture, name, description].filter(Boolean).join(", "),
    subgroups,
    digests: digests ?? { digest: "", sections: {} },
    configurations: ran,
    calls,
    rows,
    differences,
    differing,
    seconds: Math.round((performance.now() - began) / 100) / 10,
  };
}
