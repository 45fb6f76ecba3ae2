// Library: as stores.wgsl, for subgroups of sixteen, of which the lower eight store what the upper
// eight have too. Software Vulkan takes a vector apart by writing it to memory and reading each
// lane back; of 512 bits a processor may hand on the lower half at once and let reads of the upper
// half wait. That holds for masks too, unless they come from a comparison right here: then the
// driver keeps a byte a lane.

const NOWHERE: u32 = 0xffffffff;

fn put_all(lane: u32, inside: bool, at: u32, v: Stored) {
  let own = select(NOWHERE, at, inside);
  let other = subgroupShuffleXor(own, 8u);
  let of_other = subgroupShuffleXor(v, 8u);
  if ((lane & 8) != 0) {
    return;
  }
  if (own != NOWHERE) {
    put(own, v);
  }
  if (other != NOWHERE) {
    put(other, of_other);
  }
}
