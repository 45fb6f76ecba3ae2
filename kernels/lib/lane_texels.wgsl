// Library: texels that eight invocations hold, one each, for all of them. Joined after
// eight_lanes.wgsl.

/// Four of them, one after the other.
struct Texels {
  a: vec4<f32>,
  b: vec4<f32>,
  c: vec4<f32>,
  d: vec4<f32>,
}

/// Those of lanes 0 to 3.
fn low_texels(v: vec4<f32>) -> Texels {
  return Texels(of_lane_0(v), of_lane_1(v), of_lane_2(v), of_lane_3(v));
}

/// Those of lanes 4 to 7.
fn high_texels(v: vec4<f32>) -> Texels {
  return Texels(of_lane_4(v), of_lane_5(v), of_lane_6(v), of_lane_7(v));
}
