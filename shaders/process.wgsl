// process: turns marked logits into processed ones. Each invocation has 32 places of a row: it settles their marks, and
// computes the logits of those that are touched. Twin: src/reference/process.ts.

override WORKGROUP_SIZE: u32;

// 32 bits of a mask, from the place's token on. Tokens begin `lead` places into the row.
fn mask_at(first: u32, word: u32, lead: u32) -> u32 {
  let words = (call.vocab + 31u) / 32u;
  var bits = 0u;
  if (word < words) {
    bits = controls[first + word] << lead;
  }
  if (lead != 0u && word != 0u) {
    bits |= controls[first + word - 1u] >> (32u - lead);
  }
  return bits;
}

// 32 bits with ones for places from `first` on.
fn places_from(first: u32, word: u32) -> u32 {
  let begin = word * 32u;
  if (first <= begin) {
    return 0xffffffffu;
  }
  if (first - begin >= 32u) {
    return 0u;
  }
  return 0xffffffffu << (first - begin);
}

// The float bits that are added to a token's logit, or NONE.
fn bias_of(control: Control, id: u32) -> u32 {
  var low = 0u;
  var high = control.bias.y;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (controls[control.bias.x + middle] < id) {
      low = middle + 1u;
    } else {
      high = middle;
    }
  }
  if (low < control.bias.y && controls[control.bias.x + low] == id) {
    return controls[control.bias.x + control.bias.y + low];
  }
  return NONE;
}

fn repeated(z: u32, word: u32, control: Control) -> u32 {
  if ((control.flags & REPETITION) == 0u || (word & SEEN) == 0u) {
    return z;
  }
  if (z != 0u && z < SIGN) {
    return float_divide(z, control.repetition);
  }
  return float_multiply(z, control.repetition);
}

// One touched logit: bias, then penalties, then DRY; each step is one operation.
fn adjust(bits: u32, id: u32, word: u32, control: Control) -> u32 {
  if ((bits & 0x7fffffffu) > 0x7f800000u || bits == MINUS_INFINITY) {
    return bits;
  }
  var z = bits;
  let bias = bias_of(control, id);
  if (bias != NONE) {
    z = float_add(z, bias);
  }
  if ((control.flags & ADDITIVE_FIRST) == 0u) {
    z = repeated(z, word, control);
  }
  let times = word & (SEEN - 1u);
  if (times != 0u) {
    if ((control.flags & FREQUENCY) != 0u) {
      z = float_add(z, float_multiply(control.frequency, round_float(0u, times, 0)) ^ SIGN);
    }
    if ((control.flags & PRESENCE) != 0u) {
      z = float_add(z, control.presence ^ SIGN);
    }
  }
  if ((control.flags & ADDITIVE_FIRST) != 0u) {
    z = repeated(z, word, control);
  }
  let repeat = word >> REPEAT_SHIFT;
  if (repeat != 0u) {
    let step = min(repeat - control.dry_allowed, control.dry.y - 1u);
    z = float_add(z, controls[control.dry.x + step] ^ SIGN);
  }
  return z;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn process_main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let word = workgroup_id.x * WORKGROUP_SIZE + lid;
  if (word >= mark_words()) {
    return;
  }
  let index = workgroup_id.y;
  let control = control_of(index);
  let row = row_of(index);
  let marks = index * overlay_stride() + word * 2u;
  let places = index * overlay_stride() + mark_words() * 2u + word * 32u;
  let end = row.lead + call.vocab;

  // Tokens of a last quad that is not full: there may be no such quad to read.
  var touched = atomicLoad(&overlay[marks]) | (places_from(end & ~3u, word) & ~places_from(end, word));
  // Places beside the row hold nothing that could be drawn.
  var banned = atomicLoad(&overlay[marks + 1u]) | ~places_from(row.lead, word) | places_from(end, word);
  if (control.allowed != NONE) {
    banned |= ~mask_at(control.allowed, word, row.lead);
  }
  if (control.banned != NONE) {
    banned |= mask_at(control.banned, word, row.lead);
  }
  if (control.forced != NONE) {
    let forced = places_from(control.forced + row.lead, word) & ~places_from(control.forced + row.lead + 1u, word);
    touched |= forced;
    banned |= ~forced;
  }
  atomicStore(&overlay[marks], touched);
  atomicStore(&overlay[marks + 1u], banned);

  for (var bits = touched; bits != 0u; bits &= bits - 1u) {
    let place = firstTrailingBit(bits);
    let id = word * 32u + place - row.lead;
    var z = 0u;
    if (id != control.forced) {
      let raw = load_word(start_of(index) + id);
      z = adjust(raw, id, atomicLoad(&overlay[places + place]), control);
    }
    atomicStore(&overlay[places + place], z);
  }
}
