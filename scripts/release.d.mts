export function obstacles(state: {
  readonly manifest: { readonly version: string; readonly private?: boolean; readonly repository?: unknown };
  readonly changelog: string;
  readonly status: string;
  readonly tags: string;
  readonly publish: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}): string[];
export function auditObstacle(status: number | null, output: string): string | undefined;
