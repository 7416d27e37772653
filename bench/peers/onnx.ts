/**
 * ONNX Runtime Web on its WebGPU provider. Sampling is a graph, as it would be at the end of an exported model; it has no
 * random operator on the GPU, so uniform numbers are an input.
 *
 * Its CumSum adds up every prefix anew, which is quadratic, so the point of a draw is looked up in two steps: in the sums of
 * blocks, then within a block.
 */
import { onnx } from "onnx-proto";
import * as ort from "onnxruntime-web/webgpu";
import { MODE_NAMES, type ModeName } from "../cases.ts";
import manifest from "./package.json";
import { type Calls, type LoadedPeer, MIN_P, type Peer, TEMPERATURE, TOP_K, TOP_P } from "./peer.ts";

const { FLOAT, INT64 } = onnx.TensorProto.DataType;
const BLOCK = 512;

/** Builds a graph node by node; names are made up as it goes. */
class Graph {
  readonly #nodes: onnx.INodeProto[] = [];
  readonly #constants: onnx.ITensorProto[] = [];
  #names = 0;

  node(
    opType: string,
    input: readonly string[],
    attributes: Readonly<Record<string, number>> = {},
    outputs = 1,
  ): string[] {
    const output = Array.from({ length: outputs }, () => `v${this.#names++}`);
    const attribute = Object.entries(attributes).map(([name, i]) => ({
      name,
      i,
      type: onnx.AttributeProto.AttributeType.INT,
    }));
    this.#nodes.push({ opType, input: [...input], output, attribute });
    return output;
  }

  /** A node with one output. */
  one(opType: string, input: readonly string[], attributes: Readonly<Record<string, number>> = {}): string {
    return this.node(opType, input, attributes)[0]!;
  }

  float(value: number): string {
    const name = `c${this.#names++}`;
    this.#constants.push({ name, dims: [], dataType: FLOAT, floatData: [value] });
    return name;
  }

  ints(values: readonly number[], dims: readonly number[] = [values.length]): string {
    const name = `c${this.#names++}`;
    this.#constants.push({ name, dims: [...dims], dataType: INT64, int64Data: [...values] });
    return name;
  }

  cast(input: string, to: number): string {
    return this.one("Cast", [input], { to });
  }

