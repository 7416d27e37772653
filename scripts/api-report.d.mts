export const REFRESH: string;
export function apiReports(
  entries: readonly { readonly path: string; readonly types: string }[],
): Record<string, string>;
