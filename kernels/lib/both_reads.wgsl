// Library: two texels that each invocation of an eight needs, its own, the same in all eights of a
// subgroup. Joined in front of kernels that have a function fetch(at).

struct Two {
  a: vec4<f32>,
  b: vec4<f32>,
}

fn read_both(a: u32, b: u32) -> Two {
  return Two(fetch(a), fetch(b));
}
