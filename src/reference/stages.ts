/**
 * The stages in any order: each leaves a run of the ordered row, from `start` up to `end`, and sees only what the one before
 * it has left. The twin of `shaders/stages.wgsl`.
 */
import type { RowPlan } from "../params.ts";
import type { SmallShare, StageName, StagePlan } from "../stages.ts";
import { log2fix, OCTAVE, product, quotient, squareRoot } from "./fixed.ts";
import type { RowMax } from "./max.ts";
import { clampLogit, distance, distanceScale, exp2fix, massNeeded, MAX_DISTANCE, WEIGHT_ONE } from "./numeric.ts";
import { OrderedRow } from "./ordered.ts";
import { philox4x32, PURPOSE, words } from "./philox.ts";

/** What a row keeps from token to token; all 0 before the first. */
export interface RowState {
  /** How far Mirostat's limit is above twice its target, in 2^-20 octaves; negative below. */
  mirostat: number;
  /** Adaptive-p's sum of probabilities that were drawn, in 2^-20. */
  adaptiveSum: number;
  /** Sum of what each of them counts in it, in 2^-20. */
  adaptiveTotal: number;
}

/** A state before the first token. */
export function emptyState(): RowState {
  return { mirostat: 0, adaptiveSum: 0, adaptiveTotal: 0 };
}

/** What the stages leave of a row. */
export interface Staged {
  /** The kept tokens, most probable first. */
  readonly tokens: Uint32Array;
  /** Their weights in the draw. */
  readonly weights: Uint32Array;
  /** Scale that they have, or had before adaptive-p. */
  readonly scale: number;
  /** The state after one of them is drawn. */
  readonly next: (index: number) => RowState;
}

/** Scale at which `topNSigma` measures logits: 2^-14 octaves. */
const SIGMA_SCALE: number = Math.fround(2 * Math.LOG2E * 2 ** 14);
/** Further off than this, 128 octaves, is as far as can be for a deviation. */
const SIGMA_REACH = 2 ** 21;
/** How many tokens `topH` and Mirostat 1 look at. */
const HEAD = 100;
/** `2·log2(e) · 2^28`, of which the scale of a temperature is made. */
const SCALE_UNIT = 774_541_002n;

/** Masses of a run. */
interface Totals {
  /** Sum of the weights. */
  readonly mass: number;
  /** Sum of `floor(weight · distance / 2^20)`. */
  readonly information: number;
}

/** Runs a row's stages. The row must have a candidate. The twin of `shaders/stages.wgsl`. */
export function stages(
  logits: Float32Array,
  row: RowMax,
  plan: RowPlan,
  seed: bigint,
  position: bigint,
  state: RowState = emptyState(),
): Staged {
  const run = new Run(logits, row, plan, plan.stages!, state);
  for (const stage of plan.stages!.stages) run.apply(stage, seed, position);
  return run.finish();
}

class Run {
  readonly #logits: Float32Array;
  /** The first logit that is left: distances and weights are relative to it. */
  #max: number;
  readonly #ordered: OrderedRow;
  readonly #topK: number;
  readonly #topP: number;
  readonly #drawScale: number;
  readonly #plan: StagePlan;
  readonly #state: RowState;
  #start = 0;
  #end: number;
  #scale: number = distanceScale(1);
  #adaptive = false;

  constructor(logits: Float32Array, row: RowMax, plan: RowPlan, stages: StagePlan, state: RowState) {
    this.#logits = logits;
    this.#max = row.max;
    this.#ordered = new OrderedRow(logits, row);
    this.#end = this.#ordered.count;
    this.#topK = plan.topK;
    this.#topP = plan.topP;
    this.#drawScale = plan.drawScale;
    this.#plan = stages;
    this.#state = state;
  }

