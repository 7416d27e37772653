// write: what draw left of every row, in the place of every token: its logit, or its probability. Twin:
// src/reference/write.ts.

override WORKGROUP_SIZE: u32;
override OUTPUT: u32;

// What is written:
const LOGITS = 1u; // in the type of the logits; -inf for what is not kept
const PROBABILITIES = 2u; // as float32; 0 for what is not kept
const HALF_PROBABILITIES = 3u; // the same as float16

// [rows, vocabulary], from element token_first on, token_stride from row to row.
@group(2) @binding(0) var<storage, read_write> output: array<atomic<u32>>;

const LARGEST = 0x7f7fffffu; // finite float32

// Rounds to the nearest float16, ties to even. What is finite stays finite, but for the largest float32: that is +inf, which
// alone counts as so much.
fn halves_of(bits: vec4<u32>) -> vec4<u32> {
  let sign = (bits >> vec4(16u)) & vec4(0x8000u);
  let magnitude = bits & vec4(0x7fffffffu);
  // A subnormal: in units of 2^-24.
  let shift = min(vec4(126u) - min(magnitude >> vec4(23u), vec4(126u)), vec4(31u));
  let mantissa = (magnitude & vec4(0x7fffffu)) | vec4(0x800000u);
  let whole = mantissa >> shift;
  let rest = mantissa & ((vec4(1u) << shift) - vec4(1u));
  let half = vec4(1u) << (shift - vec4(1u));
  let up = (rest > half) | ((rest == half) & ((whole & vec4(1u)) == vec4(1u)));
  let subnormal = whole + select(vec4(0u), vec4(1u), up);
  let lifted = magnitude - vec4(0x38000000u);
  let normal = min((lifted + vec4(0xfffu) + ((lifted >> vec4(13u)) & vec4(1u))) >> vec4(13u), vec4(0x7bffu));
  let finite = select(normal, subnormal, magnitude < vec4(0x38800000u));
  return sign | select(finite, vec4(0x7c00u), (bits == vec4(LARGEST)) | (magnitude >= vec4(0x7f800000u)));
}

fn bfloats_of(bits: vec4<u32>) -> vec4<u32> {
  let magnitude = bits & vec4(0x7fffffffu);
  let rounded = min((magnitude + vec4(0x7fffu) + ((bits >> vec4(16u)) & vec4(1u))) >> vec4(16u), vec4(0x7f7fu));
  let infinite = (bits == vec4(LARGEST)) | (magnitude >= vec4(0x7f800000u));
  return ((bits >> vec4(16u)) & vec4(0x8000u)) | select(rounded, vec4(0x7f80u), infinite);
}

// Whether elements have 16 bits.
fn is_narrow() -> bool {
#if HALF
  return OUTPUT != PROBABILITIES;
#else
  return OUTPUT == HALF_PROBABILITIES;
#endif
}

fn narrow(bits: vec4<u32>) -> vec4<u32> {
#if BFLOAT
  if (OUTPUT == LOGITS) {
    return bfloats_of(bits);
  }
#endif
  return halves_of(bits);
}

