/** The page in English; `zh.ts` has the same names. */
import type { SamplingOrder } from "../controls.ts";
import type { Tab } from "../state.ts";
import type { RowName } from "../playground/rows.ts";

export interface Messages {
  readonly otherLanguage: string;
  readonly title: string;
  readonly lead: string;
  readonly skip: string;
  readonly views: string;
  readonly tabs: Readonly<Record<Tab, string>>;
  readonly theme: string;
  readonly themes: Readonly<Record<"auto" | "light" | "dark", string>>;
  readonly engineSearching: string;
  readonly engineGpu: (name: string) => string;
  readonly engineCpu: string;
  readonly noGpu: string;
  readonly wrongGpu: (reason: string) => string;
  readonly foot: string;
  readonly licences: string;

  readonly settings: string;
  readonly settingsHint: string;
  readonly exactly: (name: string) => string;
  readonly off: string;
  readonly order: string;
  readonly orders: Readonly<Record<SamplingOrder, string>>;
  readonly seed: string;
  readonly seedHint: string;
  readonly seedBad: string;
  readonly newSeed: string;
  readonly allOff: string;
  readonly example: string;

  readonly row: string;
  readonly rows: Readonly<Record<RowName, string>>;
  readonly rowOf: (prompt: string, count: number) => string;
  readonly rowLoading: string;
  readonly ownLabel: string;
  readonly ownHint: string;
  readonly ownBad: Readonly<Record<"form" | "range" | "many", (line: number) => string>>;
  readonly chart: string;
  readonly token: string;
  readonly logit: string;
  readonly before: string;
  readonly after: string;
  readonly drawn: string;
  readonly cumulative: (stage: string) => string;
  readonly removedBy: (stage: string) => string;
  readonly masked: string;
  readonly legendDrawn: string;
  readonly scale: (end: string) => string;

  readonly stages: string;
  readonly stagesHint: string;
  readonly left: (before: number, after: number) => string;
  readonly nothingRemoved: string;
  readonly removes: (tokens: string) => string;
  readonly andMore: (count: number) => string;
  readonly temperatureChanges: (token: string, before: string, after: string) => string;
  readonly greedy: (token: string) => string;
  readonly whyTopK: (k: number) => string;
  readonly whyTopP: (tokens: number, share: string, p: string) => string;
  readonly whyMinP: (token: string, share: string, least: string) => string;
  readonly result: string;
  readonly noneLeft: string;

  readonly draw: string;
  readonly drawHint: string;
  readonly drawCount: (count: string) => string;
  readonly stop: string;
  readonly clear: string;
  readonly starting: string;
  readonly drawing: (engine: string) => string;
  readonly drew: (count: string, engine: string, time: string) => string;
  readonly lastToken: (token: string) => string;
  readonly sameOnCpu: (count: string) => string;
  readonly notSame: (draw: string) => string;
  readonly gTest: string;
  readonly gTestFew: string;
  readonly gTestFits: (g: string, freedom: number, p: string) => string;
  readonly gTestFails: (g: string, freedom: number, p: string) => string;
  readonly engines: Readonly<Record<"webgpu" | "cpu", string>>;
  readonly failed: (reason: string) => string;

  readonly generateTitle: string;
  readonly generateLead: string;
  readonly prompt: string;
  readonly promptUnknown: (reason: string) => string;
  readonly promptEmpty: string;
  readonly model: string;
  readonly modelLoading: string;
  readonly models: Readonly<Record<string, string>>;
  readonly modelNotes: Readonly<Record<string, string>>;
  readonly length: string;
  readonly write: string;
  readonly writing: (done: number, total: number) => string;
  readonly textOf: (engine: string) => string;
  readonly textHint: string;
  readonly pace: (tokens: number, time: string) => string;
  readonly same: (tokens: number) => string;
  readonly onlyCpu: string;
  readonly different: (step: number) => string;
  readonly stopped: (tokens: number) => string;
  readonly lost: (tokens: number, reason: string) => string;
  readonly goOnGpu: string;
  readonly goOnCpu: string;
  readonly wentOn: string;
  readonly noNewGpu: string;
  readonly candidates: string;
  readonly candidatesHint: string;
  readonly candidatesOf: (step: number) => string;
  readonly candidatesMore: (count: string) => string;
  readonly chosen: string;

