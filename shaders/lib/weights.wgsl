// Distances and integer weights. Twin: distance and exp2fix in src/reference/numeric.ts.
// No decision is ever taken on a floating-point sum: the only float steps are the three of distances(), each exact or
// rounded once, and a fused multiply-subtract gives the same bits because halving is exact.

const WEIGHT_ONE = 0x80000000u;
const MAX_DISTANCE = 0x4000000u;
const ZERO_WEIGHT_DISTANCE = 0x2000000u;

// Distances below the row's largest logit, in 2^-20 octaves. Halving first keeps huge differences finite.
fn distances(half_max: f32, logits: vec4<f32>, scale: f32) -> vec4<u32> {
  let d = min(vec4(half_max) - logits * 0.5, vec4(1152921504606846976.0));
  // By way of i32, which is the conversion that CPUs have; the value is in the range of both.
  return bitcast<vec4<u32>>(vec4<i32>(min(d * scale, vec4(67108864.0))));
}

fn distance_of_key(half_max: f32, key: u32, scale: f32) -> u32 {
  return distances(half_max, vec4(logit_of_key(key)), scale).x;
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

// 2^31 · 2^(-distance / 2^20): a table of 256 steps an octave, then a second-order correction inside the step.
// From 32 octaves on the weight is 0; so it is at the last distance before, where anything further is looked up.
fn exp2fix(distance: vec4<u32>) -> vec4<u32> {
  let t = min(distance, vec4(ZERO_WEIGHT_DISTANCE - 1u));
  let fraction = t & vec4(0xfffffu);
  let entry = fraction >> vec4(12u);
  let step = vec4(exp2_table[entry.x], exp2_table[entry.y], exp2_table[entry.z], exp2_table[entry.w]);
  let a = ((fraction & vec4(0xfffu)) * 45426u) >> vec4(12u);
  let b = a - ((a * a) >> vec4(25u));
  return (step - (((step >> vec4(15u)) * b) >> vec4(9u))) >> (t >> vec4(20u));
}

// Logits as floats that arithmetic is safe on: +inf is the largest finite float, what cannot be sampled is 0.
fn safe_logits(bits: vec4<u32>, raw: vec4<u32>) -> vec4<f32> {
  let finite = select(bits, vec4(0x7f7fffffu), bits == vec4(0x7f800000u));
  return bitcast<vec4<f32>>(select(vec4(0u), finite, raw >= vec4(LOWEST_KEY)));
}

fn weight_of_key(half_max: f32, key: u32, scale: f32) -> u32 {
  return exp2fix(distances(half_max, vec4(logit_of_key(key)), scale)).x;
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
