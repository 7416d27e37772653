// Distances and integer weights. Twin: distance and exp2fix in src/reference/numeric.ts.
// No decision is ever taken on a floating-point sum. Every float step here is one operation, correctly rounded; where a
// compiler could fuse a product with a sum, and so round once instead of twice, integer operations on the bits between
// them keep it from doing so.

const WEIGHT_ONE = 0x80000000u;
const SCALE_OF_ONE = 3025550.75; // of a temperature of 1
const MAX_DISTANCE = 0x2000000u; // 32 octaves: the weight is 0
const NEAR = 0x800000u; // 8 octaves: from here on weights are at most 2^23
// Bits of 2^23 and of 2^25. Added to a float that is no larger, they leave the nearest integer, or multiple of 4.
const TO_INTEGER = 0x4b000000u;
const TO_MULTIPLE_OF_4 = 0x4c000000u;

// Halved differences from the row's largest logit, scaled. Halving first keeps the difference of huge logits finite.
// Floats that are not negative are ordered like their bits, so they are cut off as integers.
fn scaled_differences(half_max: f32, finite: vec4<u32>, scale: f32) -> vec4<f32> {
  let d = min(bitcast<vec4<u32>>(vec4(half_max) - bitcast<vec4<f32>>(finite) * 0.5), vec4(0x5d800000u)); // 2^60
  return bitcast<vec4<f32>>(min(bitcast<vec4<u32>>(bitcast<vec4<f32>>(d) * scale), vec4(TO_MULTIPLE_OF_4)));
}

// The nearest multiple of 4: what distances are beyond 8 octaves.
fn far_distances_of(scaled: vec4<f32>) -> vec4<u32> {
  return (bitcast<vec4<u32>>(scaled + 33554432.0) - vec4(TO_MULTIPLE_OF_4)) << vec4(2u);
}

// What can never be sampled, NaN and -inf, is as far as can be.
fn unless_masked(distance: vec4<u32>, bits: vec4<u32>) -> vec4<u32> {
  return select(distance, vec4(MAX_DISTANCE), (bits & vec4(0x7fffffffu)) >= vec4(0x7f800000u));
}

// Distances below the row's largest logit, in 2^-20 octaves, from the bits of logits: the nearest integer within 8
// octaves, the nearest multiple of 4 beyond.
fn distances(half_max: f32, bits: vec4<u32>, scale: f32) -> vec4<u32> {
  let finite = select(bits, vec4(0x7f7fffffu), bits == vec4(0x7f800000u)); // +inf counts as the largest float
  let scaled = scaled_differences(half_max, finite, scale);
  let near = bitcast<vec4<u32>>(scaled + 8388608.0) - vec4(TO_INTEGER);
  return unless_masked(select(far_distances_of(scaled), near, scaled < vec4(8388608.0)), finite);
}

// The same where no token is NEAR, and so none is +inf.
fn far_distances(half_max: f32, bits: vec4<u32>, scale: f32) -> vec4<u32> {
  return unless_masked(far_distances_of(scaled_differences(half_max, bits, scale)), bits);
}

fn distance_of_key(half_max: f32, key: u32, scale: f32) -> u32 {
  return distances(half_max, vec4(bits_of_key(key)), scale).x;
}

// The smallest key whose logit lies no further than `limit` below the largest.
fn key_of_distance(max_key: u32, limit: u32, scale: f32) -> u32 {
  let half_max = logit_of_key(max_key) * 0.5;
  var low = LOWEST_KEY - 1u;
  var high = max_key;
  while (high - low > 1u) {
    let middle = low + ((high - low) >> 1u);
    if (distance_of_key(half_max, middle, scale) <= limit) {
      high = middle;
    } else {
      low = middle;
    }
  }
  return high;
}

// 2^31 · 2^(-distance / 2^20), not yet rounded to an integer.
fn powers(distance: vec4<u32>) -> vec4<f32> {
  let line = vec4(0x4f000000u) - (distance << vec4(3u)); // as a float: the octave is exact, inside it a straight line
  let f = bitcast<vec4<f32>>((line & vec4(0x7fffffu)) | vec4(0x3f800000u)) - 1.0;
  var y = times(vec4(0.0018671300495043397), f) + 0.009017030708491802;
  y = times(y, f) + 0.05579991266131401;
  y = times(y, f) + 0.24016444385051727;
  y = times(y, f) + 0.6931512951850891;
  y = times(y, f) + 1.0;
  return y * bitcast<vec4<f32>>(line & vec4(0x7f800000u));
}

// A product that cannot be fused with what is added to it.
fn times(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(bitcast<vec4<u32>>(a * b) ^ vec4(call.zero));
}

fn exp2fix(distance: vec4<u32>) -> vec4<u32> {
  return vec4<u32>(round(powers(distance)));
}

// The same for distances that are not NEAR, where rounding can cost a CPU less. (Here fusing does no harm: the product before
// is exact.)
fn exp2fix_far(distance: vec4<u32>) -> vec4<u32> {
  return bitcast<vec4<u32>>(powers(distance) + 8388608.0) - vec4(TO_INTEGER);
}

fn weight_of_key(half_max: f32, key: u32, scale: f32) -> u32 {
  return exp2fix(vec4(distance_of_key(half_max, key, scale))).x;
}

// ceil(share · mass / 2^32), the mass a nucleus must reach.
fn mass_needed(share: u32, mass: vec2<u32>) -> vec2<u32> {
  let low = mul32(share, mass.x);
  return add64(mul32(share, mass.y), vec2(low.y, 0u) + vec2(select(0u, 1u, low.x > 0u), 0u));
}

// floor(u · mass / 2^64), where in the running sum the draw falls; u as (low, high).
fn draw_point(u: vec2<u32>, mass: vec2<u32>) -> vec2<u32> {
  let middle = add64(mul32(u.x, mass.y), vec2(mul32(u.x, mass.x).y, 0u));
  let cross = add64(mul32(u.y, mass.x), vec2(middle.x, 0u));
  return add64(mul32(u.y, mass.y), add64(vec2(middle.y, 0u), vec2(cross.y, 0u)));
}

// The high words of products.
fn high_products(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
  let half = vec4(0xffffu);
  let cross = (a >> vec4(16u)) * (b & half) + (((a & half) * (b & half)) >> vec4(16u));
  let carry = (a & half) * (b >> vec4(16u)) + (cross & half);
  return (a >> vec4(16u)) * (b >> vec4(16u)) + (cross >> vec4(16u)) + (carry >> vec4(16u));
}

// (weight · distance + added) / 2^20, rounded down.
fn informations_of(weights: vec4<u32>, away: vec4<u32>, added: u32) -> vec4<u32> {
  let low = weights * away + vec4(added);
  let high = high_products(weights, away) + select(vec4(0u), vec4(1u), low < vec4(added));
  return (high << vec4(12u)) | (low >> vec4(20u));
}
