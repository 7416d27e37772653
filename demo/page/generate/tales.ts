/** The neural model of `demo/model`, on ONNX Runtime Web: on WebGPU where there is an adapter, else on the CPU. */
import * as ort from "onnxruntime-web/webgpu";
import { type CausalModel, loadModel } from "../../model/load.ts";
import { findAdapter } from "../gpu.ts";
import type { LanguageModel } from "./model.ts";

/** Where the site has the model; see `vite.config.ts`. */
const FOLDER = new URL("./tales/", document.baseURI).href;

/** ONNX Runtime, but that a session speaks of errors only: it warns of nodes that it leaves on the CPU on purpose. */
const QUIET = {
  InferenceSession: {
    create: (model: Uint8Array, options: ort.InferenceSession.SessionOptions) =>
      ort.InferenceSession.create(model, { ...options, logSeverityLevel: 3 }),
  },
} as Parameters<typeof loadModel>[0];

type Place = "webgpu" | "wasm";

export async function loadTales(): Promise<LanguageModel> {
  const place: Place = (await findAdapter()) === undefined ? "wasm" : "webgpu";
  const model = new OnnxModel(await loadModel(QUIET, FOLDER, { device: place }), place);
  // The first run compiles, and tells how many logits there are.
  await model.logits(model.encode(""));
  return model;
}

class OnnxModel implements LanguageModel {
  vocabSize = 0;
  #model: CausalModel;
  #place: Place;
  /** What the model has read, and its cache of that. */
  #read: readonly number[] = [];
  readonly #cache = new Map<string, ort.Tensor>();
  /** Runs share the cache, so they come one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(model: CausalModel, place: Place) {
    this.#model = model;
    this.#place = place;
  }

  get stopTokens(): readonly number[] {
    return this.#model.stopTokens;
  }

  encode(text: string): number[] {
    return this.#model.encode(text);
  }

  piece(token: number): string {
    // Tokens that are no text are called by their names.
    return this.#model.decode([token]) || (this.#model.tokenizer.id_to_token(token) ?? "");
  }

  logits(context: readonly number[]): Promise<Float32Array<ArrayBuffer>> {
    const next = this.#last.then(() => this.#tryBoth(context));
    this.#last = next.catch(() => undefined);
    return next;
  }

  async #tryBoth(context: readonly number[]): Promise<Float32Array<ArrayBuffer>> {
    try {
      return await this.#run(context);
    } catch (error) {
      if (this.#place === "wasm") throw error;
      // The runtime's device is gone, and it takes no other. The CPU goes on with the same weights.
      this.#place = "wasm";
      this.#cache.clear();
      this.#read = [];
      this.#model = await loadModel(QUIET, FOLDER, { device: "wasm" });
      return this.#run(context);
    }
  }

  async #run(context: readonly number[]): Promise<Float32Array<ArrayBuffer>> {
    const { session } = this.#model;
    const goesOn =
      this.#read.length > 0 &&
      context.length > this.#read.length &&
      this.#read.every((token, at) => token === context[at]);
    if (!goesOn) this.#forget();
    const outputs = await this.#orLost(session.run(this.#feeds(context, goesOn ? this.#read.length : 0)));
    this.#forget();
    for (const [name, tensor] of Object.entries(outputs)) {
      if (name.startsWith("present")) this.#cache.set(name.replace("present", "past_key_values"), tensor);
    }
    this.#read = [...context];
    const logits = outputs["logits"]!;
    this.vocabSize = logits.dims.at(-1)!;
    const data = (await this.#orLost(logits.getData())) as Float32Array;
    const row = Float32Array.from(data.subarray(data.length - this.vocabSize));
    logits.dispose();
    return row;
  }

  /** A run on a device that is gone may never end. */
  async #orLost<T>(work: Promise<T>): Promise<T> {
    if (this.#place === "wasm") return work;
    const { lost } = await ort.env.webgpu.device;
    const fails = lost.then((info) => {
      throw new Error(info.message);
    });
    return Promise.race([work, fails]);
  }

  #forget(): void {
    for (const tensor of this.#cache.values()) tensor.dispose();
    this.#cache.clear();
    this.#read = [];
  }

  /** @param from tokens that the cache stands for */
  #feeds(context: readonly number[], from: number): Record<string, ort.Tensor> {
    const integers = (values: readonly number[]): ort.Tensor =>
      new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
    const feeds: Record<string, ort.Tensor> = {};
    for (const input of this.#model.session.inputMetadata) {
      const { name } = input;
      if (name === "input_ids") feeds[name] = integers(context.slice(from));
      else if (name === "attention_mask") feeds[name] = integers(context.map(() => 1));
      else if (name === "position_ids") feeds[name] = integers(context.map((_, at) => at).slice(from));
      else feeds[name] = this.#cache.get(name) ?? empty(input);
    }
    return feeds;
  }
}

/** A cache of nothing: `[1, heads, 0, size]`. */
function empty(input: ort.InferenceSession.ValueMetadata): ort.Tensor {
  if (!input.isTensor) throw new TypeError(`${input.name}: expected a tensor`);
  const dims = input.shape.map((dim, axis) => (typeof dim === "number" ? dim : axis === 0 ? 1 : 0));
  return new ort.Tensor("float32", new Float32Array(0), dims);
}
