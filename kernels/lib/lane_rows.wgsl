// Library: rows of ten pixels, a texel in each of four invocations of eight, which have one tile;
// joined after eight_lanes.wgsl and row_texels.wgsl.

/// The row that lanes 0 to 3 hold.
fn low_row(v: vec4<f32>) -> Eight {
  return Eight(of_lane_0(v).w, of_lane_1(v), of_lane_2(v), of_lane_3(v).x);
}

/// The row that lanes 4 to 7 hold.
fn high_row(v: vec4<f32>) -> Eight {
  return Eight(of_lane_4(v).w, of_lane_5(v), of_lane_6(v), of_lane_7(v).x);
}
