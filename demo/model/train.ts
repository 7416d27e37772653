/**
 * Trains the model of the demos and writes it down as ONNX, with its tokenizer and configuration, in the layout of Hugging
 * Face. `npm run train:model`; some twenty minutes on one core. Reproducible: seeds and steps are fixed.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { Tokenizer } from "@huggingface/tokenizers";
import { setThreadsCount, setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { baselines } from "./baselines.ts";
import { corpusOf, encodeAll, tokenizerOf } from "./corpus.ts";
import { randomOf } from "./grammar.ts";
import { initialWeights, lossOf } from "./network.ts";
import { roundToHalf, writeOnnx } from "./onnx.ts";
import type { Shape, Weights } from "./shape.ts";

const LENGTH = 96;
const BATCH = 10;
/** Rows of a batch that come from the documentation, which is little, and is seen again and again. */
const DOC_ROWS = 1;
const DOCUMENTS = ["docs/guide.md", "docs/rules.md", "docs/sampling.md"];
const TALES = 20_000;
const [PEAK_RATE, WARM_UP, DECAY] = [3e-3, 100, 0.01];

const { values } = parseArgs({
  options: { steps: { type: "string", default: "1800" }, out: { type: "string", default: "demo/model/tales" } },
});
const steps = Number(values.steps);

async function main(): Promise<void> {
  setWasmPaths(`${dirname(createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm"))}/`);
  setThreadsCount(1);
  await tf.setBackend("wasm");
  await tf.ready();

  const corpus = corpusOf(
    DOCUMENTS.map((file) => readFileSync(file, "utf8")),
    TALES,
  );
  const files = tokenizerOf([...corpus.tales.training, ...corpus.docs.training, ...corpus.docs.heldOut]);
  const tokenizer = new Tokenizer(files.tokenizer, files.config);
  const encode = (texts: readonly string[]): Int32Array => encodeAll(tokenizer, texts);
  const tales = { training: encode(corpus.tales.training), heldOut: encode(corpus.tales.heldOut) };
  const docs = { training: encode(corpus.docs.training), heldOut: encode(corpus.docs.heldOut) };
  const shape: Shape = { vocabSize: tokenizer.get_vocab().size, width: 96, heads: 4, layers: 2 };
  console.log(
    `${shape.vocabSize} pieces; tokens: tales ${tales.training.length} + ${tales.heldOut.length}, docs ${docs.training.length} + ${docs.heldOut.length}`,
  );

  const weights = train(shape, tales.training, docs.training);
  const half = Object.fromEntries(
    Object.entries(weights).map(([name, { shape, data }]) => [name, { shape, data: data.map(roundToHalf) }]),
  );
  const report = {
    vocabSize: shape.vocabSize,
    parameters: Object.values(weights).reduce((sum, { data }) => sum + data.length, 0),
    steps,
    trainingTokens: steps * BATCH * LENGTH,
    perplexity: Object.fromEntries(
      Object.entries({ tales, docs }).map(([name, { training, heldOut }]) => [
        name,
        {
          ...baselines(training, heldOut, shape.vocabSize),
          model: Math.exp(evaluate(shape, weights, heldOut)),
          "model, float16 weights": Math.exp(evaluate(shape, half, heldOut)),
        },
      ]),
    ),
  };
  console.log(JSON.stringify(report, undefined, 1));

  mkdirSync(join(values.out, "onnx"), { recursive: true });
  const json = (name: string, content: object): void =>
    writeFileSync(join(values.out, name), `${JSON.stringify(content)}\n`);
  json("tokenizer.json", files.tokenizer);
  json("tokenizer_config.json", files.config);
  json("config.json", {
    model_type: "mpt",
    architectures: ["MptForCausalLM"],
    d_model: shape.width,
    n_heads: shape.heads,
    n_layers: shape.layers,
    vocab_size: shape.vocabSize,
    max_seq_len: 1024,
    bos_token_id: 0,
    eos_token_id: 0,
    pad_token_id: 0,
  });
  json("generation_config.json", { bos_token_id: 0, eos_token_id: 0, pad_token_id: 0 });
  json("training.json", report);
  writeFileSync(join(values.out, "onnx", "model.onnx"), writeOnnx(shape, weights));
}

