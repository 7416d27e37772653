// 64-bit unsigned integers as (low, high) words.

fn add64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  let low = a.x + b.x;
  return vec2(low, a.y + b.y + select(0u, 1u, low < a.x));
}

fn sub64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  return vec2(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x));
}

fn less64(a: vec2<u32>, b: vec2<u32>) -> bool {
  return a.y < b.y || (a.y == b.y && a.x < b.x);
}

fn mul32(a: u32, b: u32) -> vec2<u32> {
  let a0 = a & 0xffffu;
  let a1 = upper_half(a);
  let b0 = b & 0xffffu;
  let b1 = upper_half(b);
  let cross = a1 * b0 + upper_half(a0 * b0);
  let carry = a0 * b1 + (cross & 0xffffu);
  return vec2(a * b, a1 * b1 + upper_half(cross) + upper_half(carry));
}

// The sum of weights from two running sums: of the weights, low 32 bits only, and of their high 16 bits. What the low
// halves come to follows from the two, as long as it fits 32 bits.
fn join_sums(low: vec4<u32>, high: vec4<u32>) -> vec2<u32> {
  let h = high.x + high.y + high.z + high.w;
  let lifted = h * 65536u;
  let rest = low.x + low.y + low.z + low.w - lifted;
  return add64(vec2(lifted, upper_half(h)), vec2(rest, 0u));
}

// The upper halves of words, in floats, because SwiftShader shifts lane by lane. Every step is exact.
fn upper_half(word: u32) -> u32 {
  return bitcast<u32>(f32(word & 0xffff0000u) + 549755813888.0) - 0x53000000u; // 2^39, its bits
}

fn upper_halves(words: vec4<u32>) -> vec4<u32> {
  return bitcast<vec4<u32>>(vec4<f32>(words & vec4(0xffff0000u)) + 549755813888.0) - vec4(0x53000000u);
}

// The nearest float, or almost.
fn f32_of(a: vec2<u32>) -> f32 {
  return f32(a.y) * 4294967296.0 + f32(a.x);
}

// A float from 0 to 2^64, rounded down.
fn u64_of(value: f32) -> vec2<u32> {
  let high = floor(value / 4294967296.0);
  return vec2(u32(value - high * 4294967296.0), u32(high));
}
