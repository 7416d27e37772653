// Distances and integer weights. Twin: distance and exp2fix in src/reference/numeric.ts.
// No decision is ever taken on a floating-point sum. Every float step here is one operation, correctly rounded; where a
// compiler could fuse a product with a sum, and so round once instead of twice, integer operations on the bits between
// them keep it from doing so. Bits are multiplied where they could be shifted, and cut off as signed integers, because
// SwiftShader shifts lane by lane, which costs as much as sixteen products, and a minimum of unsigned ones twice as much.

const WEIGHT_ONE = 0x80000000u;
const SCALE_OF_ONE = 3025550.75; // of a temperature of 1
const MAX_DISTANCE = 0x2000000u; // 32 octaves: the weight is 0
// Bits of 2^23 and of 2^25. Added to a float that is no larger, they leave the nearest integer, or multiple of 4. And
// 2^23 is the distance of 8 octaves.
const TO_INTEGER = 0x4b000000;
const TO_MULTIPLE_OF_4 = 0x4c000000;

// Distance below the row's largest logit, in 2^-20 octaves, from the bits of a logit: the nearest integer within 8 octaves,
// the nearest multiple of 4 beyond. Halving first keeps the difference of huge logits finite. Floats that are not negative
// are ordered like their bits.
fn distance_of(half_max: f32, bits: u32, scale: f32) -> u32 {
  let finite = select(bits, 0x7f7fffffu, bits == 0x7f800000u); // +inf counts as the largest float
  let d = bitcast<i32>(half_max - bitcast<f32>(finite) * 0.5);
  let scaled = bitcast<i32>(bitcast<f32>(min(d, 0x5d800000)) * scale); // d cut off at 2^60
  let near = bitcast<f32>(min(scaled, TO_INTEGER)) + 8388608.0;
  let far = bitcast<f32>(clamp(scaled, TO_INTEGER, TO_MULTIPLE_OF_4)) + 33554432.0;
  // Less the bits of the two summands, and the 8 octaves that both have of a far one.
  let distance = bitcast<u32>(near) + bitcast<u32>(far) * 4u - 0x7b800000u;
  // What can never be sampled, NaN and -inf, is as far as can be.
  return select(distance, MAX_DISTANCE, bitcast<i32>(finite & 0x7fffffffu) >= 0x7f800000);
}

fn distances(half_max: f32, bits: vec4<u32>, scale: f32) -> vec4<u32> {
  return vec4(
    distance_of(half_max, bits.x, scale),
    distance_of(half_max, bits.y, scale),
    distance_of(half_max, bits.z, scale),
    distance_of(half_max, bits.w, scale),
  );
}

fn distance_of_key(half_max: f32, key: u32, scale: f32) -> u32 {
  return distance_of(half_max, bits_of_key(key), scale);
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

// Weights in halves: `high` counts 2^16, `low` is what is left, within 2^15 on either side. Each on top of the bits of a float.
struct Halves {
  high: u32,
  low: u32,
}
const HIGH = 0x53000000u; // of 2^39
const LOW = 0x4b400000u; // of 1.5 · 2^23

// 2^31 · 2^(-distance / 2^20), rounded to an integer. Three sums cost a CPU less than rounding and conversion. Each of them has
// to be rounded as it stands, and compilers may reorder sums: hence the zero between them, too.
fn weight_halves(distance: u32, zero: u32) -> Halves {
  let line = 0x4f000000u - distance * 8u; // as a float: the octave is exact, inside it a straight line
  let f = bitcast<f32>((line & 0x7fffffu) | 0x3f800000u) - 1.0;
  var y = times(0.0018671300495043397, f, zero) + 0.009017030708491802;
  y = times(y, f, zero) + 0.05579991266131401;
  y = times(y, f, zero) + 0.24016444385051727;
  y = times(y, f, zero) + 0.6931512951850891;
  y = times(y, f, zero) + 1.0;
  let power = y * bitcast<f32>(line & 0x7f800000u);
  let high = bitcast<u32>(power + 549755813888.0);
  let rounded = bitcast<u32>(bitcast<f32>(high ^ zero) - 549768396800.0); // less 1.5 · 2^23
  return Halves(high, bitcast<u32>(power - bitcast<f32>(rounded ^ zero)));
}

// A product that cannot be fused with what is added to it; `zero` is that of the call.
fn times(a: f32, b: f32, zero: u32) -> f32 {
  return bitcast<f32>(bitcast<u32>(a * b) ^ zero);
}

fn weight_of(distance: u32) -> u32 {
  let halves = weight_halves(distance, call.zero);
  return halves.high * 65536u + halves.low - LOW;
}

fn exp2fix(distance: vec4<u32>) -> vec4<u32> {
  return vec4(weight_of(distance.x), weight_of(distance.y), weight_of(distance.z), weight_of(distance.w));
}

// Four more weights. One after the other, because a CPU holds few vectors in registers.
fn add_weights(sums: Halves, distance: vec4<u32>, zero: u32) -> Halves {
  let x = weight_halves(distance.x, zero);
  let y = weight_halves(distance.y, zero);
  let z = weight_halves(distance.z, zero);
  let w = weight_halves(distance.w, zero);
  return Halves(sums.high + x.high + y.high + z.high + w.high, sums.low + x.low + y.low + z.low + w.low);
}

// The sum of `count` weights from the sums of their halves.
fn join_halves(sums: Halves, count: u32) -> vec2<u32> {
  let high = sums.high - count * HIGH;
  let low = sums.low - count * LOW;
  return add64(mul32(high, 65536u), vec2(low, select(0u, 0xffffffffu, bitcast<i32>(low) < 0)));
}

fn weight_of_key(half_max: f32, key: u32, scale: f32) -> u32 {
  return weight_of(distance_of_key(half_max, key, scale));
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
  let a_high = upper_halves(a);
  let b_high = upper_halves(b);
  let cross = a_high * (b & half) + upper_halves((a & half) * (b & half));
  let carry = (a & half) * b_high + (cross & half);
  return a_high * b_high + upper_halves(cross) + upper_halves(carry);
}

// (weight · distance + added) / 2^20, rounded down.
fn informations_of(weights: vec4<u32>, away: vec4<u32>, added: u32) -> vec4<u32> {
  let low = weights * away + vec4(added);
  let high = high_products(weights, away) + select(vec4(0u), vec4(1u), low < vec4(added));
  return (high * 4096u) | (low >> vec4(20u));
}
