import { type Engine, isGPUBuffer, type LogitsView, type SampleResult, type TokensView } from "../engine.ts";
import type { RowPlan } from "../params.ts";
import { type LogitsType, widen } from "./convert.ts";
import { logprobOf, type RowStatus, sampleRow } from "./draw.ts";
import { list, normalize, type RowCandidates } from "./list.ts";

/** The `"cpu"` engine: the reference, row after row. */
export class CpuEngine implements Engine {
  readonly kind = "cpu";
  readonly #vocabSize: number;
  readonly #type: LogitsType;
  readonly #seedOf: (row: number) => bigint;
  readonly #positions: bigint[];
  readonly #widened: Float32Array;

  constructor(vocabSize: number, maxBatch: number, type: LogitsType, seedOf: (row: number) => bigint) {
    this.#vocabSize = vocabSize;
    this.#type = type;
    this.#seedOf = seedOf;
    this.#positions = new Array<bigint>(maxBatch).fill(0n);
    this.#widened = new Float32Array(type === "float32" ? 0 : vocabSize);
  }

  // The work is done before the promise is made, so that the caller may reuse the logits at once.
  sample(logits: LogitsView, plans: readonly RowPlan[]): Promise<SampleResult> {
    const tokens = new Uint32Array(logits.rows);
    const logprobs = new Float32Array(logits.rows);
    const status: RowStatus[] = [];
    for (let row = 0; row < logits.rows; row++) {
      const plan = plans[row]!;
      const position = plan.position ?? this.#positions[row]!;
      const sample = sampleRow(this.#row(logits, row), plan, plan.seed ?? this.#seedOf(row), position);
      this.#positions[row] = BigInt.asUintN(64, position + 1n);
      tokens[row] = sample.token;
      logprobs[row] = logprobOf(sample);
      status.push(sample.status);
    }
    return Promise.resolve({ tokens, logprobs, status });
  }

  candidates(logits: LogitsView, plans: readonly RowPlan[]): Promise<RowCandidates[]> {
    return Promise.resolve(plans.map((plan, row) => normalize(list(this.#row(logits, row), plan))));
  }

  encode(_encoder: GPUCommandEncoder, _logits: LogitsView, _tokens: TokensView, _plans: readonly RowPlan[]): never {
    throw new Error('encode: this sampler runs on the "cpu" engine, which records no GPU commands; use sample()');
  }

  destroy(): void {}

  /** One row as float32. */
  #row({ source, offset, rowStride }: LogitsView, row: number): Float32Array {
    const start = offset + row * rowStride;
    if (isGPUBuffer(source)) {
      throw new TypeError('logits: a GPUBuffer needs the "webgpu" engine; this sampler runs on "cpu"');
    }
    if (source instanceof Float32Array) return source.subarray(start, start + this.#vocabSize);
    const bits = source.subarray(start, start + this.#vocabSize);
    return widen(bits, this.#type === "bfloat16" ? "bfloat16" : "float16", this.#widened);
  }
}
