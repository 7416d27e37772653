/**
 * The trained network as an ONNX model with the inputs and outputs that exporters of Hugging Face models use:
 * `input_ids`, `attention_mask`, `past_key_values.N.key|value` in, `logits`, `present.N.key|value` out. Weights are
 * float16, all arithmetic is float32.
 */
import proto from "onnx-proto";
import { type Shape, slope, type Weights } from "./shape.ts";

const { onnx } = proto;
const { FLOAT, FLOAT16, INT64 } = onnx.TensorProto.DataType;

/** Nodes and constants of a graph under construction. A node's name is that of its output. */
class Graph {
  readonly nodes: proto.onnx.INodeProto[] = [];
  readonly initializers: proto.onnx.ITensorProto[] = [];

  op(
    opType: string,
    output: string | readonly string[],
    input: readonly string[],
    attributes: Record<string, number | readonly number[]> = {},
  ): string {
    const outputs = typeof output === "string" ? [output] : [...output];
    const { INT, INTS, FLOAT } = onnx.AttributeProto.AttributeType;
    this.nodes.push({
      opType,
      name: outputs[0]!,
      input: [...input],
      output: outputs,
      attribute: Object.entries(attributes).map(([name, value]) =>
        typeof value !== "number"
          ? { name, type: INTS, ints: [...value] }
          : Number.isInteger(value)
            ? { name, type: INT, i: value }
            : { name, type: FLOAT, f: value },
      ),
    });
    return outputs[0]!;
  }

  /** int64, a scalar if `values` is a number. */
  integers(name: string, values: number | readonly number[]): string {
    const list = typeof values === "number" ? [values] : values;
    const dims = typeof values === "number" ? [] : [list.length];
    this.initializers.push({
      name,
      dims,
      dataType: INT64,
      rawData: bytes(BigInt64Array.from(list, BigInt)),
    });
    return name;
  }

  floats(name: string, dims: readonly number[], values: readonly number[]): string {
    this.initializers.push({ name, dims: [...dims], dataType: FLOAT, rawData: bytes(Float32Array.from(values)) });
    return name;
  }

  /** Stored as float16, used as float32; a runtime folds the conversion when it loads the model. */
  weight(name: string, dims: readonly number[], data: Float32Array): string {
    this.initializers.push({
      name: `${name}.half`,
      dims: [...dims],
      dataType: FLOAT16,
      rawData: bytes(Uint16Array.from(data, halfBits)),
    });
    return this.op("Cast", name, [`${name}.half`], { to: FLOAT });
  }
}

