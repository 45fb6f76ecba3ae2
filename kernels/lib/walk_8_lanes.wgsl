// Library: as walk_8.wgsl, for workgroups of subgroups, whose first eight invocations read one
// channel each for all. Joined after eight_lanes.wgsl.

fn walk(tensor: texture_storage_2d<rgba32float, read>, at: u32, n: u32, lane: u32) -> Head {
  let channel = staged(tensor, at + lane % 8 * n);
  return Head(
    of_lane_0(channel),
    of_lane_1(channel),
    of_lane_2(channel),
    of_lane_3(channel),
    of_lane_4(channel),
    of_lane_5(channel),
    of_lane_6(channel),
    of_lane_7(channel),
  );
}
