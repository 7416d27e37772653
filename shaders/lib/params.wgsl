// What the host packs for a call. Twin: src/webgpu/pack.ts.

const FLAG_GREEDY = 1u; // keep the best token only
const FLAG_MASS = 2u; // the mass kernel runs for this row
const FLAG_TOP_K = 4u;
const FLAG_TOP_P = 8u;
const FLAG_MIN_P = 16u;
const FLAG_MIN_P_FIRST = 32u; // the mass that top-p measures leaves out what min-p removes
const FLAG_POSITION = 64u; // the position is given; else it is the row's counter
const FLAG_WITHOUT_REPLACEMENT = 128u; // no token is drawn twice

#if STAGES
// The stages of a row, where they are more than top-k, top-p and min-p. Twin: StagePlan in src/stages.ts.
struct Stages {
  order: vec2<u32>, // four bits a stage, the first in the lowest; 0 behind the last
  min_keep: u32,
  min_p_weight: u32,
  typical_p: u32,
  n_sigma: u32, // in 2^-16
  epsilon: Share,
  eta: Share,
  eta_root: u32, // in 2^-32
  top_h: u32, // in 2^-31
  xtc_threshold: Share,
  xtc_probability: u32, // in 2^-32
  dynatemp_least: u32, // in 2^-16
  dynatemp_span: u32, // in 2^-16; 0: the temperature is what it is
  dynatemp_exponent: u32, // in 2^-16
  mirostat: u32, // 0, 1 or 2
  mirostat_tau: i32, // in 2^-20 octaves
  mirostat_eta: u32, // in 2^-16
  adaptive_target: u32, // in 2^-31
  adaptive_decay: u32, // in 2^-32
  unused: u32,
}

// share · 2^-(32 + shift)
struct Share {
  share: u32,
  shift: u32,
}

#endif
struct Plan {
  flags: u32,
  top_k: u32,
  top_p: u32, // share of the mass, in 2^-32
  min_p_distance: u32, // largest distance that min-p keeps, at filter_scale
  filter_scale: f32,
  draw_scale: f32,
  seed: vec2<u32>,
  position: vec2<u32>,
  first: u32, // element of the row's first logit
  spare: u32,
#if STAGES
  stages: Stages,
#endif
}

struct Call {
  vocab: u32,
  groups: u32, // of a row; a multiple of LANES
  first_row: u32, // of this dispatch in the whole batch
  token_first: u32, // words
  token_stride: u32, // words: 1, or 2 for 64-bit integers
  zero: u32, // always 0, which no compiler knows: see `times`
  plan_stride: u32, // of a row, in plans without stages, for the kernels that know nothing of stages
  draws: u32, // tokens of a row
  weights_first: u32, // word of tokens where draws leaves their weights; 0: nowhere
  processed: u32, // 1 if the draw has read logits as processed
  plans: array<Plan>,
}

const STATUS_OK = 0u;
const STATUS_MASKED = 1u;
const STATUS_NAN = 2u;

// One per row of the batch, as long as the sampler lives.
struct RowRecord {
  rising_key: atomic<u32>, // 0 between calls: raised by max, put back by draw
  position_low: u32, // of the next draw
  position_high: u32,
  // What the last draw found:
  token: u32,
  status: u32,
  weight: u32,
  mass_low: u32,
  mass_high: u32,
  cut_key: u32, // the last kept token of the ordered row
  cut_id: u32,
  max_key: u32, // 0 in a row without a candidate
  after_key: u32, // the last token in front of the kept ones
  after_id: u32,
  base_key: u32, // of the first of them: distances and weights are relative to it
  draw_scale: f32, // the scale of the weights
  // What adaptive-p weighs by, see adaptive.wgsl.
  adaptive_aim: u32,
  adaptive_unit: u32,
  adaptive_nearest: u32,
  // What stages keep from token to token; 0 before the first. Mirostat: how far its limit is above twice its target.
  // Adaptive-p: the sum of probabilities drawn, and of their weights.
  mirostat: i32,
  adaptive_sum: u32,
  adaptive_total: u32,
}
