// What the kernels know that work on a row with one workgroup: the row, and memory that the workgroup shares. What they do
// with it stands in workgroup, groups, look, bins, band, search and drawing, in this order.

override WORKGROUP_SIZE: u32; // a power of two up to 256

override ROOM: u32 = 512u; // tokens, or groups, that can be written down; no less, but 1 where none are
const BINS = 128u;
const BIN_BITS = 7u;
const NOWHERE = 0xffffffffu;

struct Found {
  index: u32, // NOWHERE if the running sum does not reach the target
  before: vec2<u32>, // the running sum in front of it
}

// Written-down tokens as (~key, id), so that ascending order is the order of the row; in the end as (id, weight).
var<workgroup> entries: array<vec2<u32>, ROOM>;
// First the groups that are looked at, later the weights of the entries.
var<workgroup> words: array<u32, ROOM>;
var<workgroup> bins: array<atomic<u32>, 2u * BINS>; // 64-bit amounts as (low, high)
var<workgroup> partial: array<vec2<u32>, WORKGROUP_SIZE>;
var<workgroup> counter: atomic<u32>;
var<workgroup> smallest: atomic<u32>;
var<workgroup> largest: atomic<u32>;
var<workgroup> found: Found;
var<workgroup> shared_word: u32;

// Set once at the start, the same in every invocation but for `lid`.
var<private> lid: u32;
var<private> row: Row;
#if PROCESSED
#else
var<private> last_quad: u32; // of the row
var<private> last_words: Quad; // what it holds, because the buffer may end inside it
#endif
var<private> first_group: u32; // of this row in `delegates`
var<private> first_mass: u32; // of this row in `masses`
var<private> half_max: f32;
// The scale at which `masses` has all tokens of a row that are all tied; a greedy row's is 0.
var<private> scale_of_ties: f32 = NO_SCALE;
const NO_SCALE = -1.0;
// The groups that are looked at: those in `words`, or all.
var<private> listed: bool;
var<private> group_count: u32;
var<private> run_bits: u32; // of the runs of a group, each of which an invocation reads in one go: one, unless there are few groups
// Of scan(): the amounts in front of this invocation's own, and its own.
var<private> before_mine: vec2<u32>;
var<private> mine: vec2<u32>;

fn enter_row(index: u32) {
  row = row_of(index);
  first_group = index * call.groups;
  first_mass = 2u * first_group;
#if PROCESSED
#else
  last_quad = (row.lead + call.vocab - 1u) >> 2u;
  last_words = load_words(row.first_quad + last_quad);
#endif
}

// load_quad_of() for this row. SwiftShader takes both ways of that one, and reading by words costs as much as the rest.
fn bits_at(quad: u32, whole: bool) -> vec4<u32> {
#if PROCESSED
  return load_quad_of(row, quad, whole);
#else
  return in_row(row, quad, unpack(select(logits[row.first_quad + quad], last_words, quad == last_quad)));
#endif
}
