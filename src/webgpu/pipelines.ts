import type { LogitsType } from "../reference/convert.ts";
import {
  BIND_GROUPS,
  type BindGroupName,
  type Binding,
  type Constants,
  entryPointOf,
  FIRST_KERNELS,
  type FirstKernelName,
  KERNELS,
  type KernelName,
  PROCESSING_KERNELS,
  type ProcessingKernelName,
  stagesOf,
} from "./kernels.ts";
import { UnfitDeviceError } from "./device.ts";
import { shaderSource } from "./shader.ts";
import type { Tuning } from "./tuning.ts";

/** Everything compiled for a device, a logits type and a tuning. */
export interface Pipelines {
  readonly layouts: Readonly<Record<BindGroupName, GPUBindGroupLayout>>;
  readonly kernels: Readonly<Record<FirstKernelName, GPUComputePipeline>>;
}

/** What a sampling kernel is specialised for, call by call. */
export interface Variant {
  /** Logits are read as processed. */
  readonly processed: boolean;
  /** Plans have stages. */
  readonly staged: boolean;
  /** What is the same for all rows of a call, and decides what is left of the shader; by the name of the override. */
  readonly constants?: Constants;
}

const PLAIN: Variant = { processed: false, staged: false };

const cache = new WeakMap<GPUDevice, Map<string, Promise<Pipelines>>>();

/** Compiles all kernels, asynchronously and once per device, logits type and tuning. */
export function pipelinesFor(device: GPUDevice, type: LogitsType, tuning: Tuning): Promise<Pipelines> {
  let perDevice = cache.get(device);
  if (perDevice === undefined) cache.set(device, (perDevice = new Map()));
  const key = JSON.stringify([type, tuning]);
  let pipelines = perDevice.get(key);
  if (pipelines === undefined) {
    pipelines = compile(device, type, tuning);
    perDevice.set(key, pipelines);
    pipelines.catch(() => perDevice.delete(key));
  }
  return pipelines;
}

async function compile(device: GPUDevice, type: LogitsType, tuning: Tuning): Promise<Pipelines> {
  const layouts = mapValues(BIND_GROUPS, (bindings: readonly Binding[], name) =>
    device.createBindGroupLayout({
      label: `webgpu-token-sampler.${name}`,
      entries: bindings.map((binding, index) => ({
        binding: index,
        visibility: 4, // GPUShaderStage.COMPUTE
        buffer: { type: binding.type, hasDynamicOffset: binding.dynamic ?? false },
      })),
    }),
  );
  const compiled = await Promise.all(FIRST_KERNELS.map((name) => compileKernel(device, name, layouts, type, tuning)));
  const kernels = Object.fromEntries(FIRST_KERNELS.map((name, index) => [name, compiled[index]!]));
  return { layouts, kernels: kernels as Pipelines["kernels"] };
}

async function compileKernel(
  device: GPUDevice,
  name: FirstKernelName,
  layouts: Pipelines["layouts"],
  type: LogitsType,
  tuning: Tuning,
): Promise<GPUComputePipeline> {
  const { module, problem } = moduleOf(device, name, codeOf(name, type, tuning, PLAIN));
  const error = await problem;
  if (error !== undefined) throw error;
  return device.createComputePipelineAsync(describe(device, name, module, layouts, tuning, PLAIN)).catch((cause) => {
    throw uncompiled(name, String(cause));
  });
}

function uncompiled(name: string, why: string): Error {
  return new UnfitDeviceError(`webgpu-token-sampler: the shader ${name} does not compile on this device:\n${why}`);
}

/** Makes a shader module; `problem` says, later, what is wrong with it, if anything. */
function moduleOf(
  device: GPUDevice,
  name: string,
  code: string,
): { readonly module: GPUShaderModule; readonly problem: Promise<Error | undefined> } {
  const label = `webgpu-token-sampler.${name}`;
  // The messages of a shader that does not compile come from the module; the scope keeps the copy that the device
  // would otherwise report to nobody in particular.
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ label, code });
  const scope = device.popErrorScope();
  const find = async (): Promise<Error | undefined> => {
    // On a device that is lost both may fail.
    const [{ messages }] = await Promise.all([module.getCompilationInfo(), scope]);
    const errors = messages.filter((message) => message.type === "error");
    if (errors.length === 0) return undefined;
    const lines = code.split("\n");
    const text = errors.map(({ lineNum, linePos, message }) => {
      // Lines are long once they are built.
      const near = lines[lineNum - 1]?.slice(Math.max(linePos - 81, 0), linePos + 80) ?? "";
      return `  ${label}:${lineNum}:${linePos} ${message}\n    ${near}`;
    });
    return uncompiled(name, text.join("\n"));
  };
  return { module, problem: find() };
}