  /** @param tokens value that becomes the output, `[batch]` */
  model(tokens: string, batch: number, vocab: number): Uint8Array {
    this.#nodes.push({ opType: "Reshape", input: [tokens, this.ints([batch])], output: ["tokens"] });
    const info = (name: string, elemType: number, dims: readonly number[]): onnx.IValueInfoProto => ({
      name,
      type: { tensorType: { elemType, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
    });
    const model = onnx.ModelProto.create({
      irVersion: 8,
      opsetImport: [{ domain: "", version: 18 }],
      graph: {
        name: "sampling",
        node: this.#nodes,
        initializer: this.#constants,
        input: [info("logits", FLOAT, [batch, vocab]), info("uniform", FLOAT, [batch, 1])].filter(({ name }) =>
          this.#nodes.some(({ input }) => input?.includes(name!)),
        ),
        output: [info("tokens", INT64, [batch])],
      },
    });
    return onnx.ModelProto.encode(model).finish();
  }
}

/** First place along axis 1 of `[batch, n]` where the running sum exceeds the point `[batch, 1]`: `[batch, 1]`. */
function firstAbove(graph: Graph, sums: string, point: string): string {
  const above = graph.cast(graph.one("Greater", [sums, point]), FLOAT);
  return graph.one("ArgMax", [above], { axis: 1, keepdims: 1, select_last_index: 0 });
}

const runningSums = (graph: Graph, weights: string): string => graph.one("CumSum", [weights, graph.ints([1], [])]);

/** Last column of `[batch, n]`: `[batch, 1]`. */
const lastColumn = (graph: Graph, values: string, n: number): string =>
  graph.one("Slice", [values, graph.ints([n - 1]), graph.ints([n]), graph.ints([1])]);

/** Weights `[batch, n]` in blocks, with what it takes to look up a point. */
class Blocks {
  readonly #graph: Graph;
  readonly #count: number;
  readonly #blocks: string;
  readonly #sums: string;
  readonly #before: string;
  /** The sum of all weights, `[batch, 1]`. */
  readonly total: string;

  constructor(graph: Graph, weights: string, batch: number, n: number) {
    this.#graph = graph;
    this.#count = Math.ceil(n / BLOCK);
    const padded = graph.one("Pad", [weights, graph.ints([0, 0, 0, this.#count * BLOCK - n])]);
    this.#blocks = graph.one("Reshape", [padded, graph.ints([batch, this.#count, BLOCK])]);
    const perBlock = graph.one("ReduceSum", [this.#blocks, graph.ints([2])], { keepdims: 0 });
    this.#sums = runningSums(graph, perBlock);
    this.#before = graph.one("Sub", [this.#sums, perBlock]);
    this.total = lastColumn(graph, this.#sums, this.#count);
  }

  /** Where the running sum first exceeds the point, and the running sum there. */
  find(point: string): { place: string; sum: string } {
    const graph = this.#graph;
    const block = firstAbove(graph, this.#sums, point);
    const before = graph.one("GatherElements", [this.#before, block], { axis: 1 });
    const inside = runningSums(graph, graph.one("GatherND", [this.#blocks, block], { batch_dims: 1 }));
    const at = firstAbove(graph, inside, graph.one("Sub", [point, before]));
    const start = graph.one("Mul", [block, graph.ints([BLOCK])]);
    return {
      place: graph.one("Add", [start, at]),
      sum: graph.one("Add", [before, graph.one("GatherElements", [inside, at], { axis: 1 })]),
    };
  }
}

/** Weights under min-p of the largest become zero. */
function aboveMinP(graph: Graph, weights: string): string {
  const largest = graph.one("ReduceMax", [weights, graph.ints([1])], { keepdims: 1 });
  const kept = graph.one("GreaterOrEqual", [weights, graph.one("Mul", [largest, graph.float(MIN_P)])]);
  return graph.one("Where", [kept, weights, graph.float(0)]);
}

/** A model from `logits` and `uniform` to `tokens`. */
function sampling(mode: ModeName, batch: number, vocab: number): Uint8Array {
  const graph = new Graph();
  if (mode === "greedy") {
    return graph.model(graph.one("ArgMax", ["logits"], { axis: 1, keepdims: 1 }), batch, vocab);
  }
  const scaled = graph.one("Mul", ["logits", graph.float(1 / TEMPERATURE)]);
  if (mode === "none" || mode === "min-p") {
    const weights = graph.one("Softmax", [scaled], { axis: 1 });
    const blocks = new Blocks(graph, mode === "min-p" ? aboveMinP(graph, weights) : weights, batch, vocab);
    return graph.model(blocks.find(graph.one("Mul", [blocks.total, "uniform"])).place, batch, vocab);
  }
  const k = mode === "top-p" ? vocab : Math.min(TOP_K, vocab);
  const [values, ids] = graph.node("TopK", [scaled, graph.ints([k])], { axis: 1, sorted: 1 }, 2);
  const blocks = new Blocks(graph, graph.one("Softmax", [values!], { axis: 1 }), batch, k);
  // The mass of the shortest run that reaches p is the running sum where it first exceeds p, or a hair less.
  const kept =
    mode === "top-k"
      ? blocks.total
      : blocks.find(graph.one("Mul", [blocks.total, graph.float(TOP_P * (1 - 1e-6))])).sum;
  const { place } = blocks.find(graph.one("Mul", [kept, "uniform"]));
  return graph.model(graph.one("GatherElements", [ids!, place], { axis: 1 }), batch, vocab);
}

export async function onnxPeer(wasmFolder: string): Promise<Peer> {
  ort.env.wasm.wasmPaths = wasmFolder;
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const open = (mode: ModeName, batch: number, vocab: number): Promise<ort.InferenceSession> =>
    ort.InferenceSession.create(sampling(mode, batch, vocab), {
      executionProviders: ["webgpu"],
      preferredOutputLocation: "gpu-buffer",
      logSeverityLevel: 3,
    });
  // The device is there after the first session, and gone with the last one: this one stays.
  await open("greedy", 1, 2);
  const device = await ort.env.webgpu.device;
  return {
    name: "ONNX Runtime Web",
    version: manifest.dependencies["onnxruntime-web"],
    how: "a graph of ArgMax, TopK, Softmax and CumSum on its WebGPU provider; top-p sorts everything with TopK",
    load: async ({ vocab, batch, data }): Promise<LoadedPeer> => {
      const buffer = device.createBuffer({
        label: "bench.peer-logits",
        size: Math.ceil(data.byteLength / 16) * 16,
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      });
      device.queue.writeBuffer(buffer, 0, data);
      const logits = ort.Tensor.fromGpuBuffer(buffer, { dataType: "float32", dims: [batch, vocab] });
      const sessions: Promise<ort.InferenceSession>[] = [];
      const calls = (mode: ModeName): Calls => {
        let session: Promise<ort.InferenceSession> | undefined;
        return async (count) => {
          session ??= open(mode, batch, vocab);
          if (!sessions.includes(session)) sessions.push(session);
          const opened = await session;
          const outputs: ort.Tensor[] = [];
          // A session runs one call at a time; only the reading overlaps.
          for (let at = 0; at < count; at++) {
            const uniform = new ort.Tensor("float32", Float32Array.from({ length: batch }, Math.random), [batch, 1]);
            outputs.push((await opened.run(mode === "greedy" ? { logits } : { logits, uniform }))["tokens"]!);
          }
          const tokens = await Promise.all(outputs.map((output) => output.getData() as Promise<BigInt64Array>));
          for (const output of outputs) output.dispose();
          return tokens;
        };
      };
      return {
        modes: Object.fromEntries(MODE_NAMES.map((mode) => [mode, calls(mode)])),
        release: () => {
          // One that could not be opened has been reported.
          for (const session of sessions) void session.then((opened) => opened.release()).catch(() => undefined);
          buffer.destroy();
        },
      };
    },
  };
}
