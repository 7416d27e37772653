// A row's tokens so far: (place of the oldest, tokens, how many of them are prompt, tokens of output ever), then a ring.
// Twin: src/reference/history.ts.

const HISTORY_WORDS = 4u;

struct HistoryRow {
  ring: u32, // word where the ring begins
  capacity: u32,
  first: u32,
  length: u32,
  prompt: u32,
  outputs: u32,
}

fn place_of(row: HistoryRow, index: u32) -> u32 {
  let place = row.first + index;
  return row.ring + select(place, place - row.capacity, place >= row.capacity);
}

fn history_row(index: u32, capacity: u32) -> HistoryRow {
  if (capacity == 0u) {
    return HistoryRow(0u, 0u, 0u, 0u, 0u, 0u);
  }
  let at = index * (HISTORY_WORDS + capacity);
  return HistoryRow(
    at + HISTORY_WORDS, capacity, history[at], history[at + 1u], history[at + 2u], history[at + 3u]);
}
