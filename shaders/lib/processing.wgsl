// What the kernels that process logits have in common. Group 0 is the caller's, group 1 the sampler's.

@group(0) @binding(0) var<storage, read> logits: array<Quad>;
@group(0) @binding(1) var<storage, read> logit_words: array<u32>; // the same buffer
@group(1) @binding(0) var<storage, read> call: Call;
@group(1) @binding(1) var<storage, read> controls: array<u32>; // history's capacity, then plans, then what they refer to
@group(1) @binding(2) var<storage, read_write> overlay: array<atomic<u32>>; // see overlay.wgsl
@group(1) @binding(3) var<storage, read> history: array<u32>; // [batch] rows, see history.wgsl

const NONE = 0xffffffffu;

const PENALTIES = 1u; // one of the three is on
const REPETITION = 2u;
const FREQUENCY = 4u;
const PRESENCE = 8u;
const ADDITIVE_FIRST = 16u;
const DRY = 32u;

// Lists are (first word in controls, length). Twin: src/webgpu/controls.ts.
struct Control {
  flags: u32,
  repetition: u32, // float bits
  frequency: u32,
  presence: u32,
  window: u32,
  forced: u32, // token, or NONE
  ngram: u32,
  min_tokens: u32,
  bias: vec2<u32>, // ids, ascending; as many floats behind them
  suppressed: vec2<u32>,
  stops: vec2<u32>,
  bad_words: vec2<u32>, // first words of (length, tokens)
  allowed: u32, // first word of a mask, or NONE
  banned: u32,
  dry: vec2<u32>, // penalties by length
  breakers: vec2<u32>,
  dry_allowed: u32,
  dry_window: u32,
}

fn list_at(at: u32) -> vec2<u32> {
  return vec2(controls[at], controls[at + 1u]);
}

fn control_of(index: u32) -> Control {
  let at = 4u + index * 24u;
  return Control(
    controls[at],
    controls[at + 1u],
    controls[at + 2u],
    controls[at + 3u],
    controls[at + 4u],
    controls[at + 5u],
    controls[at + 6u],
    controls[at + 7u],
    list_at(at + 8u),
    list_at(at + 10u),
    list_at(at + 12u),
    list_at(at + 14u),
    controls[at + 16u],
    controls[at + 17u],
    list_at(at + 18u),
    list_at(at + 20u),
    controls[at + 22u],
    controls[at + 23u],
  );
}

// What count leaves of a token: 20 bits count its appearances in the output, one says whether it was seen, and the
// others hold the length of the longest repeat that it would go on with.
const SEEN = 0x100000u;
const REPEAT_SHIFT = 21u;
