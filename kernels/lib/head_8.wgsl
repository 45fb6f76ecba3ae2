// Library: attention of heads of 8 channels, four tokens of its own by four that it walks over.

/// Scores are taken for powers of 2: exp(s) = exp2(LOG2_E * s).
const LOG2_E: f32 = 1.4426950408889634;

/// Eight channels of four tokens.
struct Head {
  c0: vec4<f32>,
  c1: vec4<f32>,
  c2: vec4<f32>,
  c3: vec4<f32>,
  c4: vec4<f32>,
  c5: vec4<f32>,
  c6: vec4<f32>,
  c7: vec4<f32>,
}

/// Of the four own tokens with one, whose channels are a and b.
fn product(own: Head, a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  return ((own.c0 * a.x + own.c1 * a.y) + (own.c2 * a.z + own.c3 * a.w)) +
    ((own.c4 * b.x + own.c5 * b.y) + (own.c6 * b.z + own.c7 * b.w));
}

/// A column for each of the four others.
fn products(own: Head, others: Head) -> mat4x4<f32> {
  let o = others;
  return mat4x4<f32>(
    product(own, vec4(o.c0.x, o.c1.x, o.c2.x, o.c3.x), vec4(o.c4.x, o.c5.x, o.c6.x, o.c7.x)),
    product(own, vec4(o.c0.y, o.c1.y, o.c2.y, o.c3.y), vec4(o.c4.y, o.c5.y, o.c6.y, o.c7.y)),
    product(own, vec4(o.c0.z, o.c1.z, o.c2.z, o.c3.z), vec4(o.c4.z, o.c5.z, o.c6.z, o.c7.z)),
    product(own, vec4(o.c0.w, o.c1.w, o.c2.w, o.c3.w), vec4(o.c4.w, o.c5.w, o.c6.w, o.c7.w)),
  );
}

/// A channel of the four others, weighted by columns of p.
fn weighted(p: mat4x4<f32>, channel: vec4<f32>) -> vec4<f32> {
  return (p[0] * channel.x + p[1] * channel.y) + (p[2] * channel.z + p[3] * channel.w);
}

fn add_weighted(sum: ptr<function, Head>, p: mat4x4<f32>, others: Head) {
  (*sum).c0 += weighted(p, others.c0);
  (*sum).c1 += weighted(p, others.c1);
  (*sum).c2 += weighted(p, others.c2);
  (*sum).c3 += weighted(p, others.c3);
  (*sum).c4 += weighted(p, others.c4);
  (*sum).c5 += weighted(p, others.c5);
  (*sum).c6 += weighted(p, others.c6);
  (*sum).c7 += weighted(p, others.c7);
}

fn scaled(h: Head, f: f32) -> Head {
  return Head(
    f * h.c0,
    f * h.c1,
    f * h.c2,
    f * h.c3,
    f * h.c4,
    f * h.c5,
    f * h.c6,
    f * h.c7,
  );
}
