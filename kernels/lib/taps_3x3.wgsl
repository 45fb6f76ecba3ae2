// Library: 3×3 kernels over rows of pixels held in registers.

/// Four neighbouring pixels of a row as the left, middle and right kernel column meet them.
struct Taps {
  left: vec4<f32>,
  middle: vec4<f32>,
  right: vec4<f32>,
}

/// The nine weights of one input and one output channel.
struct Kernel {
  top: vec3<f32>,
  middle: vec3<f32>,
  bottom: vec3<f32>,
}

/// Those of four output channels.
struct Kernels {
  k0: Kernel,
  k1: Kernel,
  k2: Kernel,
  k3: Kernel,
}

/// From nine vec4, one per kernel position, of four output channels each.
fn transpose_taps(
  p: vec4<f32>,
  q: vec4<f32>,
  r: vec4<f32>,
  s: vec4<f32>,
  t: vec4<f32>,
  u: vec4<f32>,
  v: vec4<f32>,
  w: vec4<f32>,
  z: vec4<f32>,
) -> Kernels {
  return Kernels(
    Kernel(vec3(p.x, q.x, r.x), vec3(s.x, t.x, u.x), vec3(v.x, w.x, z.x)),
    Kernel(vec3(p.y, q.y, r.y), vec3(s.y, t.y, u.y), vec3(v.y, w.y, z.y)),
    Kernel(vec3(p.z, q.z, r.z), vec3(s.z, t.z, u.z), vec3(v.z, w.z, z.z)),
    Kernel(vec3(p.w, q.w, r.w), vec3(s.w, t.w, u.w), vec3(v.w, w.w, z.w)),
  );
}

fn products(k: Kernel, top: Taps, middle: Taps, bottom: Taps) -> vec4<f32> {
  return k.top.x * top.left + k.top.y * top.middle + k.top.z * top.right +
    k.middle.x * middle.left + k.middle.y * middle.middle + k.middle.z * middle.right +
    k.bottom.x * bottom.left + k.bottom.y * bottom.middle + k.bottom.z * bottom.right;
}
