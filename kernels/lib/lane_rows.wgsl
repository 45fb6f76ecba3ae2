// Library: rows of ten pixels, a texel in each of four invocations of a subgroup of eight, which
// all have one tile; joined after row_texels.wgsl.

const TILES: u32 = 1;

/// The row that lanes 0 to 3 hold.
fn low_row(v: vec4<f32>, lane: u32) -> Eight {
  return Eight(
    subgroupBroadcast(v.w, 0u),
    subgroupBroadcast(v, 1u),
    subgroupBroadcast(v, 2u),
    subgroupBroadcast(v.x, 3u),
  );
}

/// The row that lanes 4 to 7 hold.
fn high_row(v: vec4<f32>, lane: u32) -> Eight {
  return Eight(
    subgroupBroadcast(v.w, 4u),
    subgroupBroadcast(v, 5u),
    subgroupBroadcast(v, 6u),
    subgroupBroadcast(v.x, 7u),
  );
}
