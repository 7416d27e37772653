// float32 arithmetic by integers: sums, products and quotients of IEEE 754, rounded to the nearest, ties to even, with
// subnormals. WGSL may fuse, flush, and divide within 2.5 units in the last place; this may not. Only touched logits are
// ever computed with, so it costs next to nothing. Infinite operands count as the largest finite float, and so do results
// that are too large. No operand is NaN. Twin: `rounded` in src/reference/process.ts.

const SIGN = 0x80000000u;
const LARGEST_FINITE = 0x7f7fffffu;

// mantissa · 2^exponent
struct Parts {
  mantissa: u32,
  exponent: i32,
}

fn parts_of(bits: u32) -> Parts {
  let magnitude = min(bits & 0x7fffffffu, LARGEST_FINITE);
  if (magnitude < 0x800000u) {
    return Parts(magnitude, -149);
  }
  return Parts((magnitude & 0x7fffffu) | 0x800000u, i32(magnitude >> 23u) - 150);
}

// The same with 24 bits in the mantissa, which must not be 0.
fn normalized(parts: Parts) -> Parts {
  let shift = countLeadingZeros(parts.mantissa) - 8u;
  return Parts(parts.mantissa << shift, parts.exponent - i32(shift));
}

// The float nearest to a magnitude, which must not be 0. The lowest bit of the mantissa stands for everything below it.
fn round_float(sign: u32, mantissa: u32, exponent: i32) -> u32 {
  let lead = countLeadingZeros(mantissa);
  var m = mantissa << lead;
  let e = exponent - i32(lead) + 158; // as in the float's bits
  if (e >= 255) {
    return sign | LARGEST_FINITE;
  }
  var shift = 8u;
  if (e < 1) {
    shift = u32(min(9 - e, 62));
  }
  if (shift > 31u) {
    let lost = min(shift - 31u, 31u);
    m = (m >> lost) | select(0u, 1u, (m << (32u - lost)) != 0u);
    shift = 31u;
  }
  let rest = m & ((1u << shift) - 1u);
  let half = 1u << (shift - 1u);
  var kept = m >> shift;
  if (rest > half || (rest == half && (kept & 1u) == 1u)) {
    kept++;
  }
  // A carry out of the mantissa raises the exponent, as it should.
  return sign | min(kept + (u32(max(e, 1) - 1) << 23u), LARGEST_FINITE);
}

fn float_add(a: u32, b: u32) -> u32 {
  var large = parts_of(a);
  var small = parts_of(b);
  var sign = a & SIGN;
  var other = b & SIGN;
  if (small.exponent > large.exponent || (small.exponent == large.exponent && small.mantissa > large.mantissa)) {
    let swapped = large;
    large = small;
    small = swapped;
    sign = b & SIGN;
    other = a & SIGN;
  }
  if (large.mantissa == 0u) {
    return sign & other;
  }
  // Six bits more than the mantissa has, the last one for all that is shifted out.
  let distance = min(u32(large.exponent - small.exponent), 31u);
  let full = small.mantissa << 6u;
  var aligned = full >> distance;
  if ((aligned << distance) != full) {
    aligned |= 1u;
  }
  var sum = (large.mantissa << 6u) + aligned;
  if (sign != other) {
    sum = (large.mantissa << 6u) - aligned;
  }
  if (sum == 0u) {
    return 0u;
  }
  return round_float(sign, sum, large.exponent - 6);
}

fn float_multiply(a: u32, b: u32) -> u32 {
  let sign = (a ^ b) & SIGN;
  if ((a & 0x7fffffffu) == 0u || (b & 0x7fffffffu) == 0u) {
    return sign;
  }
  let x = normalized(parts_of(a));
  let y = normalized(parts_of(b));
  let product = mul32(x.mantissa, y.mantissa); // 47 or 48 bits
  let mantissa = (product.y << 16u) | (product.x >> 16u) | select(0u, 1u, (product.x & 0xffffu) != 0u);
  return round_float(sign, mantissa, x.exponent + y.exponent + 16);
}

// b must not be 0.
fn float_divide(a: u32, b: u32) -> u32 {
  let sign = (a ^ b) & SIGN;
  if ((a & 0x7fffffffu) == 0u) {
    return sign;
  }
  let x = normalized(parts_of(a));
  let y = normalized(parts_of(b));
  var rest = x.mantissa;
  var quotient = 0u;
  for (var i = 0u; i < 28u; i++) {
    quotient <<= 1u;
    if (rest >= y.mantissa) {
      rest -= y.mantissa;
      quotient |= 1u;
    }
    rest <<= 1u;
  }
  let mantissa = (quotient << 1u) | select(0u, 1u, rest != 0u);
  return round_float(sign, mantissa, x.exponent - y.exponent - 28);
}
