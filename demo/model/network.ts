/**
 * The network, for training: a decoder in the manner of MPT. Two layers of multi-head attention with ALiBi (Press et al.
 * 2022: instead of positions, a penalty that grows with the distance, so no length is built in) and a two-layer
 * perceptron, layer norms before both and at the end, no biases, and one matrix for embedding and output.
 */
import * as tf from "@tensorflow/tfjs-core";
// oxlint-disable-next-line import/no-unassigned-import -- it registers
import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
import type { Random } from "./grammar.ts";
import { type Shape, slope, type Weights } from "./shape.ts";

/** Names and shapes of all weights. */
export function shapesOf({ vocabSize, width, layers }: Shape): Record<string, readonly number[]> {
  const shapes: Record<string, readonly number[]> = { embedding: [vocabSize, width], norm: [width] };
  for (let layer = 0; layer < layers; layer++) {
    shapes[`${layer}.norm1`] = [width];
    shapes[`${layer}.qkv`] = [width, 3 * width];
    shapes[`${layer}.out`] = [width, width];
    shapes[`${layer}.norm2`] = [width];
    shapes[`${layer}.up`] = [width, 4 * width];
    shapes[`${layer}.down`] = [4 * width, width];
  }
  return shapes;
}

/** Normal random weights: small, and smaller for what is added to the residual stream; gains of norms are one. */
export function initialWeights(shape: Shape, random: Random): Weights {
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Object.fromEntries(
    Object.entries(shapesOf(shape)).map(([name, dims]) => {
      const length = dims.reduce((a, b) => a * b);
      if (dims.length === 1) return [name, { shape: dims, data: new Float32Array(length).fill(1) }];
      const inner = name === "embedding" ? 1 / 0.0004 : dims[0]!;
      const residual = /out|down/.test(name) ? 1 / Math.sqrt(2 * shape.layers) : 1;
      const scale = residual / Math.sqrt(inner);
      return [name, { shape: dims, data: Float32Array.from({ length }, () => scale * normal()) }];
    }),
  );
}

// The wasm backend multiplies plain matrices ten times as fast as transposed ones, so the gradients turn them around first.
const multiply = tf.customGrad((...given) => {
  const [x, w, save] = given as [tf.Tensor2D, tf.Tensor2D, tf.GradSaveFunc];
  save([x, w]);
  return {
    value: tf.matMul(x, w),
    gradFunc: (dy: tf.Tensor, [x, w]: tf.Tensor[]) => [
      tf.matMul(dy, tf.transpose(w!)),
      tf.matMul(tf.transpose(x!), dy),
    ],
  };
});

// The wasm backend has no kernel for the gradient of a gather.
function embed(table: tf.Tensor, ids: Int32Array): tf.Tensor {
  return tf.customGrad((...given) => {
    const [table] = given as [tf.Tensor2D];
    return {
      value: tf.gather(table, tf.tensor1d(ids, "int32")),
      gradFunc: (dy: tf.Tensor) => {
        const [rows, width] = table.shape;
        const from = dy.dataSync();
        const sum = new Float32Array(rows * width);
        for (let i = 0; i < ids.length; i++) {
          for (let k = 0, to = ids[i]! * width; k < width; k++, to++) sum[to] = sum[to]! + from[i * width + k]!;
        }
        return tf.tensor2d(sum, [rows, width]);
      },
    };
  })(table);
}

/** Mean cross entropy in nats; softmax and logarithm in one, so that the gradient is a difference. */
function crossEntropy(logits: tf.Tensor, targets: Int32Array): tf.Scalar {
  return tf.customGrad((...given) => {
    const [logits] = given as [tf.Tensor2D];
    const [rows, width] = logits.shape;
    const probabilities = tf.softmax(logits).dataSync() as Float32Array;
    let loss = 0;
    for (let row = 0; row < rows; row++) loss -= Math.log(Math.max(probabilities[row * width + targets[row]!]!, 1e-30));
    return {
      value: tf.scalar(loss / rows),
      gradFunc: (dy: tf.Tensor) => {
        const gradient = probabilities.slice();
        for (let row = 0; row < rows; row++) gradient[row * width + targets[row]!]! -= 1;
        return tf.mul(tf.tensor2d(gradient, [rows, width]), tf.div(dy, rows));
      },
    };
  })(logits) as tf.Scalar;
}

function norm(x: tf.Tensor, gain: tf.Tensor): tf.Tensor {
  const centred = tf.sub(x, tf.mean(x, 1, true));
  const variance = tf.mean(tf.square(centred), 1, true);
  return tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, 1e-5))), gain);
}

/**
 * The mean loss of predicting each next token.
 *
 * @param ids `[batch, length + 1]`
 */
export function lossOf(
  { width, heads, layers }: Shape,
  weights: Record<string, tf.Tensor>,
  ids: Int32Array,
  batch: number,
): tf.Scalar {
  const length = ids.length / batch - 1;
  const size = width / heads;
  const inputs = new Int32Array(batch * length);
  const targets = new Int32Array(batch * length);
  for (let row = 0; row < batch; row++) {
    const start = row * (length + 1);
    inputs.set(ids.subarray(start, start + length), row * length);
    targets.set(ids.subarray(start + 1, start + length + 1), row * length);
  }
  const penalty = new Float32Array(heads * length * length);
  for (let head = 0, at = 0; head < heads; head++) {
    for (let to = 0; to < length; to++) {
      for (let from = 0; from < length; from++, at++) {
        penalty[at] = from > to ? -1e9 : (from - to) * slope(head, heads);
      }
    }
  }
  const bias = tf.tensor4d(penalty, [1, heads, length, length]);

  let x = embed(weights["embedding"]!, inputs);
  for (let layer = 0; layer < layers; layer++) {
    const of = (name: string): tf.Tensor => weights[`${layer}.${name}`]!;
    const qkv = tf.reshape(multiply(norm(x, of("norm1")), of("qkv")), [batch, length, 3, heads, size]);
    const [q, k, v] = tf
      .unstack(tf.transpose(qkv, [2, 0, 3, 1, 4]))
      .map((part) => tf.reshape(part, [batch * heads, length, size]));
    const scores = tf.mul(tf.matMul(q!, k!, false, true), 1 / Math.sqrt(size));
    const attention = tf.softmax(tf.add(tf.reshape(scores, [batch, heads, length, length]), bias));
    const seen = tf.matMul(tf.reshape(attention, [batch * heads, length, length]), v!);
    const joined = tf.transpose(tf.reshape(seen, [batch, heads, length, size]), [0, 2, 1, 3]);
    x = tf.add(x, multiply(tf.reshape(joined, [batch * length, width]), of("out")));
    x = tf.add(x, multiply(tf.relu(multiply(norm(x, of("norm2")), of("up"))), of("down")));
  }
  const logits = multiply(norm(x, weights["norm"]!), tf.transpose(weights["embedding"]!));
  return crossEntropy(logits, targets);
}
