// Library: as reduce.wgsl, for workgroups that are a subgroup of eight. A kernel with barriers
// costs software Vulkan memory from the heap for each workgroup; without, a few shuffles.

fn reduce(_lane: u32, own: Reduced) -> Reduced {
  let two = join(own, subgroupShuffleXor(own, 4u));
  let four = join(two, subgroupShuffleXor(two, 2u));
  return join(four, subgroupShuffleXor(four, 1u));
}
