// write: what draw left of every row, in the place of every token: its logit, or its probability. Twin:
// src/reference/write.ts.

override WORKGROUP_SIZE: u32;

const LOGITS = 1u; // in the type of the logits; -inf for what is not kept
const PROBABILITIES = 2u; // as float32; 0 for what is not kept
const HALF_PROBABILITIES = 3u; // the same as float16

// [rows, vocabulary], from element token_first on, token_stride from row to row.
@group(2) @binding(0) var<storage, read_write> output: array<atomic<u32>>;

const LARGEST = 0x7f7fffffu; // finite float32

// Rounds to the nearest float16, ties to even. What is finite stays finite, but for the largest float32: that is +inf, which
// alone counts as so much.
fn half_of(bits: u32) -> u32 {
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (bits == LARGEST || magnitude >= 0x7f800000u) {
    return sign | 0x7c00u;
  }
  if (magnitude < 0x38800000u) {
    // A subnormal: in units of 2^-24.
    let shift = min(126u - min(magnitude >> 23u, 126u), 31u);
    let mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    let whole = mantissa >> shift;
    let rest = mantissa & ((1u << shift) - 1u);
    let half = 1u << (shift - 1u);
    return sign | (whole + select(0u, 1u, rest > half || (rest == half && (whole & 1u) == 1u)));
  }
  let lifted = magnitude - 0x38000000u;
  return sign | min((lifted + 0xfffu + ((lifted >> 13u) & 1u)) >> 13u, 0x7bffu);
}

fn bfloat_of(bits: u32) -> u32 {
  if (bits == LARGEST || (bits & 0x7fffffffu) >= 0x7f800000u) {
    return ((bits >> 16u) & 0x8000u) | 0x7f80u;
  }
  let rounded = (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
  return (rounded & 0x8000u) | min(rounded & 0x7fffu, 0x7f7fu);
}

fn narrow(bits: u32) -> u32 {
#if BFLOAT
  if (call.output == LOGITS) {
    return bfloat_of(bits);
  }
#endif
  return half_of(bits);
}

// The nearest float32 to weight / mass, ties to even, by long division: WGSL's own may be off by 2.5 units in the last
// place. The weight is part of the mass. Twin: probabilityOf in src/reference/numeric.ts.
fn probability_of(weight: u32, mass: vec2<u32>) -> u32 {
  if (weight == 0u) {
    return 0u;
  }
  // Doubled until the quotient lies between 1 and 2.
  let bits_of_mass = select(32u - countLeadingZeros(mass.x), 64u - countLeadingZeros(mass.y), mass.y != 0u);
  var doublings = bits_of_mass + countLeadingZeros(weight) - 32u;
  var rest = mul32(weight, 1u << (doublings & 31u));
  if (doublings >= 32u) {
    rest = vec2(0u, rest.x);
  }
  if (less64(rest, mass)) {
    rest = add64(rest, rest);
    doublings++;
  }
  var digits = 0u; // 24, and the one that says which way to round
  for (var i = 0u; i < 25u; i++) {
    digits <<= 1u;
    if (!less64(rest, mass)) {
      rest = sub64(rest, mass);
      digits |= 1u;
    }
    rest = add64(rest, rest);
  }
  let above = any(rest != vec2(0u)) || (digits & 2u) != 0u;
  let up = select(0u, digits & 1u, above);
  // The leading digit is one of the exponent's.
  return ((126u - doublings) << 23u) + (digits >> 1u) + up;
}

// Half of a word: the other half may be another invocation's.
fn put_half(element: u32, bits: u32) {
  let shift = (element & 1u) * 16u;
  atomicAnd(&output[element >> 1u], ~(0xffffu << shift));
  atomicOr(&output[element >> 1u], narrow(bits) << shift);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn write_main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let group = workgroup_id.x * WORKGROUP_SIZE + lid;
  if (group >= call.groups) {
    return;
  }
  let record = call.first_row + workgroup_id.y;
  let empty = records[record].max_key == 0u;
  let kept = kept_part(record);
  let half_max = logit_of_key(records[record].base_key) * 0.5;
  let mass = vec2(records[record].mass_low, records[record].mass_high);
  let row = row_of(workgroup_id.y);
  let start = call.token_first + workgroup_id.y * call.token_stride;
#if HALF
  let narrow_output = call.output != PROBABILITIES;
#else
  let narrow_output = call.output == HALF_PROBABILITIES;
#endif
  for (var j = 0u; j < QUADS; j++) {
    let quad = quad_of(group, j);
    let bits = load_quad(row, quad);
    let ids = ids_from(id_of(row, quad));
    let are_kept = in_part(keys_of(bits), ids, kept) & vec4(!empty);
    let finite = select(bits, vec4(LARGEST), bits == vec4(0x7f800000u)); // +inf counts as the largest float
    var values = select(vec4(MINUS_INFINITY), finite, are_kept);
    if (call.output != LOGITS) {
      var weights = exp2fix(distances(half_max, bits, records[record].draw_scale));
#if STAGES
      weights = adapted(weights, adaptive_of(record));
#endif
      for (var lane = 0u; lane < 4u; lane++) {
        values[lane] = 0u;
        if (are_kept[lane]) {
          values[lane] = probability_of(weights[lane], mass);
        }
      }
    }
    for (var lane = 0u; lane < 4u; lane++) {
      let id = ids[lane];
      if (id >= call.vocab) {
        continue;
      }
      let element = start + id;
      if (!narrow_output) {
        atomicStore(&output[element], values[lane]);
      } else if ((element & 1u) == 0u && lane < 3u && id + 1u < call.vocab) {
        atomicStore(&output[element >> 1u], narrow(values[lane]) | (narrow(values[lane + 1u]) << 16u));
      } else if ((element & 1u) == 0u || lane == 0u || id == 0u) {
        put_half(element, values[lane]); // else it was written with the one before it
      }
    }
  }
}
