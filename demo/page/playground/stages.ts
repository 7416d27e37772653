/** What every stage removes. The rules are the sampler's: it is asked for the candidates after each stage. */
import type { RowCandidates, Sampler, SamplingParams } from "webgpu-token-sampler";
import { CONTROLS, type ControlName, paramsOf, type Settings, type StageName, STAGES } from "../controls.ts";

export interface Stage {
  readonly name: StageName;
  readonly on: boolean;
  readonly before: RowCandidates;
  readonly after: RowCandidates;
  /** Tokens that are in `before` and not in `after`, most probable first. */
  readonly removed: readonly number[];
}

export interface Stages {
  /** Before the first stage: the softmax of the logits. */
  readonly before: RowCandidates;
  readonly stages: readonly Stage[];
  /** After the last: what the draw sees. */
  readonly after: RowCandidates;
}

/** Runs the stages of the settings' order one by one, each on what the ones before it have left. */
export async function runStages(sampler: Sampler, logits: Float32Array, settings: Settings): Promise<Stages> {
  const all = paramsOf(settings, false);
  const applied: { -readonly [name in keyof SamplingParams]: SamplingParams[name] } = {
    order: settings.order,
    seed: settings.seed,
  };
  const candidates = async (): Promise<RowCandidates> => (await sampler.candidates(logits, applied))[0]!;
  const before = await candidates();
  const stages: Stage[] = [];
  let after = before;
  for (const name of STAGES[settings.order]) {
    const on = all[name] !== undefined;
    const previous = after;
    if (on) {
      Object.assign(applied, { [name]: all[name] });
      after = await candidates();
    }
    const left = new Set(after.tokens);
    stages.push({
      name,
      on,
      before: previous,
      after,
      removed: [...previous.tokens].filter((token) => !left.has(token)),
    });
  }
  return { before, stages, after };
}

/** Probability of a token in a list; 0 if it is not in it. */
export function probabilityOf({ tokens, probabilities }: RowCandidates, token: number): number {
  const rank = tokens.indexOf(token);
  return rank < 0 ? 0 : probabilities[rank]!;
}

/** Running sums of the probabilities. */
export function cumulative({ probabilities }: RowCandidates): number[] {
  let sum = 0;
  return Array.from(probabilities, (probability) => (sum += probability));
}

export function controlOf(name: ControlName): (typeof CONTROLS)[number] {
  return CONTROLS.find((control) => control.name === name)!;
}
