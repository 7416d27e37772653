/**
 * Uses samplers for a long time, in every way and in turn, and watches what stays behind. Every token, and whatever else a
 * call gives, is compared with the CPU's.
 */
import { createSampler, type LogitsType, type Sampler, type SamplingParams } from "../../src/index.ts";
import { candidatesDifference, sampleDifference, stagedSets } from "../support/cases.ts";
import { Random } from "../support/inputs.ts";

/** What there is after so many calls, when nothing is under way. */
export interface Reading {
  readonly calls: number;
  /** Buffers of the samplers that are not destroyed, and their bytes. */
  readonly buffers: number;
  readonly bytes: number;
  /** Bind groups that were not collected as garbage; as many as were ever made where nobody can tell. */
  readonly bindGroups: number;
  /** Listeners on the device, its loss included. */
  readonly listeners: number;
  /** Bytes of JavaScript objects; 0 where nobody can tell. */
  readonly heap: number;
}

export interface SoakResult {
  readonly calls: number;
  readonly rows: number;
  readonly samplers: number;
  readonly readings: readonly Reading[];
  /** What there is when all samplers are destroyed. */
  readonly left: Pick<Reading, "buffers" | "listeners">;
  /** Calls that did not give what the CPU gives. */
  readonly different: readonly string[];
}

const TYPES: readonly LogitsType[] = ["float32", "float16", "bfloat16"];
const VOCABS = [32, 100, 500];
const MOST_ROWS = 4;
/** Tokens of a row's history, few so that it is full soon. */
const MOST_SAID = 8;
/** Calls that overlap. */
const WAVE = 8;
/** Calls until a sampler is destroyed and another one takes its place, at most; in a short run there are still ten of them. */
const LIFE = 500;

/** Ways to call a sampler; those in front more often. */
const WAYS = ["sample", "sample", "sample", "encode", "encode", "candidates", "text"] as const;
/** Of the first type only, as are stages and several draws: every further kernel takes long to compile. */
const MORE_WAYS = [...WAYS, "tell", "maskLogits", "renormalize"] as const;

interface Pair {
  readonly gpu: Sampler;
  readonly cpu: Sampler;
  readonly data: Float32Array | Uint16Array;
  /** The same logits on the GPU, the caller's. */
  readonly buffer: GPUBuffer;
}

/** Collects garbage, where the browser was started so that a page may. */
async function collect(): Promise<boolean> {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) return false;
  for (let turn = 0; turn < 3; turn++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return true;
}

/** Counts what is made on a device, until it is told to stop. */
function watch(device: GPUDevice): { read(): Omit<Reading, "calls" | "heap">; stop(): void } {
  const buffers = new Map<GPUBuffer, number>();
  const createBuffer = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = createBuffer(descriptor);
    if (!buffer.label.startsWith("webgpu-token-sampler")) return buffer;
    buffers.set(buffer, buffer.size);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      buffers.delete(buffer);
      return destroy();
    };
    return buffer;
  };
  let bindGroups = 0;
  const collected = new FinalizationRegistry(() => bindGroups--);
  const createBindGroup = device.createBindGroup.bind(device);
  device.createBindGroup = (descriptor) => {
    const group = createBindGroup(descriptor);
    bindGroups++;
    collected.register(group, undefined);
    return group;
  };
  let listeners = 0;
  const addEventListener = device.addEventListener.bind(device) as (...args: unknown[]) => void;
  const removeEventListener = device.removeEventListener.bind(device) as (...args: unknown[]) => void;
  Object.assign(device, {
    addEventListener: (...args: unknown[]) => {
      listeners++;
      addEventListener(...args);
    },
    removeEventListener: (...args: unknown[]) => {
      listeners--;
      removeEventListener(...args);
    },
  });
  // Who waits for the loss of a device that lives on waits for ever, and is kept in memory until then.
  const { lost } = device;
  Object.defineProperty(device, "lost", {
    configurable: true,
    get: () => {
      listeners++;
      return lost;
    },
  });
  return {
    read: () => ({
      buffers: buffers.size,
      bytes: [...buffers.values()].reduce((sum, size) => sum + size, 0),
      bindGroups,
      listeners,
    }),
    stop: () => {
      for (const name of ["createBuffer", "createBindGroup", "addEventListener", "removeEventListener", "lost"]) {
        Reflect.deleteProperty(device, name);
      }
    },
  };
}