/** The model file. */
export function writeOnnx(shape: Shape, weights: Weights): Uint8Array {
  const { vocabSize, width, heads, layers } = shape;
  const size = width / heads;
  const graph = new Graph();
  for (const [name, { shape, data }] of Object.entries(weights)) graph.weight(name, shape, data);
  const zero = graph.integers("zero", 0);
  const one = graph.integers("one", 1);
  const two = graph.integers("two", 2);
  const split = graph.integers("to_heads", [0, 0, heads, size]);
  const join = graph.integers("from_heads", [0, 0, width]);
  const scale = graph.floats("scale", [], [1 / Math.sqrt(size)]);
  const masked = graph.floats("masked", [], [-1e9]);

  // What attention adds to its scores: the penalty of ALiBi, nothing later than the position itself, no padding.
  const before = graph.op("Gather", "past_length", [graph.op("Shape", "past_shape", ["past_key_values.0.key"]), two]);
  // Not the shape of input_ids: ONNX Runtime works out shapes of integers on the CPU, and would fetch them for it.
  const embedded = graph.op("Gather", "embedded", ["embedding", "input_ids"]);
  const length = graph.op("Gather", "length", [graph.op("Shape", "embedded_shape", [embedded]), one]);
  const total = graph.op("Add", "total_length", [before, length]);
  const to = graph.op("Unsqueeze", "to", [
    graph.op("Range", "to_row", [before, total, one]),
    graph.integers("axis1", [1]),
  ]);
  const from = graph.op("Range", "from", [zero, total, one]);
  const distance = graph.op("Cast", "distance", [graph.op("Sub", "distance_int", [from, to])], { to: FLOAT });
  const slopes = Array.from({ length: heads }, (_, head) => slope(head, heads));
  const alibi = graph.op("Mul", "alibi", [distance, graph.floats("slopes", [heads, 1, 1], slopes)]);
  const later = graph.op("Greater", "later", [distance, graph.floats("float_zero", [], [0])]);
  const causal = graph.op("Where", "causal", [later, masked, alibi]);
  const real = graph.op("Cast", "real", ["attention_mask"], { to: FLOAT });
  const absent = graph.op("Sub", "absent", [graph.floats("float_one", [], [1]), real]);
  const padding = graph.op("Unsqueeze", "padding", [
    graph.op("Mul", "padding_row", [absent, masked]),
    graph.integers("axes12", [1, 2]),
  ]);
  const bias = graph.op("Add", "bias", [causal, padding]);

  const norm = (output: string, x: string, gain: string): string =>
    graph.op("LayerNormalization", output, [x, gain], { axis: -1, epsilon: 1e-5 });

  let x = embedded;
  for (let layer = 0; layer < layers; layer++) {
    const at = (name: string): string => `${layer}.${name}`;
    const mixed = graph.op("MatMul", at("mixed"), [norm(at("normed1"), x, at("norm1")), at("qkv")]);
    const parts = ["q", "k", "v"].map(at);
    graph.op("Split", parts, [mixed], { axis: -1, num_outputs: 3 });
    const [q, k, v] = parts.map((part) =>
      graph.op("Transpose", `${part}.heads`, [graph.op("Reshape", `${part}.split`, [part, split])], {
        perm: [0, 2, 1, 3],
      }),
    );
    const keys = graph.op("Concat", `present.${layer}.key`, [`past_key_values.${layer}.key`, k!], { axis: 2 });
    const seen = graph.op("Concat", `present.${layer}.value`, [`past_key_values.${layer}.value`, v!], { axis: 2 });
    const turned = graph.op("Transpose", at("keys"), [keys], { perm: [0, 1, 3, 2] });
    const scores = graph.op("Mul", at("scores"), [graph.op("MatMul", at("products"), [q!, turned]), scale]);
    const attention = graph.op("Softmax", at("attention"), [graph.op("Add", at("biased"), [scores, bias])], {
      axis: -1,
    });
    const read = graph.op("Transpose", at("read"), [graph.op("MatMul", at("read.heads"), [attention, seen])], {
      perm: [0, 2, 1, 3],
    });
    const joined = graph.op("Reshape", at("joined"), [read, join]);
    x = graph.op("Add", at("x1"), [x, graph.op("MatMul", at("attended"), [joined, at("out")])]);
    const hidden = graph.op("MatMul", at("hidden"), [norm(at("normed2"), x, at("norm2")), at("up")]);
    const active = graph.op("Relu", at("active"), [hidden]);
    x = graph.op("Add", at("x2"), [x, graph.op("MatMul", at("thought"), [active, at("down")])]);
  }
  const unembedding = graph.op("Transpose", "unembedding", ["embedding"], { perm: [1, 0] });
  graph.op("MatMul", "logits", [norm("normed", x, "norm"), unembedding]);

  const value = (name: string, elemType: number, dims: readonly (string | number)[]): proto.onnx.IValueInfoProto => ({
    name,
    type: {
      tensorType: {
        elemType,
        shape: { dim: dims.map((dim) => (typeof dim === "string" ? { dimParam: dim } : { dimValue: dim })) },
      },
    },
  });
  const caches = (prefix: string, dim: string): proto.onnx.IValueInfoProto[] =>
    Array.from({ length: layers }, (_, layer) =>
      ["key", "value"].map((part) => value(`${prefix}.${layer}.${part}`, FLOAT, ["batch", heads, dim, size])),
    ).flat();
  const model = onnx.ModelProto.create({
    irVersion: 8,
    producerName: "webgpu-token-sampler/demo",
    opsetImport: [{ domain: "", version: 18 }],
    graph: {
      name: "tales",
      node: graph.nodes,
      initializer: graph.initializers,
      input: [
        value("input_ids", INT64, ["batch", "length"]),
        value("attention_mask", INT64, ["batch", "total"]),
        ...caches("past_key_values", "past"),
      ],
      output: [value("logits", FLOAT, ["batch", "length", vocabSize]), ...caches("present", "total")],
    },
  });
  return onnx.ModelProto.encode(model).finish();
}

/** The nearest float16, as a number; ties to even. */
export function roundToHalf(value: number): number {
  const magnitude = Math.abs(value);
  if (magnitude === 0) return value;
  // The distance between neighbours: 2^-10 of the power of two below, and 2^-24 among the subnormal ones.
  const step = 2 ** Math.max(Math.floor(Math.log2(magnitude)) - 10, -24);
  const scaled = magnitude / step;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const rounded = (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor) * step;
  if (rounded > 65_504) throw new RangeError(`weight ${value}: too large for float16`);
  return Math.sign(value) * rounded;
}

/** The bits of the nearest float16. */
export function halfBits(value: number): number {
  const rounded = roundToHalf(value);
  const sign = rounded < 0 || Object.is(rounded, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(rounded);
  if (magnitude < 2 ** -14) return sign | (magnitude * 2 ** 24);
  const exponent = Math.floor(Math.log2(magnitude));
  return sign | ((exponent + 15) << 10) | ((magnitude / 2 ** exponent - 1) * 1024);
}

function bytes(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
