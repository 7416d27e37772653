export interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly search: string;
  readonly replace: string;
  readonly equivalent?: string | undefined;
}
export const mutants: readonly Mutant[];
