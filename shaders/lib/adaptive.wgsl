#if STAGES
// Adaptive-p. Twin: adaptiveDistance in src/reference/stages.ts.

struct Adaptive {
  aim: u32, // the probability that is preferred, in 2^-31
  unit: u32, // 2^63 / mass; 0 where adaptive-p does not run
}

// Weights by how near a probability is to the target: those of logits of -10·d²/(1+d), d in units of 0.3.
fn adapted(weights: vec4<u32>, adaptive_p: Adaptive) -> vec4<u32> {
  if (adaptive_p.unit == 0u) {
    return weights;
  }
  var away: vec4<u32>;
  for (var lane = 0u; lane < 4u; lane++) {
    let probability = mul32(weights[lane], adaptive_p.unit).y;
    let off = max(probability, adaptive_p.aim) - min(probability, adaptive_p.aim);
    let d = product(off, 54613u, 31u); // in 2^-14
    away[lane] = min((d * d / (16384u + d)) * 59093u / 64u, MAX_DISTANCE);
  }
  return exp2fix(away);
}
#endif
