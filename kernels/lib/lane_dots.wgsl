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

/// Sums of four input channels with four output channels each.
struct Sums {
  c0: vec4<f32>,
  c1: vec4<f32>,
  c2: vec4<f32>,
  c3: vec4<f32>,
}

/// Of four output channels with one input channel.
fn sums_of(g: Gradients, x: Texels) -> vec4<f32> {
  var sum = x.a.x * vec4(g.d0.a.x, g.d1.a.x, g.d2.a.x, g.d3.a.x);
  sum += x.a.y * vec4(g.d0.a.y, g.d1.a.y, g.d2.a.y, g.d3.a.y);
  sum += x.a.z * vec4(g.d0.a.z, g.d1.a.z, g.d2.a.z, g.d3.a.z);
  sum += x.a.w * vec4(g.d0.a.w, g.d1.a.w, g.d2.a.w, g.d3.a.w);
  sum += x.b.x * vec4(g.d0.b.x, g.d1.b.x, g.d2.b.x, g.d3.b.x);
  sum += x.b.y * vec4(g.d0.b.y, g.d1.b.y, g.d2.b.y, g.d3.b.y);
  sum += x.b.z * vec4(g.d0.b.z, g.d1.b.z, g.d2.b.z, g.d3.b.z);
  sum += x.b.w * vec4(g.d0.b.w, g.d1.b.w, g.d2.b.w, g.d3.b.w);
  sum += x.c.x * vec4(g.d0.c.x, g.d1.c.x, g.d2.c.x, g.d3.c.x);
  sum += x.c.y * vec4(g.d0.c.y, g.d1.c.y, g.d2.c.y, g.d3.c.y);
  sum += x.c.z * vec4(g.d0.c.z, g.d1.c.z, g.d2.c.z, g.d3.c.z);
  sum += x.c.w * vec4(g.d0.c.w, g.d1.c.w, g.d2.c.w, g.d3.c.w);
  sum += x.d.x * vec4(g.d0.d.x, g.d1.d.x, g.d2.d.x, g.d3.d.x);
  sum += x.d.y * vec4(g.d0.d.y, g.d1.d.y, g.d2.d.y, g.d3.d.y);
  sum += x.d.z * vec4(g.d0.d.z, g.d1.d.z, g.d2.d.z, g.d3.d.z);
  sum += x.d.w * vec4(g.d0.d.w, g.d1.d.w, g.d2.d.w, g.d3.d.w);
  return sum;
}

/// Of four input channels, lanes 0 to 3 of a hold the first, lanes 4 to 7 the second; b likewise.
fn add_dots(s: ptr<function, Sums>, g: Gradients, a: vec4<f32>, b: vec4<f32>) {
  (*s).c0 += sums_of(g, low_texels(a));
  (*s).c1 += sums_of(g, high_texels(a));
  (*s).c2 += sums_of(g, low_texels(b));
  (*s).c3 += sums_of(g, high_texels(b));
}

/// Four input channels of one output channel.
fn store_four(at: u32, s: Sums, own: u32) {
  partial[at] = vec4(s.c0[own], s.c1[own], s.c2[own], s.c3[own]);
}

/// Rows of 16 input channels, the next output channel of this invocation being eight rows on.
fn store(at: u32, row4: u32, s0: Sums, s1: Sums, s2: Sums, s3: Sums) {
  for (var own = 0u; own < 4; own++) {
    let row = at + own * 8 * row4;
    store_four(row, s0, own);
    store_four(row + 1, s1, own);
    store_four(row + 2, s2, own);
    store_four(row + 3, s3, own);
  }
}
