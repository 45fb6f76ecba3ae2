// Library: as lane_rows.wgsl, for subgroups of sixteen, whose halves have a tile each.

const TILES: u32 = 2;

/// The row that lanes 0 to 3 hold, for lanes 8 to 15 the one that lanes 8 to 11 do.
fn low_row(v: vec4<f32>, lane: u32) -> Eight {
  let is_upper = lane >= 8;
  return Eight(
    select(subgroupBroadcast(v.w, 0u), subgroupBroadcast(v.w, 8u), is_upper),
    select(subgroupBroadcast(v, 1u), subgroupBroadcast(v, 9u), is_upper),
    select(subgroupBroadcast(v, 2u), subgroupBroadcast(v, 10u), is_upper),
    select(subgroupBroadcast(v.x, 3u), subgroupBroadcast(v.x, 11u), is_upper),
  );
}

/// The row that lanes 4 to 7 hold, for lanes 8 to 15 the one that lanes 12 to 15 do.
fn high_row(v: vec4<f32>, lane: u32) -> Eight {
  let is_upper = lane >= 8;
  return Eight(
    select(subgroupBroadcast(v.w, 4u), subgroupBroadcast(v.w, 12u), is_upper),
    select(subgroupBroadcast(v, 5u), subgroupBroadcast(v, 13u), is_upper),
    select(subgroupBroadcast(v, 6u), subgroupBroadcast(v, 14u), is_upper),
    select(subgroupBroadcast(v.x, 7u), subgroupBroadcast(v.x, 15u), is_upper),
  );
}
