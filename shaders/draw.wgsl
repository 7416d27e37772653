// draw: one workgroup a row. Filters, draws, writes the token. Twin: src/reference/draw.ts and cut.ts.
//
//   few   the usual case: all kept tokens lie in few groups, those with the largest delegates. Their best tokens are
//         written down and sorted; every filter is then a look at a sorted list.
//   many  any row: histograms narrow down where the cut is until what is left can be written down and sorted. Then the
//         kept mass of every group is added up.

override FILTERS: u32 = 1u; // 0 if no row of the call has top-k or top-p

const TOP_K_REACH = 512u; // a larger top-k looks at all groups

// How many of the `count` sorted entries the filters keep; 0 if the nucleus is larger than what was written down. `mass` is
// the row's, where top-p has no top-k in front of it.
fn filter_entries(plan: Plan, count: u32, floor_key: u32, mass: vec2<u32>) -> u32 {
  let by_count = (plan.flags & FLAG_TOP_K) != 0u;
  var end = count;
  if ((plan.flags & FLAG_MIN_P_FIRST) != 0u) {
    end = entries_reaching(floor_key, end);
  }
  if (by_count) {
    end = min(end, plan.top_k);
  }
  if ((plan.flags & FLAG_TOP_P) != 0u) {
    weigh_entries(end, plan.filter_scale);
    let total = scan_weights(end);
    let last = claim_weight(end, mass_needed(plan.top_p, select(mass, total, by_count)));
    end = last.index + 1u; // 0 if it was not reached
  }
  if (end != 0u) {
    end = entries_reaching(floor_key, end);
  }
  return end;
}

// Filters any row; or, where the groups that are looked at hold the top-k, looks for those only. `mass` as above.
fn many(plan: Plan, floor_cut: Cut, top_k_only: bool, mass: vec2<u32>, max_key: u32) -> Cut {
  var cut = LAST;
  if ((plan.flags & FLAG_MIN_P_FIRST) != 0u && !top_k_only) {
    cut = floor_cut;
  }
  for (var stage = 0u; stage < select(2u, 1u, top_k_only); stage++) {
    let weighted = stage == 1u;
    if ((plan.flags & select(FLAG_TOP_K, FLAG_TOP_P, weighted)) != 0u) {
      var target_sum = vec2(plan.top_k, 0u);
      if (weighted) {
        var measured = mass;
        if ((plan.flags & FLAG_TOP_K) != 0u) {
          weigh_groups(Part(IN_FRONT, cut), max_key, plan.filter_scale);
          measured = row_mass();
        }
        target_sum = mass_needed(plan.top_p, measured);
      }
      cut = cut_where(Part(IN_FRONT, cut), weighted, target_sum, f32(plan.top_p) / 4294967296.0, plan.filter_scale, max_key);
    }
  }
  if (top_k_only) {
    return cut; // the other filters come later
  }
  return stricter(cut, floor_cut);
}

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
    if ((plan.flags & FLAG_MIN_P) != 0u) {
      cut.key = key_of_distance(max_key, plan.min_p_distance, plan.filter_scale);
    }
    var count = 0u; // entries that are kept; 0: all tokens up to the cut, with the masses of their groups
    if (FILTERS == 1u && (plan.flags & (FLAG_TOP_K | FLAG_TOP_P)) != 0u) {
      let by_count = (plan.flags & FLAG_TOP_K) != 0u;
      let small_k = by_count && plan.top_k <= TOP_K_REACH;
      let floor_cut = cut;
      var part = Part(IN_FRONT, LAST);
      var written = ROOM + 1u;
      var mass = vec2(0u);
      if (small_k || !by_count) {
        var reach: Reach;
        if (by_count) {
          reach = reach_of_delegates(plan.top_k, true, max_key);
        } else {
          mass = fill_bins_of_groups(plan.filter_scale);
          reach = reach_of_nucleus(plan.top_p, mass, plan.filter_scale, max_key);
        }
        part.upto.key = reach.low;
        written = list_groups(reach);
      }
      // Few groups, few tokens in them: all is well. Else the cut is looked for first, and that is all where it is not
      // one among few tokens. (A loop, because compilers write out every call.)
      for (var attempt = 0u; attempt < 2u && count == 0u; attempt++) {
        if (attempt == 1u) {
          if (!small_k) {
            look_at_all_groups();
          }
          cut = many(plan, floor_cut, small_k, mass, max_key);
          if (!small_k) {
            break;
          }
          part.upto = cut;
        }
        if (written <= ROOM) {
          let found_count = gather(part);
          if (found_count <= ROOM) {
            sort_entries(found_count);
            count = filter_entries(plan, found_count, floor_cut.key, mass);
          }
        }
      }
      if (count == 0u) {
        weigh_groups(Part(IN_FRONT, cut), max_key, plan.draw_scale);
      } else {
        cut = Cut(key_of_entry(count - 1u), entries[count - 1u].y);
      }
    }
    if (FILTERS == 1u && count != 0u) {
      draw_entry(count, plan.draw_scale, u);
    } else {
      draw_group(Part(IN_FRONT, cut), plan.draw_scale, u);
    }
  }
  finish(row_index, status, Part(IN_FRONT, cut), max_key, plan.draw_scale, max_key, position);
}
