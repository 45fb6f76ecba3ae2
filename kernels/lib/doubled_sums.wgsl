// Library: products of pixels of x with those that they meet in dy, of twice the size, and their
// sums; joined after sixteen.wgsl, in front of kernels that bind partial.

/// Eight pixels of a row of x.
struct Pixels {
  a: vec4<f32>,
  b: vec4<f32>,
}

/// Of one output and one input channel, by u; a component a v.
struct Sums {
  u0: vec4<f32>,
  u1: vec4<f32>,
  u2: vec4<f32>,
  u3: vec4<f32>,
}

fn dots(d: Pixels, r: Sixteen) -> vec4<f32> {
  return vec4(
    dot(d.a, vec4(r.before, r.p.yw, r.q.y)) + dot(d.b, vec4(r.q.w, r.s.yw, r.t.y)),
    dot(d.a, vec4(r.p.xz, r.q.xz)) + dot(d.b, vec4(r.s.xz, r.t.xz)),
    dot(d.a, vec4(r.p.yw, r.q.yw)) + dot(d.b, vec4(r.s.yw, r.t.yw)),
    dot(d.a, vec4(r.p.z, r.q.xz, r.s.x)) + dot(d.b, vec4(r.s.z, r.t.xz, r.after)),
  );
}

fn store(at: u32, s: Sums) {
  partial[at] = s.u0;
  partial[at + 1] = s.u1;
  partial[at + 2] = s.u2;
  partial[at + 3] = s.u3;
}
