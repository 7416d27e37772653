export function shortener(kernels: readonly string[], library: readonly string[]): (text: string) => string;
