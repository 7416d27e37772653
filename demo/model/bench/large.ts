/**
 * A model as small as a vocabulary as large as today's allows: the logits are a product of two thin matrices. It has a cache in name,
 * so that it runs like any other.
 */
import proto from "onnx-proto";
import { randomOf } from "../grammar.ts";

const WIDTH = 16;

export function largeModel(vocabSize: number): Uint8Array {
  const { onnx } = proto;
  const { FLOAT, INT64 } = onnx.TensorProto.DataType;
  const random = randomOf(1);
  const matrix = (name: string, dims: [number, number]): proto.onnx.ITensorProto => {
    const data = Float32Array.from({ length: dims[0] * dims[1] }, () => 2 * random() - 1);
    return { name, dims, dataType: FLOAT, rawData: new Uint8Array(data.buffer) };
  };
  const value = (name: string, elemType: number, dims: (string | number)[]): proto.onnx.IValueInfoProto => ({
    name,
    type: {
      tensorType: {
        elemType,
        shape: { dim: dims.map((dim) => (typeof dim === "string" ? { dimParam: dim } : { dimValue: dim })) },
      },
    },
  });
  const one = new Uint8Array(BigInt64Array.of(1n).buffer);
  const last = new Uint8Array(BigInt64Array.of(-1n).buffer);
  return onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [{ domain: "", version: 18 }],
    graph: {
      name: "large",
      initializer: [
        matrix("embedding", [vocabSize, WIDTH]),
        matrix("unembedding", [WIDTH, vocabSize]),
        { name: "one", dims: [1], dataType: INT64, rawData: one },
        { name: "last", dims: [1], dataType: INT64, rawData: last },
      ],
      node: [
        { opType: "Gather", input: ["embedding", "input_ids"], output: ["embedded"] },
        { opType: "MatMul", input: ["embedded", "unembedding"], output: ["logits"] },
        { opType: "ReduceMax", input: ["embedded", "last"], output: ["largest"] },
        { opType: "Unsqueeze", input: ["largest", "one"], output: ["kept"] },
        {
          opType: "Concat",
          input: ["past_key_values.0.key", "kept"],
          output: ["present.0.key"],
          attribute: [{ name: "axis", type: onnx.AttributeProto.AttributeType.INT, i: 2 }],
        },
      ],
      input: [
        value("input_ids", INT64, ["batch", "length"]),
        value("past_key_values.0.key", FLOAT, ["batch", 1, "past", 1]),
      ],
      output: [
        value("logits", FLOAT, ["batch", "length", vocabSize]),
        value("present.0.key", FLOAT, ["batch", 1, "total", 1]),
      ],
    },
  }).finish();
}