  readonly measureTitle: string;
  readonly measureLead: string;
  readonly vocabulary: string;
  readonly batch: string;
  readonly rounds: string;
  readonly measure: string;
  readonly cancel: string;
  readonly cancelling: string;
  readonly cancelled: string;
  readonly measuring: (round: number, rounds: number) => string;
  readonly preparing: string;
  readonly copying: string;
  readonly onGpu: string;
  readonly onGpuHint: (bytes: string, clock: string) => string;
  readonly clocks: Readonly<Record<"gpu" | "wall", string>>;
  readonly toScript: string;
  readonly toScriptHint: string;
  readonly onCpu: string;
  readonly onCpuHint: string;
  readonly readLimit: string;
  readonly copyToCpu: string;
  readonly copyAndSample: (mode: string) => string;
  readonly tokensOf: (mode: string) => string;
  readonly modes: Readonly<Record<string, string>>;
  readonly timesLimit: (times: string) => string;
  readonly milliseconds: (value: string) => string;
  readonly seconds: (value: string) => string;
  readonly spread: (low: string, high: string) => string;
  readonly copyMarkdown: string;
  readonly copied: string;
  readonly notCopied: string;
  readonly adapter: string;
  readonly software: string;
  readonly mismatch: (what: string) => string;
}

const s = (count: number): string => (count === 1 ? "" : "s");

