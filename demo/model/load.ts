/**
 * Loads a causal language model for ONNX Runtime Web from a folder in the layout of Hugging Face: the one of the demos, or
 * any other, from wherever `fetch` can reach it.
 */
import { Tokenizer } from "@huggingface/tokenizers";
import type { InferenceSession } from "onnxruntime-web";

export interface LoadOptions {
  /**
   * Where the model runs: `"webgpu"` keeps logits and cache on the GPU; `"wasm"` runs on the CPU, with the logits there.
   * Default `"webgpu"`.
   */
  readonly device?: "webgpu" | "wasm";
  /** The model's file. Default `"onnx/model.onnx"`. */
  readonly file?: string;
  /** Called while the model's file is loaded, with the share that has come. */
  readonly onProgress?: (share: number) => void;
}

export interface CausalModel {
  readonly session: InferenceSession;
  readonly tokenizer: Tokenizer;
  /** Tokens that end a text. */
  readonly stopTokens: readonly number[];
  /** The ids of a prompt, with the token before it that begins a text, where the model has one. */
  encode(prompt: string): number[];
  decode(tokens: Iterable<number>): string;
  release(): Promise<void>;
}

interface Configuration {
  readonly bos_token_id?: number;
  readonly eos_token_id?: number | readonly number[];
}

/**
 * @param ort `onnxruntime-web/webgpu`, or for `"wasm"` any build of `onnxruntime-web`
 * @param folder URL of the folder with `config.json`, `tokenizer.json`, `tokenizer_config.json` and the model
 * @throws Error for a file that is not there; what ONNX Runtime throws for a model that it cannot run
 */
export async function loadModel(
  ort: { readonly InferenceSession: typeof InferenceSession },
  folder: string,
  { device = "webgpu", file = "onnx/model.onnx", onProgress }: LoadOptions = {},
): Promise<CausalModel> {
  const base = folder.endsWith("/") ? folder : `${folder}/`;
  const [configuration, vocabulary, settings, generation, model] = await Promise.all([
    json<Configuration>(`${base}config.json`),
    json<object>(`${base}tokenizer.json`),
    json<{ readonly add_bos_token?: boolean }>(`${base}tokenizer_config.json`),
    // Not every model has this file.
    json<Configuration>(`${base}generation_config.json`).catch((): Configuration => ({})),
    bytes(base + file, onProgress),
  ]);
  const tokenizer = new Tokenizer(vocabulary, settings);
  const session = await ort.InferenceSession.create(model, {
    executionProviders: [device],
    ...(device === "webgpu" ? { preferredOutputLocation: "gpu-buffer" as const } : {}),
  });
  const begin = generation.bos_token_id ?? configuration.bos_token_id;
  return {
    session,
    tokenizer,
    stopTokens: [generation.eos_token_id ?? configuration.eos_token_id ?? []].flat(),
    encode(prompt) {
      const { ids } = tokenizer.encode(prompt);
      return begin === undefined || ids[0] === begin || settings.add_bos_token === false ? ids : [begin, ...ids];
    },
    decode: (tokens) => tokenizer.decode([...tokens], { skip_special_tokens: true }),
    release: () => session.release(),
  };
}

async function get(url: string): Promise<Response> {
  const response = await fetch(url);
  // Development servers answer with a page where there is no file.
  if (!response.ok || response.headers.get("Content-Type")?.startsWith("text/html") === true) {
    throw new Error(`${url}: no such file (status ${response.status})`);
  }
  return response;
}

async function json<T>(url: string): Promise<T> {
  return (await get(url)).json() as Promise<T>;
}

async function bytes(url: string, onProgress?: (share: number) => void): Promise<Uint8Array> {
  const response = await get(url);
  const total = Number(response.headers.get("Content-Length"));
  if (onProgress === undefined || !(total > 0) || response.body === null) {
    return new Uint8Array(await response.arrayBuffer());
  }
  let loaded = 0;
  const counted = response.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        loaded += chunk.length;
        // A server may say the compressed length.
        onProgress(Math.min(1, loaded / total));
        controller.enqueue(chunk);
      },
    }),
  );
  return new Uint8Array(await new Response(counted).arrayBuffer());
}
