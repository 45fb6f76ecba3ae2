// Library: as stores.wgsl, for subgroups of sixteen, of which the lower eight store what the upper
// eight have too. Software Vulkan takes a vector apart by writing it to memory and reading each
// lane back; of 512 bits a processor may hand on the lower half at once and let reads of the upper
// half wait.

const NOWHERE: u32 = 0xffffffff;

/// In lane k what lane 8 + k has.
fn lowered(v: Stored, lane: u32) -> Stored {
  let odd = (lane & 1) != 0;
  let two = (lane & 2) != 0;
  let four = (lane & 4) != 0;
  let a = select(subgroupBroadcast(v, 8u), subgroupBroadcast(v, 9u), odd);
  let b = select(subgroupBroadcast(v, 10u), subgroupBroadcast(v, 11u), odd);
  let c = select(subgroupBroadcast(v, 12u), subgroupBroadcast(v, 13u), odd);
  let d = select(subgroupBroadcast(v, 14u), subgroupBroadcast(v, 15u), odd);
  return select(select(a, b, two), select(c, d, two), four);
}

fn lowered_place(at: u32, lane: u32) -> u32 {
  let odd = (lane & 1) != 0;
  let two = (lane & 2) != 0;
  let four = (lane & 4) != 0;
  let a = select(subgroupBroadcast(at, 8u), subgroupBroadcast(at, 9u), odd);
  let b = select(subgroupBroadcast(at, 10u), subgroupBroadcast(at, 11u), odd);
  let c = select(subgroupBroadcast(at, 12u), subgroupBroadcast(at, 13u), odd);
  let d = select(subgroupBroadcast(at, 14u), subgroupBroadcast(at, 15u), odd);
  return select(select(a, b, two), select(c, d, two), four);
}

fn put_all(lane: u32, inside: bool, at: u32, v: Stored) {
  let other = lowered_place(select(NOWHERE, at, inside), lane);
  let of_other = lowered(v, lane);
  if ((lane & 8) != 0) {
    return;
  }
  if (inside) {
    put(at, v);
  }
  if (other != NOWHERE) {
    put(other, of_other);
  }
}
