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
  let a1 = a >> 16u;
  let b0 = b & 0xffffu;
  let b1 = b >> 16u;
  let cross = a1 * b0 + ((a0 * b0) >> 16u);
  let carry = a0 * b1 + (cross & 0xffffu);
  return vec2(a * b, a1 * b1 + (cross >> 16u) + (carry >> 16u));
}

// The sum of weights from two running sums: of the weights, low 32 bits only, and of their high 16 bits. What the low
// halves come to follows from the two, as long as it fits 32 bits.
fn join_sums(low: vec4<u32>, high: vec4<u32>) -> vec2<u32> {
  let h = high.x + high.y + high.z + high.w;
  let rest = low.x + low.y + low.z + low.w - (h << 16u);
  return add64(vec2(h << 16u, h >> 16u), vec2(rest, 0u));
}

// The upper halves of words, in floats, because SwiftShader shifts lane by lane. Every step is exact.
fn upper_halves(words: vec4<u32>) -> vec4<u32> {
  return bitcast<vec4<u32>>(vec4<f32>(words & vec4(0xffff0000u)) + 549755813888.0) - vec4(0x53000000u); // 2^39, its bits
}
