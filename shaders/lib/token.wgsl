// Where a draw begins and ends: the row's counter, its record, its token.

@group(2) @binding(0) var<storage, read_write> tokens: array<u32>;

// Sets what every invocation knows of its row, and returns the row's largest key; 0 if there is no candidate.
fn begin(row_index: u32, invocation: u32) -> u32 {
  lid = invocation;
  enter_row(row_index);
  let max_key = uniform_word(atomicLoad(&records[call.first_row + row_index].rising_key));
  half_max = logit_of_key(max_key) * 0.5;
  return max_key;
}

// The number of the row's random stream.
fn position_of(record: u32, plan: Plan) -> vec2<u32> {
  var position = vec2(records[record].position_low, records[record].position_high);
  if ((plan.flags & FLAG_POSITION) != 0u) {
    position = plan.position;
  }
  storageBarrier(); // all have read it before it moves on
  return position;
}

fn put_token(place: u32, token: u32) {
  let word = call.token_first + place * call.token_stride;
  tokens[word] = token;
  if (call.token_stride == 2u) {
    tokens[word + 1u] = 0u;
  }
}

// Writes down what was drawn, and moves the row's counter on, whatever came of the row.
fn finish(
  row_index: u32,
  status: u32,
  kept: Part,
  base_key: u32,
  draw_scale: f32,
  max_key: u32,
  position: vec2<u32>,
) {
  workgroupBarrier();
  if (lid == 0u) {
    let record = call.first_row + row_index;
    records[record].token = drawn.token;
    records[record].status = status;
    records[record].weight = drawn.weight;
    records[record].mass_low = drawn.mass.x;
    records[record].mass_high = drawn.mass.y;
    records[record].cut_key = kept.upto.key;
    records[record].cut_id = kept.upto.id;
    records[record].max_key = max_key;
    records[record].after_key = kept.after.key;
    records[record].after_id = kept.after.id;
    records[record].base_key = base_key;
    records[record].draw_scale = draw_scale;
    put_token(row_index * call.draws, drawn.token);
    let next = add64(position, vec2(1u, 0u));
    records[record].position_low = next.x;
    records[record].position_high = next.y;
    atomicStore(&records[record].rising_key, 0u);
  }
}
