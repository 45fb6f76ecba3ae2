// Library: what tiles of 1×1 convolutions begin with, and their store with what is added there;
// joined after gemm_tile.wgsl, in front of kernels that bind params, extra, channel and y as
// pointwise.wgsl does.

fn filled(v: vec4<f32>) -> Tile {
  let r = vec4(v.x);
  let s = vec4(v.y);
  let t = vec4(v.z);
  let u = vec4(v.w);
  return Tile(r, r, r, r, s, s, s, s, t, t, t, t, u, u, u, u);
}

fn store_pixels(v: vec4<f32>, plane: u32, pixel: u32, add: f32) {
  if (pixel >= params.area4) {
    return;
  }
  var sum = v + add;
  if (params.has_extra != 0) {
    sum += staged(extra, plane + pixel);
  }
  y[plane + pixel] = Stored(sum);
}

fn store_channel(
  a: vec4<f32>,
  b: vec4<f32>,
  c: vec4<f32>,
  d: vec4<f32>,
  n: u32,
  co: u32,
  pixel: u32,
) {
  if (co >= params.co) {
    return;
  }
  let add = select(0.0, channel[n * params.co + co], params.has_channel != 0);
  let plane = (n * params.co + co) * params.area4;
  store_pixels(a, plane, pixel, add);
  store_pixels(b, plane, pixel + 1, add);
  store_pixels(c, plane, pixel + 2, add);
  store_pixels(d, plane, pixel + 3, add);
}

fn store(t: Tile, n: u32, co: u32, pixel: u32) {
  store_channel(t.a0, t.b0, t.c0, t.d0, n, co, pixel);
  store_channel(t.a1, t.b1, t.c1, t.d1, n, co + 1, pixel);
  store_channel(t.a2, t.b2, t.c2, t.d2, n, co + 2, pixel);
  store_channel(t.a3, t.b3, t.c3, t.d3, n, co + 3, pixel);
}
