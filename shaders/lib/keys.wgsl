// Ordered keys of float bits. Twin: keyOfBits and bitsOfKey in src/reference/numeric.ts.

const LOWEST_KEY = 0x00ffffffu; // of the lowest finite float; what cannot be sampled has key 0
const NO_TOKEN = 0xffffffffu;

// Orders the bits of floats. Positive NaNs wrap round to the bottom, beside negative NaNs and -inf.
fn raw_keys(bits: vec4<u32>) -> vec4<u32> {
  let sign = bitcast<vec4<u32>>(clamp(bitcast<vec4<i32>>(bits), vec4(-1), vec4(0)));
  return (bits ^ (sign | vec4(0x80000000u))) + vec4(0x7fffffu);
}

// Makes raw keys final: 0 for NaN and -inf, +inf like the largest finite float, -0 like +0. Monotone, so it may be
// applied after a maximum.
fn final_keys(raw: vec4<u32>) -> vec4<u32> {
  var keys = min(raw, vec4(0xfffffffeu));
  keys = select(keys, vec4(0x807fffffu), keys == vec4(0x807ffffeu));
  return select(vec4(0u), keys, keys >= vec4(LOWEST_KEY));
}

fn keys_of(bits: vec4<u32>) -> vec4<u32> {
  return final_keys(raw_keys(bits));
}

// The bits of the logit behind a key other than 0.
fn bits_of_key(key: u32) -> u32 {
  let lifted = key - 0x7fffffu;
  return select(~lifted, lifted & 0x7fffffffu, lifted >= 0x80000000u);
}

fn logit_of_key(key: u32) -> f32 {
  return bitcast<f32>(bits_of_key(key));
}

// A place in the ordered row: keys descending, then ids ascending.
struct Cut {
  key: u32,
  id: u32,
}

// Tokens that follow each other in the ordered row: those after one place, up to and including another.
struct Part {
  after: Cut,
  upto: Cut,
}

const IN_FRONT = Cut(0xffffffffu, 0xffffffffu); // of every token
const LAST = Cut(1u, NO_TOKEN); // every candidate lies before it

fn up_to(keys: vec4<u32>, ids: vec4<u32>, cut: Cut) -> vec4<bool> {
  return (keys > vec4(cut.key)) | ((keys == vec4(cut.key)) & (ids <= vec4(cut.id)));
}

// Which of four tokens a part has.
fn in_part(keys: vec4<u32>, ids: vec4<u32>, part: Part) -> vec4<bool> {
  return up_to(keys, ids, part.upto) & !up_to(keys, ids, part.after);
}

fn ids_from(id: u32) -> vec4<u32> {
  return vec4(id) + vec4(0u, 1u, 2u, 3u);
}
