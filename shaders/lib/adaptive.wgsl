#if STAGES
// Adaptive-p. Twin: adaptiveDistance in src/reference/stages.ts.

struct Adaptive {
  aim: u32, // the probability that is preferred, in 2^-31
  unit: u32, // 2^63 / mass; 0 where adaptive-p does not run
  nearest: u32, // distance of the token that is nearest to it
}

// 10·d²/(1+d) as a distance, where d is how far a weight's probability is from the target, in units of 0.3.
fn adaptive_distance(weight: u32, adaptive_p: Adaptive) -> u32 {
  let probability = mul32(weight, adaptive_p.unit).y;
  let off = max(probability, adaptive_p.aim) - min(probability, adaptive_p.aim);
  let d = product(off, 54613u, 31u); // in 2^-14
  return (d * d / (16384u + d)) * 59093u / 64u;
}

// Weights by how near a probability is to the target; the nearest has the largest.
fn adapted(weights: vec4<u32>, adaptive_p: Adaptive) -> vec4<u32> {
  if (adaptive_p.unit == 0u) {
    return weights;
  }
  var away: vec4<u32>;
  for (var lane = 0u; lane < 4u; lane++) {
    away[lane] = min(adaptive_distance(weights[lane], adaptive_p) - adaptive_p.nearest, MAX_DISTANCE);
  }
  return exp2fix(away);
}
#endif