/** AdamW (Loshchilov and Hutter 2019) with a warm-up and a cosine to zero. */
function train(shape: Shape, tales: Int32Array, docs: Int32Array): Weights {
  const random = randomOf(7);
  const weights = initialWeights(shape, random);
  const names = Object.keys(weights);
  const first = names.map((name) => new Float32Array(weights[name]!.data.length));
  const second = names.map((name) => new Float32Array(weights[name]!.data.length));
  const lossAndGradients = tf.valueAndGrads((...tensors: tf.Tensor[]) =>
    lossOf(shape, Object.fromEntries(names.map((name, i) => [name, tensors[i]!])), ids, BATCH),
  );
  const ids = new Int32Array(BATCH * (LENGTH + 1));
  const start = performance.now();
  let smooth = 0;
  for (let step = 1; step <= steps; step++) {
    for (let row = 0; row < BATCH; row++) {
      const from = row < DOC_ROWS ? docs : tales;
      const at = Math.floor(random() * (from.length - LENGTH - 1));
      ids.set(from.subarray(at, at + LENGTH + 1), row * (LENGTH + 1));
    }
    const { loss, gradients } = tf.tidy(() => {
      const { value, grads } = lossAndGradients(names.map((name) => tensorOf(weights[name]!)));
      return { loss: value.dataSync()[0]!, gradients: grads.map((gradient) => gradient.dataSync() as Float32Array) };
    });
    const rate = PEAK_RATE * Math.min(1, step / WARM_UP) * 0.5 * (1 + Math.cos((Math.PI * step) / steps));
    const [toFirst, toSecond] = [1 / (1 - 0.9 ** step), 1 / (1 - 0.99 ** step)];
    for (const [i, name] of names.entries()) {
      const { data, shape } = weights[name]!;
      const [gradient, m, v] = [gradients[i]!, first[i]!, second[i]!];
      const shrink = shape.length > 1 ? 1 - rate * DECAY : 1;
      for (let k = 0; k < data.length; k++) {
        m[k] = 0.9 * m[k]! + 0.1 * gradient[k]!;
        v[k] = 0.99 * v[k]! + 0.01 * gradient[k]! ** 2;
        data[k] = data[k]! * shrink - (rate * m[k]! * toFirst) / (Math.sqrt(v[k]! * toSecond) + 1e-8);
      }
    }
    smooth = step === 1 ? loss : 0.98 * smooth + 0.02 * loss;
    if (step % 50 === 0 || step === 1) {
      const seconds = (performance.now() - start) / 1000;
      console.log(
        `step ${step}: loss ${smooth.toFixed(3)}, ${(seconds / step).toFixed(3)} s a step, ${tf.memory().numTensors} tensors`,
      );
    }
  }
  return weights;
}

/** Mean loss over a text, in windows one after the other. What a window's first tokens cannot see, they do not know. */
function evaluate(shape: Shape, weights: Weights, tokens: Int32Array): number {
  let sum = 0;
  let count = 0;
  for (let at = 0; at + 1 < tokens.length; at += LENGTH) {
    const ids = tokens.slice(at, at + LENGTH + 1);
    sum += tf.tidy(() => {
      const tensors = Object.fromEntries(Object.entries(weights).map(([name, weight]) => [name, tensorOf(weight)]));
      return lossOf(shape, tensors, ids, 1).dataSync()[0]! * (ids.length - 1);
    });
    count += ids.length - 1;
  }
  return sum / count;
}

function tensorOf({ shape, data }: Weights[string]): tf.Tensor {
  return tf.tensor(data, [...shape]);
}

await main();
