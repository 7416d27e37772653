// append: appends tokens to the histories of rows, one invocation a row; those just drawn, or those of the caller. In a
// full ring the oldest token makes room. Twin: src/reference/append.ts.

override WORKGROUP_SIZE: u32;

struct Job {
  capacity: u32,
  first_row: u32, // of the batch
  rows: u32,
  count: u32, // tokens of a row
  first: u32, // word of the first row's first token
  stride: u32, // words from row to row
}

@group(0) @binding(0) var<storage, read> job: Job;
@group(0) @binding(1) var<storage, read> incoming: array<u32>;
@group(0) @binding(2) var<storage, read_write> history: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn append_main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  let index = workgroup_id.x * WORKGROUP_SIZE + lid;
  if (index >= job.rows) {
    return;
  }
  let at = (job.first_row + index) * (HISTORY_WORDS + job.capacity);
  var row = history_row(job.first_row + index, job.capacity);
  for (var i = 0u; i < job.count; i++) {
    let token = incoming[job.first + index * job.stride + i];
    if (token == 0xffffffffu) {
      continue; // a row without a candidate
    }
    if (row.length == row.capacity) {
      row.first = select(row.first + 1u, 0u, row.first + 1u == row.capacity);
      row.prompt -= min(row.prompt, 1u);
    } else {
      row.length++;
    }
    history[place_of(row, row.length - 1u)] = token;
    row.outputs++;
  }
  history[at] = row.first;
  history[at + 1u] = row.length;
  history[at + 2u] = row.prompt;
  history[at + 3u] = row.outputs;
}
