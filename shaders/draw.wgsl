// draw: one workgroup a row. Filters, draws, writes the token. Twin: src/reference/draw.ts and cut.ts.
//
// Usually one turn does: all kept tokens lie in few groups, those with the largest delegates. Their best tokens are written
// down and sorted, and every filter is then a look at a sorted list. Where there are too many, one turn after the other looks
// for a cut in the row: bins narrow down where it is until what is left can be written down and sorted. Then the kept mass of
// every group is added up.

override FILTERS: u32 = 1u; // 0 if no row of the call has top-k or top-p

const TOP_K_REACH = 512u; // a larger top-k looks at all groups

// What a turn looks for.
const FEW = 0u; // what all filters keep, among few tokens
const BY_COUNT = 1u; // where top-k cuts
const BY_MASS = 2u; // where top-p cuts
const NOTHING = 3u; // the cut is known

@compute @workgroup_size(WORKGROUP_SIZE)
fn draw_main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let row_index = workgroup_id.x;
  let plan = call.plans[row_index];
  let max_key = begin(row_index, index);
  let position = position_of(call.first_row + row_index, plan);
  let u = uniform_of(plan.seed, position, 0u);
  var status = STATUS_OK;
  var cut = LAST;
  if (max_key == 0u) {
    status = status_of_empty_row();
    if (lid == 0u) {
      drawn = Drawn(NO_TOKEN, 0u, vec2(0u));
    }
  } else if ((plan.flags & FLAG_GREEDY) != 0u) {
    best(max_key);
    workgroupBarrier();
    cut = Cut(max_key, drawn.token);
  } else {
    let has_k = (plan.flags & FLAG_TOP_K) != 0u;
    let has_p = (plan.flags & FLAG_TOP_P) != 0u;
    let min_p_first = (plan.flags & FLAG_MIN_P_FIRST) != 0u;
    let small_k = has_k && plan.top_k <= TOP_K_REACH;
    var floor_cut = LAST;
    if ((plan.flags & FLAG_MIN_P) != 0u) {
      floor_cut.key = key_of_distance(max_key, plan.min_p_distance, plan.filter_scale);
    }
    var turn = NOTHING;
    var few = LAST; // where few tokens end
    var mass = vec2(0u); // what top-p measures, or what the draw is from
    if (FILTERS == 1u && (has_k || has_p)) {
      turn = select(BY_MASS, BY_COUNT, has_k);
      look_at_all_groups();
      if (small_k || !has_k) {
        let scale = select(plan.filter_scale, SCALE_OF_ONE, has_k);
        let reach = reach_of_delegates(select(0u, plan.top_k, has_k), true, plan.top_p, scale, max_key);
        mass = reach.mass;
        few.key = reach.low;
        if (list_groups(reach) <= ROOM) {
          turn = FEW;
        } else {
          look_at_all_groups();
        }
      }
    }
    if (turn == NOTHING || (min_p_first && !small_k)) {
      cut = floor_cut;
    }
    // One turn after the other, in a loop, because compilers write out every call. The longest way has three: too many tokens
    // for a small top-k, so its cut is looked for, and up to there they are few.
    var count = 0u; // entries that are kept; 0: all tokens up to the cut, with the masses of their groups
    for (var turns = 0u; turns < 3u; turns++) {
      let measures = turn == BY_COUNT && has_p; // for the next turn
      if (FILTERS == 1u && turn != NOTHING) {
        var part = Part(IN_FRONT, cut);
        if (turn == FEW) {
          part.upto = few;
        }
        let by_mass = turn == BY_MASS;
        var place = Target(vec2(0u), by_mass, 0.0);
        if (turn == BY_COUNT) {
          place.sum = vec2(plan.top_k, 0u);
          place.share = 1.0;
        } else if (by_mass) {
          place.sum = mass_needed(plan.top_p, mass);
          place.share = f32(plan.top_p) / 4294967296.0;
        }
        let around = search(part, place, turn == FEW, plan.filter_scale, max_key);
        // How many of these tokens lie in front of the cut.
        var end = select(around.count, 0u, around.count > ROOM);
        let floor_end = first_below(floor_cut.key, 0u, end); // no floor lies above the first
        if (turn == FEW && min_p_first) {
          end = min(end, floor_end);
        }
        if (turn == FEW && has_k) {
          end = min(end, plan.top_k);
        } else if (turn == BY_COUNT) {
          end = select(around.rest.x, 0u, around.rest.x > end);
        }
        if (by_mass || (turn == FEW && has_p)) {
          let weight = weigh_entries(0u, end, plan.filter_scale);
          let goal = select(mass_needed(plan.top_p, select(mass, weight, has_k)), around.rest, by_mass);
          end = claim_weight(end, goal).index + 1u; // 0 if all of them are too few
        }
        if (turn == FEW) {
          end = min(end, floor_end);
        }
        if (end != 0u) {
          cut = place_of(end - 1u);
        }
        if (turn == FEW) {
          count = end;
          if (count == 0u) {
            turn = select(BY_MASS, BY_COUNT, has_k);
            if (!has_k) {
              look_at_all_groups();
            }
            continue;
          }
          weigh_for_draw(count, plan.draw_scale);
        } else if (small_k) {
          few = cut;
          turn = FEW;
          continue;
        } else {
          if (!measures) {
            cut = stricter(cut, floor_cut);
          }
          weigh_groups(Part(IN_FRONT, cut), max_key, select(plan.draw_scale, plan.filter_scale, measures));
        }
      }
      mass = bin_kept(count);
      if (!measures) {
        break;
      }
      turn = BY_MASS;
    }
    draw_at(count, Part(IN_FRONT, cut), plan.draw_scale, draw_point(u, mass), mass);
  }
  finish(row_index, status, Part(IN_FRONT, cut), max_key, plan.draw_scale, max_key, position);
}