type AnyKernelName = KernelName | ProcessingKernelName;
const ALL_KERNELS = { ...KERNELS, ...PROCESSING_KERNELS };

/** The name of a kernel in a variant. */
function variantOf(name: AnyKernelName, { processed, staged, constants = {} }: Variant): string {
  const set = Object.entries(constants).map(([constant, value]) => `.${constant}=${value}`);
  return `${name}${set.join("")}${processed ? ".processed" : ""}${staged ? ".staged" : ""}`;
}

function codeOf(name: AnyKernelName, type: LogitsType, tuning: Tuning, { processed, staged }: Variant): string {
  const { source, subgroups, library } = ALL_KERNELS[name];
  const flags = {
    HALF: type !== "float32",
    BFLOAT: type === "bfloat16",
    SUBGROUPS: subgroups === true && tuning.subgroups,
    PROCESSED: processed,
    STAGES: staged,
  };
  return shaderSource(source, flags, library);
}

function describe(
  device: GPUDevice,
  name: AnyKernelName,
  module: GPUShaderModule,
  layouts: Pipelines["layouts"],
  tuning: Tuning,
  variant: Variant,
): GPUComputePipelineDescriptor {
  const label = `webgpu-token-sampler.${variantOf(name, variant)}`;
  const { groups, per, library } = ALL_KERNELS[name];
  const bound = groups.map((group) => layouts[variant.processed && group === "inputs" ? "processed" : group]);
  const size = { WORKGROUP_SIZE: per === "row" ? tuning.drawWorkgroup : tuning.streamWorkgroup };
  return {
    label,
    layout: device.createPipelineLayout({ label, bindGroupLayouts: bound }),
    compute: {
      module,
      entryPoint: entryPointOf(name),
      constants: {
        ...size,
        ...(library !== "history" && { LANES: tuning.lanes, QUADS: tuning.quads }),
        ...variant.constants,
      },
    },
  };
}

/** What only some calls need. */
export interface FurtherPipelines {
  /** Any kernel; those that sample, in any variant. */
  kernel(name: AnyKernelName, variant?: Variant): GPUComputePipeline;
  /** What is wrong with one that was made so far, if anything. */
  problem(): Promise<Error | undefined>;
}

const further = new WeakMap<Pipelines, FurtherPipelines>();

/** Compiles what only some calls need, when it is first needed; a pipeline at a time, and each once. */
export function furtherPipelines(
  device: GPUDevice,
  pipelines: Pipelines,
  type: LogitsType,
  tuning: Tuning,
): FurtherPipelines {
  let known = further.get(pipelines);
  if (known === undefined) {
    const problems: Promise<Error | undefined>[] = [];
    const made = new Map<string, GPUComputePipeline>(Object.entries(pipelines.kernels));
    known = {
      kernel: (name, asked = PLAIN) => {
        const variant = { ...asked, staged: asked.staged && stagesOf(name).includes(true) };
        const key = variantOf(name, variant);
        let pipeline = made.get(key);
        if (pipeline === undefined) {
          const { module, problem } = moduleOf(device, key, codeOf(name, type, tuning, variant));
          // A device that is lost says nothing more.
          problems.push(problem.catch(() => undefined));
          const descriptor = describe(device, name, module, pipelines.layouts, tuning, variant);
          made.set(key, (pipeline = device.createComputePipeline(descriptor)));
        }
        return pipeline;
      },
      problem: async () => (await Promise.all(problems)).find((error) => error !== undefined),
    };
    further.set(pipelines, known);
  }
  return known;
}

function mapValues<K extends string, V, R>(record: Readonly<Record<K, V>>, map: (value: V, key: K) => R): Record<K, R> {
  return Object.fromEntries(
    (Object.entries(record) as [K, V][]).map(([key, value]) => [key, map(value, key)]),
  ) as Record<K, R>;
}
