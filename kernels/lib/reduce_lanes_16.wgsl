// Library: as reduce_lanes.wgsl, for subgroups of sixteen.

fn reduce(_lane: u32, own: Reduced) -> Reduced {
  let two = join(own, subgroupShuffleXor(own, 8u));
  let four = join(two, subgroupShuffleXor(two, 4u));
  let eight = join(four, subgroupShuffleXor(four, 2u));
  return join(eight, subgroupShuffleXor(eight, 1u));
}
