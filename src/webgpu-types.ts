/**
 * The platform's types that the public interface names. A program that has them (`@webgpu/types`, or a TypeScript whose DOM
 * library ships them) gets its own; for any other, say a Node program that only uses the CPU engine, the names still
 * have a meaning and the declarations compile. Modules whose declarations are public import these over the globals.
 */
/// <reference lib="esnext.disposable" preserve="true" />

/** The program's own type of that name, or else what little of it is needed. */
type Global<Name extends string, Least> =
  typeof globalThis extends Record<Name, { prototype: infer Own }> ? Own : Least;

/** The global `GPUDevice`; where the program has no WebGPU types, the least that a device has. */
export type GPUDevice = Global<
  "GPUDevice",
  { readonly queue: object; readonly lost: Promise<object>; destroy(): void }
>;

/** The global `GPUBuffer`; where the program has no WebGPU types, the least that a buffer has. */
export type GPUBuffer = Global<"GPUBuffer", { readonly size: number; readonly usage: number; destroy(): void }>;

/** The global `GPUCommandEncoder`; where the program has no WebGPU types, the least that an encoder has. */
export type GPUCommandEncoder = Global<"GPUCommandEncoder", { beginComputePass(): object; finish(): object }>;

/** The global `AbortSignal`; where the program has neither a DOM library nor Node's types, the least that a signal has. */
export type AbortSignal = Global<"AbortSignal", { readonly aborted: boolean; throwIfAborted(): void }>;
