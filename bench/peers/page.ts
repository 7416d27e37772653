/** What the page of the peers' bench runs; `scripts/bench-peers.mjs` opens it and calls `benchPeers`. */
import { createSampler } from "../../src/index.ts";
import type { BenchOptions, BenchOutcome, Case, ModeName, PeerReport, Progress } from "../cases.ts";
import { MODE_LABELS, MODES } from "../cases.ts";
import { Paces } from "../pace.ts";
import { Readback } from "../readback.ts";
import { bench, type Contender, type Logits, type Others, requestBenchDevice } from "../run.ts";
import { copyPeer } from "./copy.ts";
import { JavaScriptSampler } from "./javascript.ts";
import { jaxPeer } from "./jax.ts";
import { onnxPeer } from "./onnx.ts";
import type { LoadedPeer, Peer } from "./peer.ts";
import { tensorflowPeer } from "./tensorflow.ts";
import { transformersPeer } from "./transformers.ts";
import { verdictNote, verdicts } from "./verdict.ts";

const SEED = 7n;
/** Calls in one encoder whose tokens are compared before anything is timed. */
const CHECKED_CALLS = 2;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** @param parts what to run, one after the other; a peer that was slow in one part is spared in the next */
async function benchPeers(parts: readonly BenchOptions[], names: readonly string[]): Promise<BenchOutcome> {
  const progress: Progress = (line) => console.log(line);
  const found = await requestBenchDevice(
    navigator.gpu,
    parts.flatMap(({ shapes }) => shapes),
  );
  const openers: Readonly<Record<string, () => Peer | Promise<Peer>>> = {
    copy: () => copyPeer(found.device),
    transformers: () => transformersPeer(found.device, new URL("ort-transformers/", location.href).href),
    tensorflow: tensorflowPeer,
    onnx: () => onnxPeer(new URL("ort/", location.href).href),
    jax: jaxPeer,
  };
  const peers: Peer[] = [];
  const reports: PeerReport[] = [];
  for (const name of names) {
    try {
      const peer = await openers[name]!();
      const report = { name: peer.name, version: peer.version, how: peer.how, verdicts: await verdicts(peer) };
      peers.push(peer);
      reports.push(report);
      for (const verdict of report.verdicts) progress(`${peer.name}, ${verdict.mode}: ${verdictNote(verdict)}`);
    } catch (error) {
      const reason = messageOf(error);
      progress(`${name} does not run here: ${reason}`);
      reports.push({ name, version: "", how: `does not run here: ${reason}`, verdicts: [] });
    }
  }
  const prepare = (logits: Logits, modes: readonly ModeName[]): Promise<Others> =>
    others(peers, logits, modes, progress);
  const paces = new Paces();
  const cases: Case[] = [];
  const mismatches: string[] = [];
  for (const options of parts) {
    const outcome = await bench(found, options, progress, prepare, paces);
    cases.push(...outcome.cases);
    mismatches.push(...outcome.mismatches);
    if (mismatches.length > 0) break;
  }
  return { adapter: found.adapter, cases, mismatches, peers: reports };
}

/** The peers, our own other ways to have tokens in JavaScript, and hand-written JavaScript on rows in CPU memory. */
async function others(
  peers: readonly Peer[],
  logits: Logits,
  modes: readonly ModeName[],
  progress: Progress,
): Promise<Others> {
  const contenders: Contender[] = [];
  const releases: (() => void)[] = [];
  for (const ours of [await encodeAndRead(logits, modes), await copyToCpuEngine(logits, modes)]) {
    contenders.push(...ours.contenders);
    releases.push(() => ours.release());
  }
  contenders.push(...javaScriptRows(logits, modes));
  for (const peer of peers) {
    const failed = (when: string, error: unknown): string => {
      const note = `failed ${when}: ${messageOf(error)}`;
      progress(`${peer.name} ${note}`);
      return note;
    };
    let loaded: LoadedPeer;
    try {
      loaded = await peer.load(logits);
    } catch (error) {
      const notes = [failed("when it got the logits", error)];
      contenders.push(...modes.map((mode) => ({ who: peer.name, mode, notes, isPeer: true })));
      continue;
    }
    releases.push(() => {
      try {
        loaded.release();
      } catch (error) {
        failed("when it let go of the logits", error);
      }
    });
    for (const mode of modes) {
      const tokens = loaded.modes[mode];
      if (tokens !== undefined) contenders.push({ who: peer.name, mode, tokens, isPeer: true });
    }
  }
  return { contenders, release: () => releases.forEach((release) => release()) };
}

