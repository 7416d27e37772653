// What the host packs for a call. Twin: src/webgpu/pack.ts.

const FLAG_GREEDY = 1u; // keep the best token only
const FLAG_MASS = 2u; // the mass kernel runs for this row
const FLAG_TOP_K = 4u;
const FLAG_TOP_P = 8u;
const FLAG_MIN_P = 16u;
const FLAG_MIN_P_FIRST = 32u; // the mass that top-p measures leaves out what min-p removes
const FLAG_POSITION = 64u; // the position is given; else it is the row's counter

struct Plan {
  flags: u32,
  top_k: u32,
  top_p: u32, // share of the mass, in 2^-32
  min_p_distance: u32, // largest distance that min-p keeps, at filter_scale
  filter_scale: f32,
  draw_scale: f32,
  seed: vec2<u32>,
  position: vec2<u32>,
}

struct Call {
  vocab: u32,
  groups: u32, // of a row; a multiple of LANES
  first: u32, // element of the first row's first logit
  row_stride: u32, // in elements
  first_row: u32, // of this dispatch in the whole batch
  token_first: u32, // words
  token_stride: u32, // words: 1, or 2 for 64-bit integers
  zero: u32, // always 0, which no compiler knows: see `times`
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
  draw_scale: f32, // the scale of the weights
}
