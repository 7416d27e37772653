// Ordered keys of float bits. Twin: keyOfBits and bitsOfKey in src/reference/numeric.ts.

const LOWEST_KEY = 0x00ffffffu; // of the lowest finite float; what cannot be sampled has key 0
const NO_TOKEN = 0xffffffffu;

// 0 for NaN and -inf, +inf like the largest finite float, -0 like +0. Negative floats fall as their bits rise; positive NaNs wrap
// round to the bottom, beside negative NaNs and -inf.
fn keys_of(bits: vec4<u32>) -> vec4<u32> {
  let integers = bitcast<vec4<i32>>(bits);
  let negative = clamp(integers, vec4(-1), vec4(0));
  var order = min((integers ^ (negative & vec4(0x7fffffff))) + vec4(0x7fffff), vec4(0x7ffffffe));
  order = select(order, vec4(0x7fffff), order == vec4(0x7ffffe));
  let keys = bitcast<vec4<u32>>(order) ^ vec4(0x80000000u);
  return select(vec4(0u), keys, order >= ordered(vec4(LOWEST_KEY)));
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

// Ids are of tokens: those beside the row, which wrap round, have no key that a cut could have.
fn up_to(keys: vec4<u32>, ids: vec4<u32>, cut: Cut) -> vec4<bool> {
  let order = ordered(keys);
  let end = ordered(vec4(cut.key));
  let is_first = bitcast<vec4<i32>>(ids) <= vec4(bitcast<i32>(min(cut.id, 0x7fffffffu)));
  return (order > end) | ((order == end) & is_first);
}

// Which of four tokens a part has.
fn in_part(keys: vec4<u32>, ids: vec4<u32>, part: Part) -> vec4<bool> {
  return up_to(keys, ids, part.upto) & !up_to(keys, ids, part.after);
}

const QUAD_LANES = vec4(0u, 1u, 2u, 3u);

fn ids_from(id: u32) -> vec4<u32> {
  return vec4(id) + QUAD_LANES;
}

// The first of four that is true; some is. Who goes from one to the next takes SwiftShader fewer turns than four.
fn first_lane(hits: vec4<bool>) -> u32 {
  return select(select(select(3u, 2u, hits.z), 1u, hits.y), 0u, hits.x);
}
