#if STAGES
// Fixed-point arithmetic for the rules that need a logarithm, a root or a quotient. Twin: src/reference/fixed.ts.

const OCTAVE = 1048576; // of distances, signed

fn shift_right(value: vec2<u32>, bits: u32) -> vec2<u32> {
  let far = bits >= 32u;
  let words = select(value, vec2(value.y, 0u), far);
  let by = bits & 31u;
  return vec2((words.x >> by) | ((words.y * 2u) << (31u - by)), words.y >> by);
}

// Place of the highest bit that is 1; the value is not 0.
fn top_bit(value: vec2<u32>) -> u32 {
  if (value.y != 0u) {
    return 63u - countLeadingZeros(value.y);
  }
  return 31u - countLeadingZeros(value.x);
}

// log2 of an integer of 1 or more, in 2^-20 octaves.
fn log2fix(value: vec2<u32>) -> i32 {
  let whole = top_bit(value);
  var mantissa = 0u;
  if (whole >= 31u) {
    mantissa = shift_right(value, whole - 31u).x;
  } else {
    mantissa = value.x << (31u - whole);
  }
  var log = whole;
  for (var bit = 0u; bit < 20u; bit++) {
    let square = mul32(mantissa, mantissa);
    let is_two = bitcast<i32>(square.y) < 0;
    mantissa = select(add64(square, square).y, square.y, is_two);
    log = log * 2u + u32(is_two);
  }
  return i32(log);
}

// floor(a · 2^bits / b), for b < 2^63 and a quotient below 2^64.
fn divide(a: vec2<u32>, bits: u32, b: vec2<u32>) -> vec2<u32> {
  var left = a;
  var rest = vec2(0u);
  var result = vec2(0u);
  for (var i = 0u; i < 64u + bits; i++) {
    rest = add64(rest, rest);
    rest.x |= u32(bitcast<i32>(left.y) < 0);
    left = add64(left, left);
    result = add64(result, result);
    if (!less64(rest, b)) {
      rest = sub64(rest, b);
      result.x |= 1u;
    }
  }
  return result;
}

// The same, at most 2^32 - 1.
fn quotient(a: vec2<u32>, bits: u32, b: vec2<u32>) -> u32 {
  let exact = divide(a, bits, b);
  return select(exact.x, 0xffffffffu, exact.y != 0u);
}

// floor(a · b / 2^bits), where that fits 32 bits.
fn product(a: u32, b: u32, bits: u32) -> u32 {
  return shift_right(mul32(a, b), bits).x;
}

// The same for a signed factor; rounds towards minus infinity.
fn signed_product(a: u32, b: i32, bits: u32) -> i32 {
  if (b >= 0) {
    return i32(product(a, u32(b), bits));
  }
  let up = add64(mul32(a, u32(-b)), vec2((1u << bits) - 1u, 0u));
  return -i32(shift_right(up, bits).x);
}

// floor(sqrt(value)).
fn square_root(value: vec2<u32>) -> u32 {
  var root = 0u;
  for (var bit = 0x80000000u; bit != 0u; bit >>= 1u) {
    if (!less64(value, mul32(root | bit, root | bit))) {
      root |= bit;
    }
  }
  return root;
}
#endif
