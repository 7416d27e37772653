// Philox4x32-10 (Salmon et al., SC 2011). Twin: src/reference/philox.ts.

const PURPOSE_DRAW = 0u;
const PURPOSE_XTC = 1u;

fn philox4x32(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
  var x = counter;
  var k = key;
  for (var round = 0u; round < 10u; round++) {
    let p0 = mul32(0xd2511f53u, x.x);
    let p1 = mul32(0xcd9e8d57u, x.z);
    x = vec4(p1.y ^ x.y ^ k.x, p1.x, p0.y ^ x.w ^ k.y, p0.x);
    k += vec2(0x9e3779b9u, 0xbb67ae85u);
  }
  return x;
}

// The uniform 64-bit integer of one token draw, as (low, high); draws of a row are numbered from 0.
fn uniform_of(seed: vec2<u32>, position: vec2<u32>, number: u32) -> vec2<u32> {
  return philox4x32(vec4(position, number, PURPOSE_DRAW), seed).yx;
}
