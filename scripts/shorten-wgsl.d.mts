export function shortener(texts: readonly string[]): (text: string) => string;
