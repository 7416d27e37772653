// Where processed logits lie, one row of the dispatch after the other. A row has places for its tokens as they lie in
// quads: the token in lane 0 of the row's first quad has place 0, and the row's first token has place `lead`.
//   [words of 32 places] of (touched, banned): two bits for every place
//   [places]: the processed logit's bits, where the place is touched; nothing is read or written elsewhere
// Before that the word of a touched place holds what `count` found out. Twin: src/reference/marks.ts.

fn mark_words() -> u32 {
  return (call.vocab + 34u) / 32u; // a row may begin up to three places into its first quad
}

// Words of a row.
fn overlay_stride() -> u32 {
  return mark_words() * 34u;
}
