// Library: products of 32 output channels with 16 input channels, summed over 16 pixels at a time,
// by a subgroup of eight: of the input channels each invocation holds 4 pixels, which all use; of
// the output channels it has every eighth. Joined after lane_texels.wgsl, in front of kernels that
// bind partial, rows of vec4 of input channels.

/// 16 pixels of four output channels.
struct Gradients {
  d0: Texels,
  d1: Texels,
  d2: Texels,
  d3: Texels,
}

/// Sums of four output channels with four input channels each.
struct Sums {
  c0: vec4<f32>,
  c1: vec4<f32>,
  c2: vec4<f32>,
  c3: vec4<f32>,
}

fn sum_of(p: Texels, q: Texels) -> f32 {
  return (dot(p.a, q.a) + dot(p.b, q.b)) + (dot(p.c, q.c) + dot(p.d, q.d));
}

fn sums_of(d: Texels, x0: Texels, x1: Texels, x2: Texels, x3: Texels) -> vec4<f32> {
  return vec4(sum_of(d, x0), sum_of(d, x1), sum_of(d, x2), sum_of(d, x3));
}

/// Of four input channels, lanes 0 to 3 of a hold the first, lanes 4 to 7 the second; b likewise.
fn add_dots(s: ptr<function, Sums>, g: Gradients, a: vec4<f32>, b: vec4<f32>) {
  let x0 = low_texels(a);
  let x1 = high_texels(a);
  let x2 = low_texels(b);
  let x3 = high_texels(b);
  (*s).c0 += sums_of(g.d0, x0, x1, x2, x3);
  (*s).c1 += sums_of(g.d1, x0, x1, x2, x3);
  (*s).c2 += sums_of(g.d2, x0, x1, x2, x3);
  (*s).c3 += sums_of(g.d3, x0, x1, x2, x3);
}

fn store_row(at: u32, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) {
  partial[at] = a;
  partial[at + 1] = b;
  partial[at + 2] = c;
  partial[at + 3] = d;
}

/// Rows of 16 input channels, the next output channel of this invocation being eight rows on.
fn store(at: u32, row4: u32, s0: Sums, s1: Sums, s2: Sums, s3: Sums) {
  store_row(at, s0.c0, s1.c0, s2.c0, s3.c0);
  store_row(at + 8 * row4, s0.c1, s1.c1, s2.c1, s3.c1);
  store_row(at + 16 * row4, s0.c2, s1.c2, s2.c2, s3.c2);
  store_row(at + 24 * row4, s0.c3, s1.c3, s2.c3, s3.c3);
}
