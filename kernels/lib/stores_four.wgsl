// Library: as stores.wgsl, of what has the same place in four tensors. Kernels define `put` for
// them.

fn put_all(
  _lane: u32,
  inside: bool,
  at: u32,
  a: vec4<f32>,
  b: vec4<f32>,
  c: vec4<f32>,
  d: vec4<f32>,
) {
  if (inside) {
    put(at, a, b, c, d);
  }
}
