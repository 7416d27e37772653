// Reads logits where they lie, four consecutive tokens (a quad) at a time, whatever their type and alignment.
// Quads are aligned in the buffer, not in the row, so a row's first and last quad may hold tokens of its neighbours:
// those read as -inf.

#if HALF
alias Quad = vec2<u32>;
#else
alias Quad = vec4<u32>;
#endif

override LANES: u32; // groups whose quads alternate in memory: 1 on a CPU, more where neighbours should load together
override QUADS: u32; // quads of a group

// Logarithms of the two. Who divides by a power of two that it does not know to be one, as SwiftShader does, takes long.
override LANE_BITS: u32 = firstTrailingBit(LANES);
override QUAD_BITS: u32 = firstTrailingBit(QUADS);

// Signed integers in the order of unsigned ones: a CPU compares those in one instruction, these in seven.
fn ordered(integers: vec4<u32>) -> vec4<i32> {
  return bitcast<vec4<i32>>(integers ^ vec4(0x80000000u));
}

const MINUS_INFINITY = 0xff800000u;

struct Row {
  first_quad: u32,
  lead: u32, // tokens of the first quad that lie before the row
#if PROCESSED
  marks: u32, // where the row begins in the overlay
#endif
}

// Element of a row's first logit.
fn start_of(index: u32) -> u32 {
#if STAGES
  return call.plans[index].first;
#else
  return call.plans[index * call.plan_stride].first;
#endif
}

fn row_of(index: u32) -> Row {
  let first = start_of(index);
#if PROCESSED
  return Row(first >> 2u, first & 3u, index * overlay_stride());
#else
  return Row(first >> 2u, first & 3u);
#endif
}

// The tile of a group: LANES groups that follow each other in the row, with nothing between them.
fn tile_of(group: u32) -> u32 {
  if (LANES == 1u) {
    return group;
  }
  return group >> LANE_BITS;
}

// The j-th quad of a group.
fn quad_of(group: u32, j: u32) -> u32 {
  return (tile_of(group) * QUADS + j) * LANES + (group & (LANES - 1u));
}

// Token id of a quad's first lane. Wraps below zero in front of the row: compare unsigned.
fn id_of(row: Row, quad: u32) -> u32 {
  return quad * 4u - row.lead;
}

#if HALF
fn unpack(quad: Quad) -> vec4<u32> {
  return widen(vec4(quad.x & 0xffffu, quad.x >> 16u, quad.y & 0xffffu, quad.y >> 16u));
}

#if PROCESSED
#else
fn load_words(quad: u32) -> Quad {
  return Quad(logit_words[quad * 2u], logit_words[quad * 2u + 1u]);
}

fn load_word(element: u32) -> u32 {
  return widen(vec4((logit_words[element >> 1u] >> ((element & 1u) * 16u)) & 0xffffu)).x;
}
#endif
#if BFLOAT
fn widen(half: vec4<u32>) -> vec4<u32> {
  return half * 65536u;
}
#else
fn widen(half: vec4<u32>) -> vec4<u32> {
  let magnitude = half & vec4(0x7fffu);
  var bits = magnitude * 8192u + 0x38000000u;
  bits += select(vec4(0u), vec4(0x38000000u), magnitude >= vec4(0x7c00u)); // inf, NaN
  // Subnormals are normal as float32, and the product is exact.
  let subnormal = bitcast<vec4<u32>>(vec4<f32>(magnitude) * 5.9604644775390625e-8);
  return select(bits, subnormal, magnitude < vec4(0x400u)) | ((half & vec4(0x8000u)) * 65536u);
}
#endif
#else
fn unpack(quad: Quad) -> vec4<u32> {
  return quad;
}

#if PROCESSED
#else
fn load_words(quad: u32) -> Quad {
  let at = quad * 4u;
  return Quad(logit_words[at], logit_words[at + 1u], logit_words[at + 2u], logit_words[at + 3u]);
}

fn load_word(element: u32) -> u32 {
  return logit_words[element];
}
#endif
#endif

// Whether every token of a group is one of the row and as the model gave it, so that nobody has to look at each quad.
fn is_whole(row: Row, group: u32) -> bool {
  let last = id_of(row, quad_of(group, QUADS - 1u));
  let inside = id_of(row, quad_of(group, 0u)) < call.vocab && last < call.vocab && call.vocab - last >= 4u;
#if PROCESSED
  var marks = 0u;
  if (inside) {
    // Eight quads share the words of their marks.
    for (var j = 0u; j < QUADS; j += max(1u, 8u / LANES)) {
      let at = row.marks + (quad_of(group, j) >> 3u) * 2u;
      marks |= overlay[at] | overlay[at + 1u];
    }
  }
  return inside && marks == 0u;
#else
  return inside;
#endif
}

#if PROCESSED
// The float32 bits of four consecutive tokens as processed: from the overlay where they are touched, -inf where they are
// banned, as places beside the row are, else as the model gave them. What no whole quad covers is touched.
fn load_quad(row: Row, quad: u32) -> vec4<u32> {
  if (quad >= mark_words() * 8u) {
    return vec4(MINUS_INFINITY);
  }
  let at = row.marks + (quad >> 3u) * 2u;
  let shift = (quad & 7u) * 4u;
  let touched = (overlay[at] >> shift) & 15u;
  let banned = (overlay[at + 1u] >> shift) & 15u;
  let lanes = vec4(1u, 2u, 4u, 8u);
  var bits = unpack(logits[row.first_quad + quad]);
  if (touched != 0u) {
    let place = row.marks + mark_words() * 2u + quad * 4u;
    let values = vec4(overlay[place], overlay[place + 1u], overlay[place + 2u], overlay[place + 3u]);
    bits = select(bits, values, (vec4(touched) & lanes) != vec4(0u));
  }
  return select(bits, vec4(MINUS_INFINITY), (vec4(banned) & lanes) != vec4(0u));
}
#else
// The same where the quad may reach out of the row. Words beside it may not be there at all; WebGPU then loads others.
fn load_quad(row: Row, quad: u32) -> vec4<u32> {
  return in_row(row, quad, unpack(load_words(row.first_quad + quad)));
}

fn in_row(row: Row, quad: u32, bits: vec4<u32>) -> vec4<u32> {
  let ids = ordered(vec4(id_of(row, quad))) + vec4(0, 1, 2, 3);
  return select(vec4(MINUS_INFINITY), bits, ids < ordered(vec4(call.vocab)));
}
#endif

// Place in the row of the j-th token of a group; the row's first quad begins at 0.
fn place_of_token(first_quad: u32, j: u32) -> u32 {
  return first_quad * 4u + (j & 0xfffffffcu) * LANES + (j & 3u);
}

// The token at a place. SwiftShader goes through every loop once, even for nobody: what only groups at the ends of rows need is
// cheaper token by token.
fn load_token(row: Row, place: u32) -> u32 {
#if PROCESSED
  return load_quad(row, place >> 2u)[place & 3u];
#else
  let bits = load_word(row.first_quad * 4u + place);
  return select(MINUS_INFINITY, bits, place - row.lead < call.vocab);
#endif
}

// A quad as load_quad() has it; `whole` if nobody has to look at the quad, see is_whole.
fn load_quad_of(row: Row, quad: u32, whole: bool) -> vec4<u32> {
  if (whole) {
    return unpack(logits[row.first_quad + quad]);
  }
  return load_quad(row, quad);
}