// The nearest float32 to weight / mass, ties to even. WGSL's own quotient may be off by 2.5 units in the last place, so it is
// put right by the remainder, which is exact. A weight is part of the mass. Twin: probabilityOf in src/reference/numeric.ts.
fn probabilities_of(weights: vec4<u32>, mass: vec2<u32>) -> vec4<u32> {
  // Doubled until the quotient lies between 1 and 2.
  let bits_of_mass = select(32u - countLeadingZeros(mass.x), 64u - countLeadingZeros(mass.y), mass.y != 0u);
  let shift = vec4(bits_of_mass) + min(countLeadingZeros(weights), vec4(31u)) - vec4(32u);
  let part = weights << (shift & vec4(31u));
  let carried = (weights >> vec4(1u)) >> (vec4(31u) - (shift & vec4(31u)));
  var high = select(carried, part, shift >= vec4(32u));
  var low = select(part, vec4(0u), shift >= vec4(32u));
  let once_more = (high < vec4(mass.y)) | ((high == vec4(mass.y)) & (low < vec4(mass.x)));
  high = select(high, (high << vec4(1u)) | (low >> vec4(31u)), once_more);
  low = select(low, low << vec4(1u), once_more);
  let doublings = shift + select(vec4(0u), vec4(1u), once_more);
  // 24 digits, and the one that says which way to round.
  let divisor = f32_of(mass);
  var digits = vec4<u32>((vec4<f32>(high) * 4294967296.0 + vec4<f32>(low)) / divisor * 16777216.0);
  var rest_high: vec4<u32>; // what is left of the doubled weight times 2^24; 64 bits are enough for it
  var rest_low: vec4<u32>;
  for (var round = 0u; round < 3u; round++) {
    let product_low = digits * vec4(mass.x);
    rest_low = (low << vec4(24u)) - product_low;
    rest_high = ((high << vec4(24u)) | (low >> vec4(8u))) - high_products(digits, vec4(mass.x)) - digits * vec4(mass.y);
    rest_high -= select(vec4(0u), vec4(1u), (low << vec4(24u)) < product_low);
    var off = select(vec4(0u), vec4(1u), (rest_high > vec4(mass.y)) | ((rest_high == vec4(mass.y)) & (rest_low >= vec4(mass.x))));
    off = select(off, vec4(0xffffffffu), bitcast<vec4<i32>>(rest_high) < vec4(0i));
    if (round == 0u) {
      let rest = vec4<f32>(bitcast<vec4<i32>>(rest_high)) * 4294967296.0 + vec4<f32>(rest_low);
      off = bitcast<vec4<u32>>(vec4<i32>(floor(rest / divisor)));
    }
    digits += off;
  }
  let exact = (rest_high | rest_low) == vec4(0u);
  let up = (digits & vec4(1u)) & select(vec4(1u), (digits >> vec4(1u)) & vec4(1u), exact);
  // The leading digit is one of the exponent's.
  let quotients = ((vec4(126u) - doublings) << vec4(23u)) + (digits >> vec4(1u)) + up;
  return select(quotients, vec4(0u), weights == vec4(0u));
}

// Half of a word: the other half may be another invocation's.
fn put_half(element: u32, half: u32) {
  let shift = (element & 1u) * 16u;
  atomicAnd(&output[element >> 1u], ~(0xffffu << shift));
  atomicOr(&output[element >> 1u], half << shift);
}

// Four tokens from an id on, of which those beside the row are left out.
fn put(start: u32, first_id: u32, values: vec4<u32>) {
  var id = first_id;
  if (is_narrow()) {
    var halves = narrow(values);
    for (var lane = 0u; lane < 4u; lane++) {
      let element = start + id;
      if (id < call.vocab) {
        if ((element & 1u) == 0u && lane < 3u && id + 1u < call.vocab) {
          atomicStore(&output[element >> 1u], halves.x | (halves.y << 16u));
        } else if ((element & 1u) == 0u || lane == 0u || id == 0u) {
          put_half(element, halves.x); // else it was written with the one before it
        }
      }
      halves = halves.yzwx;
      id++;
    }
    return;
  }
  var words = values;
  for (var lane = 0u; lane < 4u; lane++) {
    if (id < call.vocab) {
      atomicStore(&output[start + id], words.x);
    }
    words = words.yzwx;
    id++;
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn write_main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let group = workgroup_id.x * WORKGROUP_SIZE + lid;
  if (group >= call.groups) {
    return;
  }
  let record = call.first_row + workgroup_id.y;
  let kept = kept_part(record);
  let half_max = logit_of_key(records[record].base_key) * 0.5;
  let mass = vec2(records[record].mass_low, records[record].mass_high);
  let row = row_of(workgroup_id.y);
  let whole = is_whole(row, group);
  let start = call.token_first + workgroup_id.y * call.token_stride;
  var fill = vec4(0u);
  if (OUTPUT == LOGITS) {
    fill = vec4(MINUS_INFINITY);
  }
  // Of most groups nothing is kept, and nobody has to look at them.
  let has_some = records[record].max_key != 0u && delegates[workgroup_id.y * call.groups + group] >= kept.upto.key;
  let looked_at = select(0u, QUADS, has_some);
  for (var j = 0u; j < looked_at; j++) {
    let quad = quad_of(group, j);
    let bits = load_quad_of(row, quad, whole);
    let ids = ids_from(id_of(row, quad));
    var values = select(bits, vec4(LARGEST), bits == vec4(0x7f800000u)); // +inf counts as the largest float
    if (OUTPUT != LOGITS) {
      var weights = exp2fix(distances(half_max, bits, records[record].draw_scale));
#if STAGES
      weights = adapted(weights, adaptive_of(record));
#endif
      values = probabilities_of(weights, mass);
    }
    put(start, ids.x, select(fill, values, in_part(keys_of(bits), ids, kept)));
  }
  for (var j = looked_at; j < QUADS; j++) {
    put(start, id_of(row, quad_of(group, j)), fill);
  }
}
