// What a workgroup does together: running sums over its invocations, bins and weights, the place where a sum reaches a target,
// and sorting what is written down.

// A value that invocation 0 knows, handed to all as a uniform one.
fn uniform_word(value: u32) -> u32 {
  if (lid == 0u) {
    shared_word = value;
  }
  return workgroupUniformLoad(&shared_word);
}

fn uniform_bool(value: bool) -> bool {
  return uniform_word(select(0u, 1u, value)) == 1u;
}

fn reset_counter() {
  workgroupBarrier();
  if (lid == 0u) {
    atomicStore(&counter, 0u);
  }
  workgroupBarrier();
}

// Running sums over the invocations. Returns the total, the same for all of them.
fn scan(amount: vec2<u32>) -> vec2<u32> {
  workgroupBarrier();
  partial[lid] = amount;
  if (lid == 0u) {
    found = Found(NOWHERE, vec2(0u));
  }
  var sum = amount;
  for (var reach = 1u; reach < WORKGROUP_SIZE; reach <<= 1u) {
    workgroupBarrier();
    if (lid >= reach) {
      sum = add64(sum, partial[lid - reach]);
    }
    workgroupBarrier();
    partial[lid] = sum;
  }
  mine = amount;
  before_mine = sub64(sum, amount);
  return workgroupUniformLoad(&partial[WORKGROUP_SIZE - 1u]);
}

// After scan(): whether the running sum reaches the target (1 or more) inside this invocation's own amount.
fn is_mine(target_sum: vec2<u32>) -> bool {
  return less64(before_mine, target_sum) && !less64(add64(before_mine, mine), target_sum);
}

fn clear_bins() {
  workgroupBarrier();
  for (var i = lid; i < BINS * 2u; i += WORKGROUP_SIZE) {
    atomicStore(&bins[i], 0u);
  }
  workgroupBarrier();
}

fn add_to_bin(bin: u32, amount: vec2<u32>) {
  let old = atomicAdd(&bins[bin * 2u], amount.x);
  let high = amount.y + select(0u, 1u, old + amount.x < old);
  if (high != 0u) {
    atomicAdd(&bins[bin * 2u + 1u], high);
  }
}

fn bin_amount(bin: u32) -> vec2<u32> {
  return vec2(atomicLoad(&bins[bin * 2u]), atomicLoad(&bins[bin * 2u + 1u]));
}

// Running sums over the bins, of which every invocation has a run. Returns the total.
fn scan_bins() -> vec2<u32> {
  workgroupBarrier();
  let run = (BINS + WORKGROUP_SIZE - 1u) / WORKGROUP_SIZE;
  var amount = vec2(0u);
  for (var i = lid * run; i < min((lid + 1u) * run, BINS); i++) {
    amount = add64(amount, bin_amount(i));
  }
  return scan(amount);
}

// Between two claims after one scan.
fn forget_found() {
  if (lid == 0u) {
    found = Found(NOWHERE, vec2(0u));
  }
  workgroupBarrier();
}

// After scan_bins(): the first bin where the running sum reaches the target (1 or more).
fn claim_bin(target_sum: vec2<u32>) -> Found {
  if (is_mine(target_sum)) {
    var before = before_mine;
    var bin = lid * ((BINS + WORKGROUP_SIZE - 1u) / WORKGROUP_SIZE);
    loop {
      let after = add64(before, bin_amount(bin));
      if (!less64(after, target_sum)) {
        break;
      }
      before = after;
      bin++;
    }
    found = Found(bin, before);
  }
  return workgroupUniformLoad(&found);
}

// Running sums over the first `count` weights, of which every invocation has a run. Returns the total.
fn scan_weights(count: u32) -> vec2<u32> {
  workgroupBarrier();
  let run = (count + WORKGROUP_SIZE - 1u) / WORKGROUP_SIZE;
  var amount = vec2(0u);
  for (var i = lid * run; i < min((lid + 1u) * run, count); i++) {
    amount = add64(amount, vec2(words[i], 0u));
  }
  return scan(amount);
}

// After scan_weights(): the first place where the running sum reaches the target (1 or more).
fn claim_weight(count: u32, target_sum: vec2<u32>) -> Found {
  if (is_mine(target_sum)) {
    var before = before_mine;
    var i = lid * ((count + WORKGROUP_SIZE - 1u) / WORKGROUP_SIZE);
    loop {
      let after = add64(before, vec2(words[i], 0u));
      if (!less64(after, target_sum)) {
        break;
      }
      before = after;
      i++;
    }
    found = Found(i, before);
  }
  return workgroupUniformLoad(&found);
}

fn comes_after(a: vec2<u32>, b: vec2<u32>) -> bool {
  return a.x > b.x || (a.x == b.x && a.y > b.y);
}

// Sorts the first `count` entries, ascending (Batcher's bitonic network).
fn sort_entries(count: u32) {
  var length = 2u;
  while (length < count) {
    length <<= 1u;
  }
  for (var i = count + lid; i < length; i += WORKGROUP_SIZE) {
    entries[i] = vec2(0xffffffffu);
  }
  for (var size = 2u; size <= length; size <<= 1u) {
    for (var step = size >> 1u; step > 0u; step >>= 1u) {
      workgroupBarrier();
      for (var i = lid; i < length / 2u; i += WORKGROUP_SIZE) {
        let a = 2u * i - (i & (step - 1u));
        let b = a + step;
        let left = entries[a];
        let right = entries[b];
        if (comes_after(left, right) == ((a & size) == 0u)) {
          entries[a] = right;
          entries[b] = left;
        }
      }
    }
  }
  workgroupBarrier();
}

// Writes a token down, if there is room, and counts it.
fn write_entry(key: u32, id: u32) {
  let slot = atomicAdd(&counter, 1u);
  if (slot < ROOM) {
    entries[slot] = vec2(~key, id);
  }
}

fn key_of_entry(index: u32) -> u32 {
  return ~entries[index].x;
}

fn place_of(index: u32) -> Cut {
  return Cut(key_of_entry(index), entries[index].y);
}

fn stricter(a: Cut, b: Cut) -> Cut {
  if (a.key > b.key || (a.key == b.key && a.id < b.id)) {
    return a;
  }
  return b;
}

fn looser(a: Cut, b: Cut) -> Cut {
  let strict = stricter(a, b);
  if (strict.key == a.key && strict.id == a.id) {
    return b;
  }
  return a;
}

// How far to shift a range of `span` + 1 values so that it fits the bins.
fn shift_of(span: u32) -> u32 {
  let bits = 32u - countLeadingZeros(span);
  return max(bits, BIN_BITS) - BIN_BITS;
}
