// Library: as reduce.wgsl, for workgroups that are a subgroup of eight or sixteen. A kernel with
// barriers costs software Vulkan memory from the heap for each workgroup; without, a few shuffles.

fn reduce(_lane: u32, own: Reduced) -> Reduced {
  var all = own;
  if (WORKGROUP == 16u) {
    all = join(all, subgroupShuffleXor(all, 8u));
  }
  all = join(all, subgroupShuffleXor(all, 4u));
  all = join(all, subgroupShuffleXor(all, 2u));
  return join(all, subgroupShuffleXor(all, 1u));
}
