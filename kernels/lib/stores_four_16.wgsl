// Library: as stores_four.wgsl, for subgroups of sixteen, as stores_16.wgsl stores.

const NOWHERE: u32 = 0xffffffff;

fn put_all(
  lane: u32,
  inside: bool,
  at: u32,
  a: vec4<f32>,
  b: vec4<f32>,
  c: vec4<f32>,
  d: vec4<f32>,
) {
  let own = select(NOWHERE, at, inside);
  let other = subgroupShuffleXor(own, 8u);
  let other_a = subgroupShuffleXor(a, 8u);
  let other_b = subgroupShuffleXor(b, 8u);
  let other_c = subgroupShuffleXor(c, 8u);
  let other_d = subgroupShuffleXor(d, 8u);
  if ((lane & 8) != 0) {
    return;
  }
  if (own != NOWHERE) {
    put(own, a, b, c, d);
  }
  if (other != NOWHERE) {
    put(other, other_a, other_b, other_c, other_d);
  }
}
