/**
 * As much of the peers' interfaces as the bench uses. The peers are not installed with the project, so their own types
 * are not there when it is checked. Those that the project has for other reasons, in the same version, are left out.
 */

declare module "@jax-js/jax" {
  export interface Array {
    readonly ref: this;
    mul(other: number): Array;
    add(other: number): Array;
    sub(other: Array): Array;
    less(other: number): Array;
    greaterEqual(other: Array): Array;
    data(): Promise<ArrayLike<number>>;
    blockUntilReady(): Promise<Array>;
    dispose(): void;
  }
  export function init(...devices: string[]): Promise<string[]>;
  export function defaultDevice(device: string): string;
  export function jit<F extends (...args: Array[]) => Array>(run: F): F & { dispose(): void };
  export const lax: { topK(x: Array, k: number): [Array, Array] };
  export const nn: { softmax(x: Array, axis: number): Array };
  export const numpy: {
    array(data: Float32Array, options: { shape: number[] }): Array;
    argmax(x: Array, axis: number): Array;
    max(x: Array, axis: number, options: { keepdims: boolean }): Array;
    cumsum(x: Array, axis: number): Array;
    where(condition: Array, x: Array, y: number): Array;
    expandDims(x: Array, axis: number): Array;
    takeAlongAxis(x: Array, indices: Array, axis: number): Array;
  };
  export const random: {
    key(seed: number): Array;
    categorical(key: Array, logits: Array): Array;
  };
}

declare module "@tensorflow/tfjs-backend-webgpu" {
  export const webgpu_util: { isWebGPUSupported(): boolean };
}

// Not exported by the package; the bench's build leads these names to its sources.
declare module "transformers-source/env.js" {
  export const env: { backends: { onnx: { wasm: { wasmPaths: string; numThreads: number } } } };
}
declare module "transformers-source/generation/configuration_utils.js" {
  export interface GenerationConfig {
    readonly do_sample: boolean;
  }
  export const GenerationConfig: new (config: {
    do_sample: boolean;
    temperature: number;
    top_k: number;
  }) => GenerationConfig;
}
declare module "transformers-source/generation/logits_process.js" {
  import type { Tensor } from "transformers-source/utils/tensor.js";
  export interface TemperatureLogitsWarper {
    readonly temperature: number;
  }
  export const TemperatureLogitsWarper: new (temperature: number) => TemperatureLogitsWarper;
  export interface LogitsProcessorList {
    (ids: bigint[][], logits: Tensor): Tensor;
    push(processor: TemperatureLogitsWarper): void;
  }
  export const LogitsProcessorList: new () => LogitsProcessorList;
}
declare module "transformers-source/generation/logits_sampler.js" {
  import type { GenerationConfig } from "transformers-source/generation/configuration_utils.js";
  import type { Tensor } from "transformers-source/utils/tensor.js";
  export const LogitsSampler: {
    getSampler(config: GenerationConfig): (logits: Tensor) => Promise<[bigint | number, number][]>;
  };
}
declare module "transformers-source/utils/tensor.js" {
  export class Tensor {
    constructor(type: "float32", data: Float32Array, dims: number[]);
    readonly [row: number]: Tensor;
  }
}
