// Library: as eight_lanes.wgsl, for subgroups of sixteen, of which each half is an eight. The place
// in the subgroup is a constant to the compiler, so the choice between halves costs it nothing.

const EIGHTS: u32 = 2;

var<private> is_upper: bool;

fn enter(place: u32) {
  is_upper = place >= 8;
}

fn of_lane_0(v: vec4<f32>) -> vec4<f32> {
  return select(subgroupBroadcast(v, 0u), subgroupBroadcast(v, 8u), is_upper);
}

fn of_lane_1(v: vec4<f32>) -> vec4<f32> {
  return select(subgroupBroadcast(v, 1u), subgroupBroadcast(v, 9u), is_upper);
}

fn of_lane_2(v: vec4<f32>) -> vec4<f32> {
  return select(subgroupBroadcast(v, 2u), subgroupBroadcast(v, 10u), is_upper);
}

fn of_lane_3(v: vec4<f32>) -> vec4<f32> {
  return select(subgroupBroadcast(v, 3u), subgroupBroadcast(v, 11u), is_upper);
}

fn of_lane_4(v: vec4<f32>) -> vec4<f32> {
  return select(subgroupBroadcast(v, 4u), subgroupBroadcast(v, 12u), is_upper);
}

fn of_lane_5(v: vec4<f32>) -> vec4<f32> {
  return select(subgroupBroadcast(v, 5u), subgroupBroadcast(v, 13u), is_upper);
}

fn of_lane_6(v: vec4<f32>) -> vec4<f32> {
  return select(subgroupBroadcast(v, 6u), subgroupBroadcast(v, 14u), is_upper);
}

fn of_lane_7(v: vec4<f32>) -> vec4<f32> {
  return select(subgroupBroadcast(v, 7u), subgroupBroadcast(v, 15u), is_upper);
}