/**
 * `encode` and a readback of the tokens: several calls go into one submit and come back together.
 *
 * @throws Error if the tokens are not the reference's
 */
async function encodeAndRead(
  { vocab, batch, data, device, copies }: Logits,
  modes: readonly ModeName[],
): Promise<Others> {
  const sampler = await createSampler({ vocabSize: vocab, maxBatch: batch, device });
  const readback = new Readback(device);
  const most = 16;
  const tokens = device.createBuffer({
    label: "bench.tokens",
    size: 4 * batch * most,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  const reference = await createSampler({ vocabSize: vocab, maxBatch: batch, engine: "cpu" });
  const contenders: Contender[] = [];
  for (const mode of modes) {
    const params = { ...MODES[mode], seed: SEED };
    const call = (calls: number): Promise<Uint32Array> => {
      const encoder = device.createCommandEncoder({ label: "bench.encode" });
      for (let call = 0; call < calls; call++) {
        const target = { logits: { buffer: copies.next(), rows: batch }, tokens, tokensOffset: call * batch };
        sampler.encode(encoder, target, params);
      }
      return readback.submit(encoder, tokens, 4 * batch * calls, (mapped) => new Uint32Array(mapped.slice(0)));
    };
    // What the mode before has left there must not pass for the tokens of this one.
    device.queue.writeBuffer(tokens, 0, new Uint32Array(batch * CHECKED_CALLS).fill(0xffff_ffff));
    const drawn = await call(CHECKED_CALLS);
    for (let at = 0; at < CHECKED_CALLS; at++) {
      const expected = (await reference.sample(data, params)).tokens;
      const row = expected.findIndex((token, index) => drawn[at * batch + index] !== token);
      if (row < 0) continue;
      throw new Error(
        `bench: encode and a readback, ${MODE_LABELS[mode]}: call ${at}, row ${row}: token ${drawn[at * batch + row]}, the reference's is ${expected[row]}`,
      );
    }
    contenders.push({ who: "webgpu-token-sampler, encode", mode, tokens: call, checkedRows: batch });
  }
  reference.destroy();
  return {
    contenders,
    release: () => {
      sampler.destroy();
      readback.destroy();
      tokens.destroy();
    },
  };
}

/** Our CPU engine on logits that are copied out of the GPU. */
async function copyToCpuEngine({ vocab, batch, device, copies }: Logits, modes: readonly ModeName[]): Promise<Others> {
  const sampler = await createSampler({ vocabSize: vocab, maxBatch: batch, engine: "cpu" });
  const readback = new Readback(device);
  const call = async (mode: ModeName): Promise<Uint32Array> => {
    // A call sees the logits as they are when it is made, so it may outlive the mapping.
    const sample = (mapped: ArrayBuffer): ReturnType<typeof sampler.sample> =>
      sampler.sample(new Float32Array(mapped), { ...MODES[mode], seed: SEED });
    const pending = await readback.read(copies.next(), 4 * vocab * batch, (mapped) => [sample(mapped)] as const);
    return (await pending[0]).tokens;
  };
  return {
    contenders: modes.map((mode) => ({
      who: "webgpu-token-sampler, copy + CPU engine",
      mode,
      tokens: (calls) => Promise.all(Array.from({ length: calls }, () => call(mode))),
    })),
    release: () => {
      sampler.destroy();
      readback.destroy();
    },
  };
}

function javaScriptRows({ vocab, data }: Logits, modes: readonly ModeName[]): Contender[] {
  const sampler = new JavaScriptSampler(vocab);
  return modes.map((mode) => ({
    who: "JavaScript",
    mode,
    row: (index) => sampler.sample(data.subarray(index * vocab, (index + 1) * vocab), MODES[mode], Math.random()),
  }));
}

Object.assign(globalThis, { benchPeers });
