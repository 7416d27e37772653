/**
 * The controls: one line here is one slider on the page, in the address and in every call of the sampler.
 */
import type { SamplingParams } from "webgpu-token-sampler";
import type { Localized } from "./language.ts";

/** A numeric sampling parameter as a slider. */
export interface Control {
  readonly name: keyof SamplingParams;
  readonly label: Localized;
  readonly hint: Localized;
  readonly min: number;
  /** End of the slider; the field beside it goes on to `most`, where there is one. */
  readonly max: number;
  readonly step: number;
  /** The largest value that the field takes. Default `max`. */
  readonly most?: number;
  /** The value that switches it off: the parameter's default. */
  readonly off: number;
  /** It looks back at a text, so a single row does not know it. */
  readonly looksBack?: true;
}

// prettier-ignore
export const CONTROLS = [
  { name: "temperature", min: 0, max: 2, most: 100, step: 0.01, off: 1, label: { en: "Temperature", zh: "温度" }, hint: { en: "Below 1 sharper, above 1 flatter, 0 takes the best", zh: "小于 1 更尖锐，大于 1 更平缓，0 只取最优" } },
  { name: "topK", min: 0, max: 50, most: 2 ** 22, step: 1, off: 0, label: { en: "Top-k", zh: "Top-k" }, hint: { en: "Keeps the k most probable tokens", zh: "只保留概率最高的 k 个 token" } },
  { name: "topP", min: 0, max: 1, step: 0.01, off: 1, label: { en: "Top-p", zh: "Top-p" }, hint: { en: "Keeps the shortest run that holds this share", zh: "保留累积概率达到此值的最短前缀" } },
  { name: "minP", min: 0, max: 1, step: 0.01, off: 0, label: { en: "Min-p", zh: "Min-p" }, hint: { en: "Keeps what has this share of the best one’s probability", zh: "保留概率不低于最优者此比例的 token" } },
  { name: "repetitionPenalty", looksBack: true, min: 1, max: 2, step: 0.01, off: 1, label: { en: "Repetition penalty", zh: "重复惩罚" }, hint: { en: "Weakens the tokens of beginning and text", zh: "削弱开头与文本中已有的 token" } },
  { name: "frequencyPenalty", looksBack: true, min: -2, max: 2, step: 0.01, off: 0, label: { en: "Frequency penalty", zh: "频率惩罚" }, hint: { en: "Taken off for every time a token was written", zh: "token 每写出一次就减去一份" } },
  { name: "presencePenalty", looksBack: true, min: -2, max: 2, step: 0.01, off: 0, label: { en: "Presence penalty", zh: "存在惩罚" }, hint: { en: "Taken off once for a token that was written", zh: "写出过的 token 减去一份" } },
] as const satisfies readonly Control[];

export type ControlName = (typeof CONTROLS)[number]["name"];

/** Those that work on a row by itself. */
export type StageName = Exclude<(typeof CONTROLS)[number], { readonly looksBack: true }>["name"];

/** The presets that the page offers. */
export type SamplingOrder = "transformers" | "vllm" | "llama.cpp";

/** The stages of every order, first to last. */
export const STAGES: Readonly<Record<SamplingOrder, readonly StageName[]>> = {
  transformers: ["temperature", "topK", "topP", "minP"],
  vllm: ["temperature", "minP", "topK", "topP"],
  "llama.cpp": ["topK", "topP", "minP", "temperature"],
};

export const ORDERS = Object.keys(STAGES) as readonly SamplingOrder[];

/** What the visitor has set. */
export type Settings = Readonly<Record<ControlName, number>> & {
  readonly order: SamplingOrder;
  readonly seed: bigint;
};

/** Everything off. */
export const NEUTRAL: Settings = {
  ...(Object.fromEntries(CONTROLS.map(({ name, off }) => [name, off])) as Record<ControlName, number>),
  order: "transformers",
  seed: 7n,
};

/** What the page opens with: enough of everything to see it at work. */
export const EXAMPLE: Settings = { ...NEUTRAL, temperature: 0.9, topK: 4, topP: 0.9 };

/**
 * The sampler's parameters: only what is on, so that a stage that is off is not even mentioned.
 *
 * @param text whether there is one to look back at
 */
export function paramsOf(settings: Settings, text: boolean): SamplingParams {
  const on = CONTROLS.filter(
    (control) => settings[control.name] !== control.off && (text || !("looksBack" in control)),
  );
  return {
    ...Object.fromEntries(on.map(({ name }) => [name, settings[name]])),
    order: settings.order,
    seed: settings.seed,
  };
}
