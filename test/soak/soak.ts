/**
 * Uses samplers for a long time, in every way and in turn, and watches what stays behind. Every token is compared with the
 * CPU's.
 */
import { createSampler, type LogitsType, type Sampler, type SamplingParams } from "../../src/index.ts";
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
  /** Calls whose tokens were not the CPU's. */
  readonly different: readonly string[];
}

const TYPES: readonly LogitsType[] = ["float32", "float16", "bfloat16"];
const VOCABS = [32, 100, 500];
const MOST_ROWS = 4;
/** Calls that overlap. */
const WAVE = 8;
/** Calls until a sampler is destroyed and another one takes its place. */
const LIFE = 400;

interface Pair {
  readonly gpu: Sampler;
  readonly cpu: Sampler;
  readonly data: Float32Array | Uint16Array;
  /** The same logits on the GPU, the caller's. */
  readonly buffer: GPUBuffer;
  readonly tokens: GPUBuffer;
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

/** Counts what is made on a device. */
function watch(device: GPUDevice): { read(): Omit<Reading, "calls" | "heap"> } {
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
  };
}

function randomParams(random: Random, vocabSize: number): SamplingParams {
  const sets: readonly (() => SamplingParams)[] = [
    () => ({ temperature: 0 }),
    () => ({}),
    () => ({ topK: 1 + random.below(60) }),
    () => ({ topP: random.unit() }),
    () => ({ minP: random.unit() / 2, topP: 0.5 + random.unit() / 2 }),
    () => ({ topK: 1 + random.below(300), topP: 0.9, minP: 0.02 }),
    () => ({ topP: 0.9, repetitionPenalty: 1.2, logitBias: { [random.below(vocabSize)]: random.normal() } }),
    () => ({ allowedTokens: Uint32Array.from({ length: Math.ceil(vocabSize / 32) }, () => random.word()) }),
  ];
  const params = sets[random.below(sets.length)]!();
  return {
    temperature: 0.2 + 2 * random.unit(),
    order: (["transformers", "vllm", "llama.cpp"] as const)[random.below(3)]!,
    seed: BigInt(random.word()),
    ...(random.below(2) === 0 ? { position: 0 } : { position: random.word() }),
    ...params,
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
    const options = { vocabSize, maxBatch: MOST_ROWS, maxHistory: 8, logitsType };
    const length = vocabSize * MOST_ROWS;
    const data =
      logitsType === "float32"
        ? Float32Array.from({ length }, () => random.normal() * 4)
        : Uint16Array.from({ length }, () => 0x3c00 + random.below(1200) + (random.below(2) << 15));
    const buffer = device.createBuffer({ label: "caller", size: data.byteLength, usage: 0x88 });
    device.queue.writeBuffer(buffer, 0, data);
    const tokens = device.createBuffer({ label: "caller", size: 4 * MOST_ROWS, usage: 0x80 });
    const [gpu, cpu] = await Promise.all([
      createSampler({ ...options, device }),
      createSampler({ ...options, engine: "cpu" }),
    ]);
    return { gpu, cpu, data, buffer, tokens };
  };
  const end = ({ gpu, cpu, buffer, tokens }: Pair): void => {
    for (const one of [gpu, cpu, buffer, tokens]) one.destroy();
  };

  /** One call in one of the ways there are, and whether it was right. */
  const call = async (number: number): Promise<void> => {
    const { gpu, cpu, data, buffer, tokens } = pairs[number % pairs.length]!;
    const count = 1 + random.below(MOST_ROWS);
    const params =
      random.below(2) === 0
        ? randomParams(random, gpu.vocabSize)
        : Array.from({ length: count }, () => randomParams(random, gpu.vocabSize));
    const onCpu = { data, rows: count };
    const onGpu = { buffer, rows: count };
    rows += count;
    const way = random.below(20);
    if (way === 0) {
      const lists = gpu.candidates(random.below(2) === 0 ? onCpu : onGpu, params);
      const expected = await cpu.candidates(onCpu, params);
      const same = (await lists).every(({ tokens: kept }, row) => String(kept) === String(expected[row]!.tokens));
      if (!same) different.push(`call ${number}: candidates`);
      return;
    }
    if (way === 1) {
      const encoder = device.createCommandEncoder();
      gpu.encode(encoder, { logits: onGpu, tokens }, params);
      device.queue.submit([encoder.finish()]);
      await cpu.sample(onCpu, params); // which also remembers what it draws
      await device.queue.onSubmittedWorkDone();
      return;
    }
    const drawn = gpu.sample(way % 2 === 0 ? onCpu : onGpu, params);
    const expected = (await cpu.sample(onCpu, params)).tokens;
    if (String((await drawn).tokens) !== String(expected)) different.push(`call ${number}: sample`);
  };

  for (let slot = 0; slot < TYPES.length; slot++) pairs.push(await make(slot));
  let number = 0;
  while (number < calls && performance.now() < until) {
    const wave = Math.min(WAVE, calls - number);
    await Promise.all(Array.from({ length: wave }, (_, index) => call(number + index)));
    const previous = number;
    number += wave;
    if (Math.floor(number / LIFE) > Math.floor(previous / LIFE)) {
      const slot = Math.floor(number / LIFE) % pairs.length;
      end(pairs[slot]!);
      pairs[slot] = await make(slot);
    }
    if (Math.floor((number * readings) / calls) > Math.floor((previous * readings) / calls)) {
      const precise = await collect();
      const { memory } = performance as { memory?: { usedJSHeapSize: number } };
      const heap = precise && memory !== undefined ? memory.usedJSHeapSize : 0;
      taken.push({ calls: number, ...watched.read(), heap });
      tell(taken.at(-1)!);
    }
  }
  pairs.forEach(end);
  return { calls: number, rows, samplers, readings: taken, different };
}

/**
 * What grew: compares the last third of the readings with the one before it, so that what is made once, at the start, is no
 * matter. A leak of one object a call, or of one a sampler, shows.
 */
export function growth({ readings }: SoakResult): string[] {
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
  return found;
}
