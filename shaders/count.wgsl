// count: looks through every row's lists and its history, and marks the tokens they speak of. Many invocations share a
// row, and each takes every so-many-th entry; marks are set by atomics, and come out the same in any order.
// Twin: src/reference/count.ts.

override WORKGROUP_SIZE: u32;

var<private> marks: u32; // where the row's begin in the overlay
var<private> lead: u32;

fn touch(id: u32) {
  let place = id + lead;
  atomicOr(&overlay[marks + (place >> 5u) * 2u], 1u << (place & 31u));
}

fn ban(id: u32) {
  let place = id + lead;
  atomicOr(&overlay[marks + (place >> 5u) * 2u + 1u], 1u << (place & 31u));
}

fn word_of(id: u32) -> u32 {
  return marks + mark_words() * 2u + id + lead;
}

// Raises the length of the longest repeat that a token would go on with.
fn raise_repeat(id: u32, length: u32) {
  let at = word_of(id);
  var old = atomicLoad(&overlay[at]);
  while (old >> REPEAT_SHIFT < length) {
    let raised = (old & (2u * SEEN - 1u)) | (length << REPEAT_SHIFT);
    let result = atomicCompareExchangeWeak(&overlay[at], old, raised);
    if (result.exchanged) {
      break;
    }
    old = result.old_value;
  }
}

// Breakers come in ascending order.
fn is_breaker(control: Control, token: u32) -> bool {
  var low = 0u;
  var high = control.breakers.y;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (controls[control.breakers.x + middle] < token) {
      low = middle + 1u;
    } else {
      high = middle;
    }
  }
  return low < control.breakers.y && controls[control.breakers.x + low] == token;
}

var<workgroup> nearest_breaker: atomic<u32>; // from the row's end

// How many of the row's last tokens have no breaker among them, exactly up to `most`. All invocations call it.
fn unbroken_run(control: Control, row: HistoryRow, most: u32, lid: u32) -> u32 {
  if (lid == 0u) {
    atomicStore(&nearest_breaker, row.length);
  }
  workgroupBarrier();
  for (var i = lid; i < min(most, row.length); i += WORKGROUP_SIZE) {
    if (is_breaker(control, history[place_of(row, row.length - 1u - i)])) {
      atomicMin(&nearest_breaker, i);
      break;
    }
  }
  workgroupBarrier();
  return atomicLoad(&nearest_breaker);
}

// How far the tokens in front of the i-th are also the row's last ones.
fn run_before(row: HistoryRow, i: u32, most: u32) -> u32 {
  var same = 0u;
  while (same < most && history[place_of(row, i - 1u - same)] == history[place_of(row, row.length - 1u - same)]) {
    same++;
  }
  return same;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn count_main(
  @builtin(workgroup_id) workgroup_id: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) lid: u32,
) {
  let index = workgroup_id.y;
  let control = control_of(index);
  let said = history_row(call.first_row + index, controls[0]);
  let start = workgroup_id.x * WORKGROUP_SIZE + lid;
  let stride = workgroups.x * WORKGROUP_SIZE;
  marks = index * overlay_stride();
  lead = row_of(index).lead;
  let longest = select(0u, control.dry_allowed + control.dry.y - 1u, (control.flags & DRY) != 0u);
  let unbroken = unbroken_run(control, said, longest, lid);

  for (var i = start; i < control.bias.y; i += stride) {
    touch(controls[control.bias.x + i]);
  }
  for (var i = start; i < control.suppressed.y; i += stride) {
    ban(controls[control.suppressed.x + i]);
  }
  if (said.outputs < control.min_tokens) {
    for (var i = start; i < control.stops.y; i += stride) {
      ban(controls[control.stops.x + i]);
    }
  }
  for (var i = start; i < control.bad_words.y; i += stride) {
    let word = controls[control.bad_words.x + i];
    let before = controls[word] - 1u;
    if (before > said.length) {
      continue;
    }
    var same = 0u;
    while (same < before && history[place_of(said, said.length - before + same)] == controls[word + 1u + same]) {
      same++;
    }
    if (same == before) {
      ban(controls[word + 1u + before]);
    }
  }

  if ((control.flags & PENALTIES) != 0u) {
    for (var i = said.length - min(control.window, said.length) + start; i < said.length; i += stride) {
      let id = history[place_of(said, i)];
      touch(id);
      atomicOr(&overlay[word_of(id)], SEEN);
      if (i >= said.prompt) {
        atomicAdd(&overlay[word_of(id)], 1u);
      }
    }
  }
  if (control.ngram != 0u) {
    let run = control.ngram - 1u;
    for (var i = run + start; i < said.length; i += stride) {
      if (run_before(said, i, run) == run) {
        ban(history[place_of(said, i)]);
      }
    }
  }
  if ((control.flags & DRY) != 0u) {
    let first = said.length - min(control.dry_window, said.length);
    for (var i = first + 1u + start; i < said.length; i += stride) {
      let same = run_before(said, i, min(min(longest, i - first), unbroken));
      let id = history[place_of(said, i)];
      if (same >= control.dry_allowed && !is_breaker(control, id)) {
        touch(id);
        raise_repeat(id, same);
      }
    }
  }
}