  apply(stage: StageName, seed: bigint, position: bigint): void {
    const plan = this.#plan;
    switch (stage) {
      case "temperature":
        this.#scale = plan.dynatempSpan === 0 ? this.#drawScale : this.#dynamicScale();
        break;
      case "topK":
        this.#keep(this.#topK);
        break;
      case "topP":
        this.#keep(this.#nucleus());
        break;
      case "joint":
        this.#keep(Math.min(this.#nucleus(), this.#topK));
        break;
      case "minP":
        this.#keepWeights(plan.minPWeight);
        break;
      case "typicalP":
        this.#typical();
        break;
      case "topNSigma":
        this.#sigma();
        break;
      case "epsilonCutoff":
        this.#keepWeights(shareOf(plan.epsilon, this.#totals().mass));
        break;
      case "etaCutoff": {
        const totals = this.#totals();
        const byEntropy = product(plan.etaRoot, exp2fix(meanDistance(totals)), 32);
        this.#keepWeights(Math.min(shareOf(plan.eta, totals.mass), byEntropy));
        break;
      }
      case "topH":
        this.#topH();
        break;
      case "xtc": {
        const [word] = philox4x32([...words(position), 0, PURPOSE.xtc], words(seed));
        if (word <= plan.xtcProbability) this.#excludeTop();
        break;
      }
      case "mirostat":
        this.#keep(plan.mirostat === 1 ? this.#mirostatCount() : this.#mirostatLimit());
        break;
      case "adaptiveP":
        this.#adaptive = true;
        break;
    }
  }

  finish(): Staged {
    const tokens = this.#ordered.first(this.#end).slice(this.#start, this.#end);
    const weights = new Uint32Array(tokens.length);
    for (let index = 0; index < tokens.length; index++) weights[index] = this.#weight(this.#start + index);
    const mass = weights.reduce((sum, weight) => sum + weight, 0);
    if (this.#adaptive) return this.#adapted(tokens, weights, mass);
    const { mirostat, mirostatTau, mirostatEta } = this.#plan;
    const state = this.#state;
    return {
      tokens,
      weights,
      scale: this.#scale,
      next: (index) => {
        if (mirostat === 0) return state;
        const surprise = this.#distance(this.#start + index) + logOfMass(mass);
        const step = product(mirostatEta, surprise - mirostatTau, 16);
        return { ...state, mirostat: Math.max(-(2 ** 29), Math.min(state.mirostat - step, 2 ** 29)) };
      },
    };
  }

  // ---- the run ----------------------------------------------------------------------------------------------------

  #logit(index: number): number {
    return clampLogit(this.#logits[this.#ordered.first(index + 1)[index]!]!);
  }

  #distance(index: number, scale: number = this.#scale): number {
    return distance(this.#max, this.#logit(index), scale);
  }

  #weight(index: number): number {
    return exp2fix(this.#distance(index));
  }

  #startAt(index: number): void {
    this.#start = index;
    this.#max = this.#logit(index);
  }