/** Parameters of a row: filters, which may be changed by what processes logits, or stages. */
function randomParams(random: Random, vocabSize: number, kind: "plain" | "processed" | "staged"): SamplingParams {
  const sets: readonly (() => SamplingParams)[] = [
    () => ({ temperature: 0 }),
    () => ({}),
    () => ({ topK: 1 + random.below(60) }),
    () => ({ topP: random.unit() }),
    () => ({ minP: random.unit() / 2, topP: 0.5 + random.unit() / 2 }),
    () => ({ topK: 1 + random.below(300), topP: 0.9, minP: 0.02 }),
  ];
  const changes: readonly (() => SamplingParams)[] = [
    () => ({ repetitionPenalty: 1.2, logitBias: { [random.below(vocabSize)]: random.normal() } }),
    () => ({ allowedTokens: Uint32Array.from({ length: Math.ceil(vocabSize / 32) }, () => random.word()) }),
  ];
  return {
    seed: BigInt(random.word()),
    // The others go on where the row's counter stands.
    ...(random.below(4) === 0 && { position: random.below(2) === 0 ? 0 : random.word() }),
    ...(kind === "staged"
      ? stagedSets[random.below(stagedSets.length)]!
      : {
          temperature: 0.2 + 2 * random.unit(),
          order: (["transformers", "vllm", "llama.cpp"] as const)[random.below(3)]!,
          ...sets[random.below(sets.length)]!(),
        }),
    ...(kind === "processed" && changes[random.below(changes.length)]!()),
  };
}

/** What is told of a row besides. Entropies come of a kernel of their own, which keeps nothing else. */
function randomOutputs(random: Random, vocabSize: number): SamplingParams {
  return {
    rank: random.below(2) === 0,
    topLogprobs: random.below(20),
    logprobs: (["kept", "processed", "raw"] as const)[random.below(3)]!,
    logprobTokens: Array.from({ length: random.below(4) }, () => random.below(vocabSize)),
  };
}

/**
 * Makes so many calls on one device.
 *
 * @param calls at least two waves
 * @param readings how often to look
 * @param tell what to do with each reading
 * @param until when to stop all the same, by `performance.now()`
 */
export async function soak(
  device: GPUDevice,
  calls: number,
  readings: number,
  tell: (reading: Reading) => void = () => undefined,
  until = Infinity,
): Promise<SoakResult> {
  const random = new Random(1);
  const watched = watch(device);
  const taken: Reading[] = [];
  const different: string[] = [];
  const pairs: Pair[] = [];
  let [samplers, rows] = [0, 0];

  const make = async (slot: number): Promise<Pair> => {
    samplers++;
    const logitsType = TYPES[slot % TYPES.length]!;
    const vocabSize = VOCABS[random.below(VOCABS.length)]!;
    const options = { vocabSize, maxBatch: MOST_ROWS, maxHistory: MOST_SAID, logitsType };
    const length = vocabSize * MOST_ROWS;
    const data =
      logitsType === "float32"
        ? Float32Array.from({ length }, () => random.normal() * 4)
        : Uint16Array.from({ length }, () => 0x3c00 + random.below(1200) + (random.below(2) << 15));
    const buffer = device.createBuffer({ label: "caller", size: data.byteLength, usage: 0x88 });
    device.queue.writeBuffer(buffer, 0, data);
    const [gpu, cpu] = await Promise.all([
      createSampler({ ...options, device, engine: "webgpu" }),
      createSampler({ ...options, engine: "cpu" }),
    ]);
    return { gpu, cpu, data, buffer };
  };
  const end = ({ gpu, cpu, buffer }: Pair): void => {
    for (const one of [gpu, cpu, buffer]) one.destroy();
  };

  /** One call in one of the ways there are: how it differs from the CPU's, if it does. Both are made before anything is awaited. */
  const call = async (number: number): Promise<string | undefined> => {
    const { gpu, cpu, data, buffer } = pairs[number % pairs.length]!;
    const { vocabSize } = gpu;
    const more = gpu.logitsType === TYPES[0];
    const ways = more ? MORE_WAYS : WAYS;
    const way = ways[random.below(ways.length)]!;
    const count = 1 + random.below(MOST_ROWS);
    const kinds = ["plain", "processed", ...(more ? (["staged"] as const) : [])] as const;
    const kind = kinds[random.below(kinds.length)]!;
    const several = more && random.below(3) === 0 && { draws: 2 + random.below(6), replacement: random.below(2) === 0 };
    const ofRow = (): SamplingParams => ({
      ...randomParams(random, vocabSize, kind),
      ...several,
      ...(way === "tell" && randomOutputs(random, vocabSize)),
    });
    const params = random.below(2) === 0 ? ofRow() : Array.from({ length: count }, ofRow);
    const onCpu = { data, rows: count };
    const onGpu = { buffer, rows: count };
    const given = random.below(2) === 0 ? onCpu : onGpu;
    rows += count;
    if (way === "sample" || way === "tell") {
      return sampleDifference(...(await Promise.all([gpu.sample(given, params), cpu.sample(onCpu, params)])));
    }
    if (way === "candidates") {
      const lists = [gpu.candidates(given, params), cpu.candidates(onCpu, params)] as const;
      return candidatesDifference(...(await Promise.all(lists)));
    }
    if (way === "encode") {
      const [words, tokensOffset, draws] = [1 + random.below(2), random.below(3), several ? several.draws : 1];
      const size = 4 * words * (tokensOffset + count * draws + 1);
      const tokens = device.createBuffer({ label: "caller", size, usage: 0x84 });
      const copy = device.createBuffer({ label: "caller", size, usage: 0x09 });
      const encoder = device.createCommandEncoder();
      const tokensType = words === 1 ? "uint32" : "int64";
      gpu.encode(encoder, { logits: onGpu, tokens, tokensType, tokensOffset }, params);
      encoder.copyBufferToBuffer(tokens, 0, copy, 0, size);
      device.queue.submit([encoder.finish()]);
      const drawn = cpu.sample(onCpu, params); // which also remembers what it draws
      const expected = new Uint32Array(size / 4);
      for (const [place, token] of (await drawn).tokens.entries()) expected[words * (tokensOffset + place)] = token;
      await copy.mapAsync(1);
      const actual = new Uint32Array(copy.getMappedRange()).slice();
      for (const one of [tokens, copy]) one.destroy();
      return same(actual, expected);
    }
    if (way === "text") {
      const [from, row, what] = [random.below(MOST_ROWS), random.below(MOST_ROWS), random.below(4)];
      const said = Array.from({ length: random.below(MOST_SAID + 1) }, () => random.below(vocabSize));
      const change = ({ history, state }: Sampler, encoder?: GPUCommandEncoder): void => {
        if (what === 0) history.set(row, said);
        else if (what === 1) history.append(row, said);
        else if (what === 2) for (const one of [history, state]) one.copy(from, row, encoder);
        else for (const one of [history, state]) one.reset(row, encoder);
      };
      const encoder = device.createCommandEncoder();
      change(gpu, encoder);
      device.queue.submit([encoder.finish()]);
      change(cpu);
      const read = ({ history, state }: Sampler): Promise<unknown> => Promise.all([history.read(row), state.read(row)]);
      return same(...(await Promise.all([read(gpu), read(cpu)])));
    }
    return same(...(await Promise.all([gpu[way](given, params), cpu[way](onCpu, params)])));
  };

  for (let slot = 0; slot < TYPES.length; slot++) pairs.push(await make(slot));
  let number = 0;
  const life = Math.min(LIFE, Math.ceil(calls / 10));
  while (number < calls && performance.now() < until) {
    const wave = Math.min(WAVE, calls - number);
    const found = await Promise.all(Array.from({ length: wave }, (_, index) => call(number + index)));
    for (const [index, difference] of found.entries()) {
      if (difference !== undefined) different.push(`call ${number + index}: ${difference}`);
    }
    const previous = number;
    number += wave;
    if (Math.floor((number * readings) / calls) > Math.floor((previous * readings) / calls)) {
      const precise = await collect();
      const { memory } = performance as { memory?: { usedJSHeapSize: number } };
      const heap = precise && memory !== undefined ? memory.usedJSHeapSize : 0;
      taken.push({ calls: number, ...watched.read(), heap });
      tell(taken.at(-1)!);
    }
    if (Math.floor(number / life) > Math.floor(previous / life)) {
      // The first stays: what a call leaves with a sampler adds up there, to the end.
      const slot = 1 + (Math.floor(number / life) % (pairs.length - 1));
      end(pairs[slot]!);
      pairs[slot] = await make(slot);
    }
  }
  pairs.forEach(end);
  const { buffers, listeners } = watched.read();
  watched.stop();
  return { calls: number, rows, samplers, readings: taken, left: { buffers, listeners }, different };
}

