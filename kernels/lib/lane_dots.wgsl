// Library: products of 16 pixels of output channels with those of input channels, summed over the
// pixels, by a subgroup of eight: of the input channels each invocation holds 4 pixels, which all
// use.

/// 16 pixels of a channel.
struct Pixels {
  a: vec4<f32>,
  b: vec4<f32>,
  c: vec4<f32>,
  d: vec4<f32>,
}

/// The channel that lanes 0 to 3 hold.
fn low_pixels(v: vec4<f32>) -> Pixels {
  return Pixels(
    subgroupBroadcast(v, 0u),
    subgroupBroadcast(v, 1u),
    subgroupBroadcast(v, 2u),
    subgroupBroadcast(v, 3u),
  );
}

/// The channel that lanes 4 to 7 hold.
fn high_pixels(v: vec4<f32>) -> Pixels {
  return Pixels(
    subgroupBroadcast(v, 4u),
    subgroupBroadcast(v, 5u),
    subgroupBroadcast(v, 6u),
    subgroupBroadcast(v, 7u),
  );
}

fn sum_of(p: Pixels, q: Pixels) -> f32 {
  return (dot(p.a, q.a) + dot(p.b, q.b)) + (dot(p.c, q.c) + dot(p.d, q.d));
}

fn sums_of(d: Pixels, p0: Pixels, p1: Pixels, p2: Pixels, p3: Pixels) -> vec4<f32> {
  return vec4(sum_of(d, p0), sum_of(d, p1), sum_of(d, p2), sum_of(d, p3));
}
