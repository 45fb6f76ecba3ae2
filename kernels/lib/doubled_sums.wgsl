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
  var sum = d.a.x * vec4(r.before, r.p.xyz);
  sum += d.a.y * vec4(r.p.yzw, r.q.x);
  sum += d.a.z * vec4(r.p.w, r.q.xyz);
  sum += d.a.w * vec4(r.q.yzw, r.s.x);
  sum += d.b.x * vec4(r.q.w, r.s.xyz);
  sum += d.b.y * vec4(r.s.yzw, r.t.x);
  sum += d.b.z * vec4(r.s.w, r.t.xyz);
  sum += d.b.w * vec4(r.t.yzw, r.after);
  return sum;
}

fn store(at: u32, s: Sums) {
  partial[at] = s.u0;
  partial[at + 1] = s.u1;
  partial[at + 2] = s.u2;
  partial[at + 3] = s.u3;
}
