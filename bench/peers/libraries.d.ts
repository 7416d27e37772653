/**
 * As much of the peers' interfaces as the bench uses. The peers are not installed with the project, so their own types
 * are not there when it is checked.
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

declare module "@tensorflow/tfjs-core" {
  export interface Tensor {
    readonly shape: number[];
    data(): Promise<Int32Array>;
    dispose(): void;
  }
  export function setBackend(name: string): Promise<boolean>;
  export function ready(): Promise<void>;
  export function backend(): object;
  export function tensor(data: { buffer: GPUBuffer; zeroCopy: boolean }, shape: number[], type: "float32"): Tensor;
  export function tidy(run: () => Tensor): Tensor;
  export function dispose(tensors: Tensor[]): void;
  export function add(x: Tensor, y: number): Tensor;
  export function argMax(x: Tensor, axis: number): Tensor;
  export function cumsum(x: Tensor, axis: number, exclusive: boolean): Tensor;
  export function div(x: Tensor, y: number): Tensor;
  export function fill(shape: number[], value: number): Tensor;
  export function gather(x: Tensor, indices: Tensor, axis: number, batchDims: number): Tensor;
  export function greaterEqual(x: Tensor, y: Tensor): Tensor;
  export function less(x: Tensor, y: number): Tensor;
  export function max(x: Tensor, axis: number, keepDims: boolean): Tensor;
  export function multinomial(logits: Tensor, count: number): Tensor;
  export function softmax(x: Tensor): Tensor;
  export function topk(x: Tensor, k: number, sorted: boolean): { values: Tensor; indices: Tensor };
  export function where(condition: Tensor, x: Tensor, y: Tensor): Tensor;
}

declare module "onnx-proto" {
  export namespace onnx {
    interface IAttributeProto {
      name: string;
      i: number;
      type: number;
    }
    interface INodeProto {
      opType: string;
      input: string[];
      output: string[];
      attribute?: IAttributeProto[];
    }
    interface ITensorProto {
      name: string;
      dims: number[];
      dataType: number;
      floatData?: number[];
      int64Data?: number[];
    }
    interface IValueInfoProto {
      name: string;
      type: { tensorType: { elemType: number; shape: { dim: { dimValue: number }[] } } };
    }
    interface IModelProto {
      irVersion: number;
      opsetImport: { domain: string; version: number }[];
      graph: {
        name: string;
        node: INodeProto[];
        initializer: ITensorProto[];
        input: IValueInfoProto[];
        output: IValueInfoProto[];
      };
    }
    const AttributeProto: { AttributeType: { INT: number } };
    const TensorProto: { DataType: { FLOAT: number; INT64: number } };
    const ModelProto: {
      create(model: IModelProto): IModelProto;
      encode(model: IModelProto): { finish(): Uint8Array };
    };
  }
}

declare module "onnxruntime-web/webgpu" {
  export class Tensor {
    constructor(type: "float32", data: Float32Array, dims: number[]);
    static fromGpuBuffer(buffer: GPUBuffer, options: { dataType: "float32"; dims: number[] }): Tensor;
    getData(): Promise<Float32Array | BigInt64Array>;
    dispose(): void;
  }
  export interface InferenceSession {
    run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>>;
    release(): Promise<void>;
  }
  export const InferenceSession: {
    create(
      model: Uint8Array,
      options: { executionProviders: string[]; preferredOutputLocation: string; logSeverityLevel: number },
    ): Promise<InferenceSession>;
  };
  export const env: {
    logLevel: string;
    wasm: { wasmPaths: string; numThreads: number };
    webgpu: { device: Promise<GPUDevice> };
  };
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
