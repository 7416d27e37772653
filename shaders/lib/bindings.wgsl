// What max, mass, draw and list have in common, declared once. Group 0 is the caller's, group 1 the sampler's.

@group(0) @binding(0) var<storage, read> logits: array<Quad>;
#if PROCESSED
@group(0) @binding(1) var<storage, read> overlay: array<u32>; // see overlay.wgsl
#else
@group(0) @binding(1) var<storage, read> logit_words: array<u32>; // the same buffer, for what no whole quad covers
#endif
@group(1) @binding(0) var<storage, read> call: Call;
@group(1) @binding(1) var<storage, read_write> delegates: array<u32>; // [rows, groups]
@group(1) @binding(2) var<storage, read_write> masses: array<vec2<u32>>; // [rows, 2, groups]: masses, and marks (see band.wgsl)
@group(1) @binding(3) var<storage, read_write> records: array<RowRecord>; // [batch]

#if STAGES
fn adaptive_of(record: u32) -> Adaptive {
  return Adaptive(records[record].adaptive_aim, records[record].adaptive_unit, records[record].adaptive_nearest);
}

#endif
// What the last draw kept of a row.
fn kept_part(record: u32) -> Part {
  let after = Cut(records[record].after_key, records[record].after_id);
  return Part(after, Cut(records[record].cut_key, records[record].cut_id));
}