/** Says that two results differ, if they do. */
function same(actual: unknown, expected: unknown): string | undefined {
  const [a, e] = [text(actual), text(expected)];
  return a === e ? undefined : `${a}, expected ${e}`;
}

/** A result with all its numbers; JSON knows neither infinities nor -0. */
function text(value: unknown): string {
  return JSON.stringify(value, (_, field: unknown) =>
    ArrayBuffer.isView(field)
      ? `${field.constructor.name} ${Array.from(field as Float32Array, (n) => (Object.is(n, -0) ? "-0" : n)).join()}`
      : field,
  );
}

/**
 * What grew: compares the last third of the readings with the one before it, so that what is made once, at the start, is no
 * matter; and looks at what is left at the end. So a buffer a sampler shows however short the run is, and one every tenth
 * call in a thousand calls.
 */
export function growth({ readings, left }: SoakResult): string[] {
  if (readings.length < 6) return [`${readings.length} readings: too few to tell what grows`];
  const third = Math.floor(readings.length / 3);
  const [middle, last] = [readings.slice(-2 * third, -third), readings.slice(-third)];
  const found: string[] = [];
  const check = (name: keyof Reading, allowed: (before: number) => number): void => {
    const most = (of: readonly Reading[]): number => Math.max(...of.map((reading) => reading[name]));
    const [before, after] = [most(middle), most(last)];
    if (after > allowed(before)) found.push(`${name}: ${before}, then ${after}`);
  };
  // Which vocabularies are in use changes with time, and a few buffers for reading back come and go.
  check("buffers", (before) => before + 6);
  check("bytes", (before) => 1.25 * before);
  check("bindGroups", (before) => before + 60);
  check("listeners", (before) => before);
  check("heap", (before) => 1.05 * before + 2 ** 18);
  if (left.buffers > 0) found.push(`buffers: ${left.buffers} of samplers that are destroyed`);
  // The device's loss is waited for once.
  if (left.listeners > 1) found.push(`listeners: ${left.listeners} of samplers that are destroyed`);
  return found;
}
