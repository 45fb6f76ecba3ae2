// Library: as walk_8.wgsl, for workgroups that are a subgroup of eight: each invocation reads one
// channel for all.

fn walk(tensor: texture_storage_2d<rgba32float, read>, at: u32, n: u32, lane: u32) -> Head {
  let channel = staged(tensor, at + lane * n);
  return Head(
    subgroupBroadcast(channel, 0u),
    subgroupBroadcast(channel, 1u),
    subgroupBroadcast(channel, 2u),
    subgroupBroadcast(channel, 3u),
    subgroupBroadcast(channel, 4u),
    subgroupBroadcast(channel, 5u),
    subgroupBroadcast(channel, 6u),
    subgroupBroadcast(channel, 7u),
  );
}
