// Library: as both_reads.wgsl, for subgroups of sixteen: the lower half reads the first, the upper
// half the second, for both. Joined after eight_lanes_16.wgsl.

struct Two {
  a: vec4<f32>,
  b: vec4<f32>,
}

fn read_both(a: u32, b: u32) -> Two {
  let own = fetch(select(a, b, is_upper));
  let other = subgroupShuffleXor(own, 8u);
  return Two(select(own, other, is_upper), select(other, own, is_upper));
}
