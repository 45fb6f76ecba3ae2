// Library: texels that the upper half of a subgroup of sixteen holds, for all of it; joined after
// lane_texels.wgsl.

/// Those of lanes 8 to 11.
fn third_texels(v: vec4<f32>) -> Texels {
  return Texels(
    subgroupBroadcast(v, 8u),
    subgroupBroadcast(v, 9u),
    subgroupBroadcast(v, 10u),
    subgroupBroadcast(v, 11u),
  );
}

/// Those of lanes 12 to 15.
fn fourth_texels(v: vec4<f32>) -> Texels {
  return Texels(
    subgroupBroadcast(v, 12u),
    subgroupBroadcast(v, 13u),
    subgroupBroadcast(v, 14u),
    subgroupBroadcast(v, 15u),
  );
}
