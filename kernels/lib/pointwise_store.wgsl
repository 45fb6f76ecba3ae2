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

/// Tile i of four.
fn chosen(i: u32, t0: Tile, t1: Tile, t2: Tile, t3: Tile) -> Tile {
  let odd = (i & 1) != 0;
  let two = (i & 2) != 0;
  return Tile(
    select(select(t0.a0, t1.a0, odd), select(t2.a0, t3.a0, odd), two),
    select(select(t0.b0, t1.b0, odd), select(t2.b0, t3.b0, odd), two),
    select(select(t0.c0, t1.c0, odd), select(t2.c0, t3.c0, odd), two),
    select(select(t0.d0, t1.d0, odd), select(t2.d0, t3.d0, odd), two),
    select(select(t0.a1, t1.a1, odd), select(t2.a1, t3.a1, odd), two),
    select(select(t0.b1, t1.b1, odd), select(t2.b1, t3.b1, odd), two),
    select(select(t0.c1, t1.c1, odd), select(t2.c1, t3.c1, odd), two),
    select(select(t0.d1, t1.d1, odd), select(t2.d1, t3.d1, odd), two),
    select(select(t0.a2, t1.a2, odd), select(t2.a2, t3.a2, odd), two),
    select(select(t0.b2, t1.b2, odd), select(t2.b2, t3.b2, odd), two),
    select(select(t0.c2, t1.c2, odd), select(t2.c2, t3.c2, odd), two),
    select(select(t0.d2, t1.d2, odd), select(t2.d2, t3.d2, odd), two),
    select(select(t0.a3, t1.a3, odd), select(t2.a3, t3.a3, odd), two),
    select(select(t0.b3, t1.b3, odd), select(t2.b3, t3.b3, odd), two),
    select(select(t0.c3, t1.c3, odd), select(t2.c3, t3.c3, odd), two),
    select(select(t0.d3, t1.d3, odd), select(t2.d3, t3.d3, odd), two),
  );
}

fn store(lane: u32, inside: bool, t: Tile, n: u32, co: u32, pixel: u32) {
  store_channel(lane, inside, t.a0, t.b0, t.c0, t.d0, n, co, pixel);
  store_channel(lane, inside, t.a1, t.b1, t.c1, t.d1, n, co + 1, pixel);
  store_channel(lane, inside, t.a2, t.b2, t.c2, t.d2, n, co + 2, pixel);
  store_channel(lane, inside, t.a3, t.b3, t.c3, t.d3, n, co + 3, pixel);
}

/// A loop, for a store is much code.
fn store_four(
  lane: u32,
  inside: bool,
  t0: Tile,
  t1: Tile,
  t2: Tile,
  t3: Tile,
  n: u32,
  first: u32,
  pixel: u32,
) {
  for (var i = 0u; i < 4 && first + 4 * i < params.co; i++) {
    store(lane, inside, chosen(i, t0, t1, t2, t3), n, first + 4 * i, pixel);
  }
}
