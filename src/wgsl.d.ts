declare module "*.wgsl?raw" {
  const text: string;
  export default text;
}

declare module "wgsl-preprocessor/wgsl-preprocessor.js" {
  /** Template tag that resolves `#if`, `#elif`, `#else` and `#endif`; the conditions are the values. */
  export function wgsl(strings: TemplateStringsArray, ...values: unknown[]): string;
}
