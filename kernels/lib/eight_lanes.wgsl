// Library: what one of eight invocations holds, for all eight, which are a subgroup.

/// Eights of a subgroup.
const EIGHTS: u32 = 1;

/// Tells the library an invocation's place in its subgroup, before anything is shared.
fn enter(place: u32) {
}

fn of_lane_0(v: vec4<f32>) -> vec4<f32> {
  return subgroupBroadcast(v, 0u);
}

fn of_lane_1(v: vec4<f32>) -> vec4<f32> {
  return subgroupBroadcast(v, 1u);
}

fn of_lane_2(v: vec4<f32>) -> vec4<f32> {
  return subgroupBroadcast(v, 2u);
}

fn of_lane_3(v: vec4<f32>) -> vec4<f32> {
  return subgroupBroadcast(v, 3u);
}

fn of_lane_4(v: vec4<f32>) -> vec4<f32> {
  return subgroupBroadcast(v, 4u);
}

fn of_lane_5(v: vec4<f32>) -> vec4<f32> {
  return subgroupBroadcast(v, 5u);
}

fn of_lane_6(v: vec4<f32>) -> vec4<f32> {
  return subgroupBroadcast(v, 6u);
}

fn of_lane_7(v: vec4<f32>) -> vec4<f32> {
  return subgroupBroadcast(v, 7u);
}
