/** What the page needs of a language model, whichever it is. */
export interface LanguageModel {
  readonly vocabSize: number;
  /** @throws RangeError for text that the model cannot read */
  encode(text: string): number[];
  /** Text of one token. */
  piece(token: number): string;
  /** Logits of the next token, `[vocabSize]`; a new array every time. */
  logits(context: readonly number[]): Promise<Float32Array<ArrayBuffer>>;
  /** The text ends where one of these is drawn. */
  readonly stopTokens: readonly number[];
}

/** A model that can be chosen; loaded when it is. */
export interface ModelEntry {
  readonly name: string;
  /** A beginning that suits it. */
  readonly prompt: string;
  load(): Promise<LanguageModel>;
}

export const MODELS: readonly ModelEntry[] = [
  { name: "ngram", prompt: "The sampler", load: async () => new (await import("./ngram.ts")).NgramModel() },
  { name: "tales", prompt: "Long ago", load: async () => (await import("./tales.ts")).loadTales() },
];

/** A model by its name; the first one where there is none of that name. */
export function modelOf(name: string | undefined): ModelEntry {
  return MODELS.find((entry) => entry.name === name) ?? MODELS[0]!;
}

const loaded = new Map<string, Promise<LanguageModel>>();

/** Loads a model once. */
export function loadModel(entry: ModelEntry): Promise<LanguageModel> {
  const { name } = entry;
  let model = loaded.get(name);
  if (model === undefined) {
    model = entry.load();
    loaded.set(name, model);
    model.catch(() => loaded.delete(name));
  }
  return model;
}

/** Both engines ask for the same contexts, one soon after the other: the model computes each once. */
export function remembering(model: LanguageModel): LanguageModel["logits"] {
  const known = new Map<string, Promise<Float32Array<ArrayBuffer>>>();
  return (context) => {
    const key = context.join();
    let logits = known.get(key);
    if (logits === undefined) {
      logits = model.logits(context);
      known.set(key, logits);
      logits.catch(() => known.delete(key));
    }
    return logits;
  };
}