export const en: Messages = {
  otherLanguage: "中文",
  title: "From logits to a token",
  lead: "A language model ends every step with one number for each token it knows. See what the settings make of these numbers, and draw: on your GPU, and with the same result on the CPU.",
  skip: "Skip to content",
  views: "Views",
  tabs: { playground: "Playground", generate: "Generate", measure: "Measure" },
  theme: "Colours",
  themes: { auto: "Auto", light: "Light", dark: "Dark" },
  engineSearching: "Looking for a GPU …",
  engineGpu: (name) => `WebGPU: ${name}`,
  engineCpu: "CPU engine",
  noGpu:
    "This browser has no WebGPU adapter to offer. Everything here works on the CPU engine instead, and gives the same tokens.",
  wrongGpu: (reason) => `The GPU could not be used, so the CPU engine went on. ${reason}`,
  foot: "Everything is computed in this browser; nothing is sent anywhere.",
  licences: "Licences",

  settings: "Settings",
  settingsHint: "They count for the playground and for the text.",
  exactly: (name) => `${name}, exact value`,
  off: "off",
  order: "Order of the stages",
  orders: { transformers: "transformers", vllm: "vLLM", "llama.cpp": "llama.cpp" },
  seed: "Seed",
  seedHint: "The same seed draws the same tokens",
  seedBad: "A seed is a whole number from 0 to 18446744073709551615.",
  newSeed: "New seed",
  allOff: "All off",
  example: "Example",

  row: "Tokens",
  rows: { article: "Five animals", real: "A real row", own: "Your own" },
  rowOf: (prompt, count) => `The ${count} most probable tokens after “${prompt}”, from the n-gram model of “Generate”`,
  rowLoading: "The model is learning …",
  ownLabel: "One token and its logit per line",
  ownHint: "-inf masks a token.",
  ownBad: {
    form: (line) => `Line ${line}: a token, a space and a number are expected.`,
    range: (line) => `Line ${line}: the logit is too large.`,
    many: (line) => `Line ${line}: that is more tokens than the chart can show.`,
  },
  chart: "Probabilities before and after",
  token: "Token",
  logit: "Logit",
  before: "Before",
  after: "After",
  drawn: "Drawn",
  cumulative: (stage) => `running sum that ${stage} sees, from 0 to 100%`,
  removedBy: (stage) => `removed by ${stage}`,
  masked: "masked",
  legendDrawn: "share of the draws",
  scale: (end) => `The bars end at ${end}.`,

  stages: "Stage by stage",
  stagesHint:
    "Each stage sees only what the one before it has left. Found by asking the CPU reference after each stage.",
  left: (before, after) => (before === after ? `${after} token${s(after)}` : `${before} → ${after} token${s(after)}`),
  nothingRemoved: "Removes nothing.",
  removes: (tokens) => `Removes ${tokens}.`,
  andMore: (count) => `${count} more`,
  temperatureChanges: (token, before, after) => `${token} goes from ${before} to ${after}. Removes nothing.`,
  greedy: (token) => `Greedy: only the most probable token is left, ${token}.`,
  whyTopK: (k) => `The ${k} most probable stay.`,
  whyTopP: (tokens, share, p) =>
    tokens === 1
      ? `The first token alone holds ${share}, and ${p} is asked for.`
      : `The first ${tokens} hold ${share} together, and ${p} is asked for.`,
  whyMinP: (token, share, least) => `${token} has ${share}, so ${least} is the least that stays.`,
  result: "What the draw sees",
  noneLeft: "No token is left: all of them are masked.",

  draw: "Draw",
  drawHint: "Draw number n takes number n of the seed’s random stream, so it is the same wherever it is repeated.",
  drawCount: (count) => `Draw ${count}`,
  stop: "Stop",
  clear: "Clear",
  starting: "Getting the engine ready …",
  drawing: (engine) => `Drawing on ${engine} …`,
  drew: (count, engine, time) => `${count} drawn on ${engine} in ${time}.`,
  lastToken: (token) => `The last one: ${token}.`,
  sameOnCpu: (count) => `The first ${count} of them were drawn again on the CPU: the same tokens.`,
  notSame: (draw) => `Draw ${draw} is another token on the CPU. That should never happen.`,
  gTest: "G-test",
  gTestFew: "Too few draws for a verdict yet.",
  gTestFits: (g, freedom, p) =>
    `The counts fit the probabilities: G = ${g} at ${freedom} degree${s(freedom)} of freedom, p = ${p}.`,
  gTestFails: (g, freedom, p) =>
    `The counts do not fit the probabilities: G = ${g} at ${freedom} degree${s(freedom)} of freedom, p = ${p}.`,
  engines: { webgpu: "WebGPU", cpu: "the CPU" },
  failed: (reason) => `That did not work: ${reason}`,

  generateTitle: "A small model writes",
  generateLead:
    "Both columns start from the same seed, each token is drawn on its own engine, and the texts stay equal. Point at a token to see what else could have come.",
  prompt: "Beginning",
  promptUnknown: (reason) => `The model cannot read this: ${reason}`,
  promptEmpty: "Begin with a word or two.",
  model: "Model",
  modelLoading: "The model is loading …",
  models: { ngram: "n-gram", tales: "transformer" },
  modelNotes: {
    ngram: "Trained in your browser, on this project’s own documentation; it knows nothing else.",
    tales:
      "Two layers and 458,000 weights that learnt to tell small tales. Runs on ONNX Runtime Web, which is 27 MB to load.",
  },
  length: "Tokens to write",
  write: "Write",
  writing: (done, total) => `Writing: ${done} of ${total} tokens`,
  textOf: (engine) => `Text drawn on ${engine}`,
  textHint: "Arrow keys move from token to token.",
  pace: (tokens, time) => `${tokens} token${s(tokens)}, ${time} each for sampling`,
  same: (tokens) => `Same seed, same text: all ${tokens} tokens are equal on both engines.`,
  onlyCpu: "No GPU can be used here, so there is one column: the CPU’s. A GPU would have written the same.",
  different: (step) => `The engines differ at token ${step}. That should never happen.`,
  stopped: (tokens) => `Stopped after ${tokens} token${s(tokens)}.`,
  lost: (tokens, reason) =>
    `The GPU went away after ${tokens} token${s(tokens)}${reason === "" ? "" : ` (${reason})`}. Nothing is lost: seed and position are enough to go on.`,
  goOnGpu: "Go on with a new device",
  goOnCpu: "Go on on the CPU",
  wentOn: "went on on the CPU",
  noNewGpu: "The browser gives no new device. The CPU can go on.",
  candidates: "What else could have come",
  candidatesHint: "Point at a token of the text, or move to it with the keyboard.",
  candidatesOf: (step) => `Token ${step}`,
  candidatesMore: (count) => `and ${count} more`,
  chosen: "drawn",

  measureTitle: "How fast is it here?",
  measureLead:
    "The bench of this project, small. It compares every way of sampling with a kernel that does nothing but read the same logits, in the same run: nothing can be faster than that. First it checks that GPU and CPU draw the same tokens.",
  vocabulary: "Vocabulary",
  batch: "Rows",
  rounds: "Rounds",
  measure: "Measure",
  cancel: "Cancel",
  cancelling: "Cancelling …",
  cancelled: "Cancelled; nothing was kept.",
  measuring: (round, rounds) => `Round ${round} of ${rounds}`,
  preparing: "Compiling, and comparing GPU with CPU …",
  copying: "Copying to the CPU …",
  onGpu: "On the GPU",
  onGpuHint: (bytes, clock) =>
    `One call over ${bytes} of logits, by ${clock}; median, thin line from quartile to quartile.`,
  clocks: { gpu: "the GPU’s clock", wall: "the clock on the wall, many calls at once" },
  toScript: "Until JavaScript has it",
  toScriptHint: "From the call until the result can be read: tokens that were sampled on the GPU, or all the logits.",
  onCpu: "On the CPU engine",
  onCpuHint: "One row in CPU memory; median, thin line from quartile to quartile.",
  readLimit: "Read limit",
  copyToCpu: "Copy to the CPU",
  copyAndSample: (mode) => `Copy, then ${mode} there`,
  tokensOf: (mode) => `Tokens, ${mode}`,
  modes: {
    greedy: "greedy",
    none: "no filter",
    "top-k": "top-k 50",
    "top-k+top-p": "top-k 50, top-p 0.9",
    "top-p": "top-p 0.9",
    "min-p": "min-p 0.05",
  },
  timesLimit: (times) => `${times}× the limit`,
  milliseconds: (value) => `${value} ms`,
  seconds: (value) => `${value} s`,
  spread: (low, high) => `${low} to ${high} ms`,
  copyMarkdown: "Copy as Markdown",
  copied: "Copied.",
  notCopied: "The browser did not allow it. Here is the text:",
  adapter: "Adapter",
  software: "software: the shaders run on the CPU",
  mismatch: (what) => `GPU and CPU differ, so nothing was measured: ${what}`,
};