  /** Keeps the first `count` tokens of the run, but no less than there have to be. */
  #keep(count: number): void {
    this.#end = Math.min(this.#end, this.#start + Math.max(count, this.#plan.minKeep));
  }

  /** Keeps tokens of at least this weight. */
  #keepWeights(least: number): void {
    this.#keep(this.#countWhile((index) => this.#weight(index) >= least));
  }

  /** How many tokens from the run's start satisfy what no later one satisfies if one does not. */
  #countWhile(satisfies: (index: number) => boolean): number {
    let index = this.#start;
    while (index < this.#end && satisfies(index)) index++;
    return index - this.#start;
  }

  /** How many tokens it takes to reach top-p's share of the mass. */
  #nucleus(): number {
    const need = massNeeded(this.#topP, this.#totals().mass);
    let mass = 0;
    for (let index = this.#start; index < this.#end; index++) {
      mass += this.#weight(index);
      if (mass >= need) return index - this.#start + 1;
    }
    return this.#end - this.#start;
  }

  /** Hands over the distances of all tokens of the run, in any order. */
  #eachDistance(scale: number, visit: (away: number) => void): void {
    if (this.#end - this.#start === this.#ordered.count) {
      // The whole row, for which no order is needed.
      for (let id = 0; id < this.#logits.length; id++) {
        const z = this.#logits[id]!;
        if (z > -Infinity) visit(distance(this.#max, clampLogit(z), scale));
      }
    } else {
      for (let index = this.#start; index < this.#end; index++) visit(this.#distance(index, scale));
    }
  }

  #totals(): Totals {
    let mass = 0;
    let information = 0;
    this.#eachDistance(this.#scale, (away) => {
      const weight = exp2fix(away);
      mass += weight;
      information += Math.floor((weight * away) / OCTAVE); // exact: the product is below 2^51
    });
    return { mass, information };
  }

  // ---- stages -----------------------------------------------------------------------------------------------------

  /** The scale of a temperature that follows the entropy. */
  #dynamicScale(): number {
    const { dynatempLeast, dynatempSpan, dynatempExponent } = this.#plan;
    const count = this.#end - this.#start;
    let share = 0;
    if (count > 1) {
      const entropy = entropyOf(this.#totals());
      const certainty = 20 * OCTAVE - log2fix(Math.max(1, Math.min(quotient(entropy, log2fix(count), 20), OCTAVE)));
      share = exp2fix(Math.min(product(dynatempExponent, certainty, 16), MAX_DISTANCE));
    }
    return scaleOf(Math.max(1, dynatempLeast + product(dynatempSpan, share, 31)));
  }

  /** Keeps the tokens nearest to the mean distance, which are those whose information is nearest to the entropy. */
  #typical(): void {
    const totals = this.#totals();
    const mean = meanDistance(totals);
    const need = Math.max(1, massNeeded(this.#plan.typicalP, totals.mass));
    let after = this.#start + this.#countWhile((index) => this.#distance(index) < mean);
    let before = after - 1;
    let mass = 0;
    while (mass < need || after - before - 1 < this.#plan.minKeep) {
      const nearer = before < this.#start ? Infinity : mean - this.#distance(before);
      const further = after >= this.#end ? Infinity : this.#distance(after) - mean;
      if (nearer === Infinity && further === Infinity) break;
      if (nearer <= further) {
        // Tokens at one distance in front of the mean come together, so that no gap is left.
        const at = this.#distance(before);
        while (before >= this.#start && this.#distance(before) === at) mass += this.#weight(before--);
      } else {
        mass += this.#weight(after++);
      }
    }
    this.#end = after;
    this.#startAt(before + 1);
  }

  /** Keeps what is at most so many standard deviations below the largest. */
  #sigma(): void {
    let sum = 0;
    let squares = 0n;
    let some = 0; // of the squares, fewer than make 2^53
    let terms = 0;
    const count = this.#end - this.#start;
    this.#eachDistance(SIGMA_SCALE, (away) => {
      const capped = Math.min(away, SIGMA_REACH);
      sum += capped;
      some += capped * capped;
      if (++terms % 1024 === 0) {
        squares += BigInt(some);
        some = 0;
      }
    });
    squares += BigInt(some);
    const mean = Math.floor(sum / count);
    const rest = sum - mean * count;
    // The sum of the squared deviations from the mean, rest and all.
    const deviations = squares - BigInt(mean) * BigInt(sum + rest) - (BigInt(rest) * BigInt(rest)) / BigInt(count);
    const sigma = squareRoot((deviations / BigInt(count)) << 20n); // in 2^-24 octaves
    const limit = product(this.#plan.nSigma, sigma, 26);
    this.#keep(this.#countWhile((index) => this.#distance(index, SIGMA_SCALE) <= limit));
  }

  /** Keeps the head of the row up to a share of its entropy. */
  #topH(): void {
    const count = Math.min(HEAD, this.#end - this.#start);
    const tokens = Array.from({ length: count }, (_, index) => this.#start + index);
    const log = logOfMass(tokens.reduce((mass, index) => mass + this.#weight(index), 0));
    const terms = tokens.map((index) => product(this.#weight(index), Math.max(0, this.#distance(index) + log), 20));
    const most = product(
      this.#plan.topH,
      terms.reduce((sum, term) => sum + term, 0),
      31,
    );
    let sum = 0;
    let kept = 0;
    while (kept < count && (sum += terms[kept]!) <= most) kept++;
    this.#keep(kept);
  }

  /** Drops the tokens above the threshold, but for the last of them. */
  #excludeTop(): void {
    const least = shareOf(this.#plan.xtcThreshold, this.#totals().mass);
    const top = this.#countWhile((index) => this.#weight(index) >= least);
    if (top >= 2 && this.#end - this.#start - (top - 1) >= this.#plan.minKeep) this.#startAt(this.#start + top - 1);
  }

  // ---- stages with a state ----------------------------------------------------------------------------------------

  /** Mirostat's limit, in 2^-20 octaves of information. */
  get #limit(): number {
    return 2 * this.#plan.mirostatTau + this.#state.mirostat;
  }

  /** Mirostat 2: how many tokens have no more information than the limit. */
  #mirostatLimit(): number {
    const log = logOfMass(this.#totals().mass);
    return this.#countWhile((index) => this.#distance(index) + log <= this.#limit);
  }

  /** Mirostat 1: how many tokens a row has down to the limit, if it follows Zipf's law as its head does. */
  #mirostatCount(): number {
    const head = Math.min(HEAD, this.#end - this.#start);
    if (head < 2) return head;
    let steep = 0n;
    let even = 0n;
    for (let index = 0; index + 1 < head; index++) {
      const rank = BigInt(log2fix(index + 2) - log2fix(index + 1));
      const fall = BigInt(this.#distance(this.#start + index + 1) - this.#distance(this.#start + index));
      steep += rank * fall;
      even += rank * rank;
    }
    const exponent = Math.max(1, quotient(steep, even, 20)); // s, of p ~ rank^-s
    const excess = exponent === OCTAVE ? 1 : exponent - OCTAVE;
    const size = Math.abs(excess);
    // log2 of size / (1 - V^-size), or of its like where the exponent is below 1.
    const reach = Math.min(product(size, log2fix(this.#logits.length), 20), MAX_DISTANCE);
    let log = log2fix(size) - 20 * OCTAVE - (log2fix(Math.max(1, WEIGHT_ONE - exp2fix(reach))) - 31 * OCTAVE);
    if (excess < 0) log -= reach;
    log += this.#limit;
    if (log <= 0) return 1;
    const count = quotient(log, exponent, 20);
    return count >= 22 * OCTAVE ? Infinity : Math.max(1, exp2fix(31 * OCTAVE - count));
  }

  /** Weights by how near a probability is to the target, and not by how large it is. */
  #adapted(tokens: Uint32Array, weights: Uint32Array, mass: number): Staged {
    const { adaptiveTarget, adaptiveDecay } = this.#plan;
    const { adaptiveSum, adaptiveTotal } = this.#state;
    // As if all had been as it should be until now.
    const total = adaptiveTotal === 0 ? quotient(OCTAVE, 2 ** 32 - adaptiveDecay, 32) : adaptiveTotal;
    const sum = adaptiveTotal === 0 ? product(adaptiveTarget, total, 31) : adaptiveSum;
    const aim = Math.max(0, Math.min(2 * adaptiveTarget - quotient(sum, total, 31), WEIGHT_ONE));
    const unit = quotient(1n << 63n, mass);
    const probabilities = weights.map((weight) => product(weight, unit, 32)); // in 2^-31
    const away = probabilities.map((probability) => adaptiveDistance(Math.abs(probability - aim)));
    const nearest = away.reduce((least, distance) => Math.min(least, distance), Infinity);
    return {
      tokens,
      weights: away.map((distance) => exp2fix(Math.min(distance - nearest, MAX_DISTANCE))),
      scale: this.#scale,
      next: (index) => ({
        ...this.#state,
        adaptiveSum: product(sum, adaptiveDecay, 32) + Math.floor(probabilities[index]! / 2 ** 11),
        adaptiveTotal: product(total, adaptiveDecay, 32) + OCTAVE,
      }),
    };
  }
}

/** The mean distance of a run by weight, in 2^-20 octaves. */
function meanDistance({ mass, information }: Totals): number {
  return quotient(information, mass, 20);
}

/** `log2(mass / 2^31)`, in 2^-20 octaves. With it a distance becomes an information. */
function logOfMass(mass: number): number {
  return log2fix(mass) - 31 * OCTAVE;
}

/** The entropy of a run, in 2^-20 octaves. */
function entropyOf(totals: Totals): number {
  return Math.max(0, meanDistance(totals) + logOfMass(totals.mass));
}

/** The least weight that has a share of a mass, rounded up. */
function shareOf({ share, shift }: SmallShare, mass: number): number {
  return Math.ceil(massNeeded(share, mass) / 2 ** shift);
}

/** The distance scale of a temperature in 2^-16, as a float with the last bits cut off. */
function scaleOf(temperature: number): number {
  const exact = (SCALE_UNIT << 32n) / BigInt(temperature);
  const excess = BigInt(exact.toString(2).length - 24);
  return Number((exact >> excess) << excess) * 2 ** -24;
}

/** What adaptive-p makes of a difference between a probability and the target, both in 2^-31: `10·d²/(1+d)` at `d` = 0.3 each. */
function adaptiveDistance(difference: number): number {
  const d = product(difference, 54_613, 31); // 2^14 / 0.3
  return Math.floor((Math.floor((d * d) / (16_384 + d)) * 59_093) / 64);
}
