// Library: what tiles of 1×1 convolutions begin with, and their store with what is added there;
// joined after gemm_tile.wgsl and stores.wgsl, in front of kernels that bind params, extra, channel
// and y as pointwise.wgsl does.

fn filled(v: vec4<f32>) -> Tile {
  let r = vec4(v.x);
  let s = vec4(v.y);
  let t = vec4(v.z);
  let u = vec4(v.w);
  return Tile(r, r, r, r, s, s, s, s, t, t, t, t, u, u, u, u);
}

fn put(at: u32, value: Stored) {
  y[at] = value;
}

fn store_pixels(lane: u32, inside: bool, v: vec4<f32>, plane: u32, pixel: u32, add: f32) {
  var sum = v + add;
  if (params.has_extra != 0) {
    sum += staged(extra, plane + pixel);
  }
  put_all(lane, inside && pixel < params.area4, plane + pixel, Stored(sum));
}

fn store_channel(
  lane: u32,
  inside: bool,
  a: vec4<f32>,
  b: vec4<f32>,
  c: vec4<f32>,
  d: vec4<f32>,
  n: u32,
  co: u32,
  pixel: u32,
) {
  let is_one = inside && co < params.co;
  let row = n * params.co + min(co, params.co - 1);
  let add = select(0.0, channel[row], params.has_channel != 0);
  let plane = row * params.area4;
  store_pixels(lane, is_one, a, plane, pixel, add);
  store_pixels(lane, is_one, b, plane, pixel + 1, add);
  store_pixels(lane, is_one, c, plane, pixel + 2, add);
  store_pixels(lane, is_one, d, plane, pixel + 3, add);
}

fn store(lane: u32, inside: bool, t: Tile, n: u32, co: u32, pixel: u32) {
  store_channel(lane, inside, t.a0, t.b0, t.c0, t.d0, n, co, pixel);
  store_channel(lane, inside, t.a1, t.b1, t.c1, t.d1, n, co + 1, pixel);
  store_channel(lane, inside, t.a2, t.b2, t.c2, t.d2, n, co + 2, pixel);
  store_channel(lane, inside, t.a3, t.b3, t.c3, t.d3, n, co + 3, pixel);
}
