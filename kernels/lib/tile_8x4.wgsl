// Library: sums of tiles of 8×4 pixels of one output channel of a 3×3 convolution, and their store
// with what is added there; joined after eight_taps.wgsl and stores.wgsl, in front of kernels that
// bind params, extra, channel and y as direct_3x3.wgsl does.

struct Tile {
  a0: vec4<f32>,
  b0: vec4<f32>,
  a1: vec4<f32>,
  b1: vec4<f32>,
  a2: vec4<f32>,
  b2: vec4<f32>,
  a3: vec4<f32>,
  b3: vec4<f32>,
}

fn add_products(
  tile: ptr<function, Tile>,
  k: Kernel,
  r0: Row,
  r1: Row,
  r2: Row,
  r3: Row,
  r4: Row,
  r5: Row,
) {
  (*tile).a0 += products(k, r0.a, r1.a, r2.a);
  (*tile).b0 += products(k, r0.b, r1.b, r2.b);
  (*tile).a1 += products(k, r1.a, r2.a, r3.a);
  (*tile).b1 += products(k, r1.b, r2.b, r3.b);
  (*tile).a2 += products(k, r2.a, r3.a, r4.a);
  (*tile).b2 += products(k, r2.b, r3.b, r4.b);
  (*tile).a3 += products(k, r3.a, r4.a, r5.a);
  (*tile).b3 += products(k, r3.b, r4.b, r5.b);
}

fn filled(v: f32) -> Tile {
  return Tile(vec4(v), vec4(v), vec4(v), vec4(v), vec4(v), vec4(v), vec4(v), vec4(v));
}

fn put(at: u32, value: Stored) {
  y[at] = value;
}

/// Two vec4 of a row, the second of which may lie past its end.
fn store_row(
  lane: u32,
  inside: bool,
  a: vec4<f32>,
  b: vec4<f32>,
  at: u32,
  has_b: bool,
  add: f32,
) {
  var sum_a = a + add;
  var sum_b = b + add;
  if (params.has_extra != 0) {
    sum_a += staged(extra, at);
    sum_b += staged(extra, at + 1);
  }
  put_all(lane, inside, at, Stored(sum_a));
  put_all(lane, inside && has_b, at + 1, Stored(sum_b));
}

fn store(lane: u32, tile: Tile, n: u32, co: u32, oy: u32, column: u32) {
  let is_one = co < params.co;
  let row = n * params.co + min(co, params.co - 1);
  let add = select(0.0, channel[row], params.has_channel != 0);
  let at = (row * params.h + oy) * params.w4 + column;
  let has_b = column + 1 < params.w4;
  let h = params.h;
  let w4 = params.w4;
  store_row(lane, is_one && oy < h, tile.a0, tile.b0, at, has_b, add);
  store_row(lane, is_one && oy + 1 < h, tile.a1, tile.b1, at + w4, has_b, add);
  store_row(lane, is_one && oy + 2 < h, tile.a2, tile.b2, at + 2 * w4, has_b, add);
  store_row(lane, is_one && oy + 3 < h, tile.a3, tile.b3, at + 3 * w4, has_b, add);
}

/// Tile i of four.
fn chosen(i: u32, t0: Tile, t1: Tile, t2: Tile, t3: Tile) -> Tile {
  let odd = (i & 1) != 0;
  let two = (i & 2) != 0;
  return Tile(
    select(select(t0.a0, t1.a0, odd), select(t2.a0, t3.a0, odd), two),
    select(select(t0.b0, t1.b0, odd), select(t2.b0, t3.b0, odd), two),
    select(select(t0.a1, t1.a1, odd), select(t2.a1, t3.a1, odd), two),
    select(select(t0.b1, t1.b1, odd), select(t2.b1, t3.b1, odd), two),
    select(select(t0.a2, t1.a2, odd), select(t2.a2, t3.a2, odd), two),
    select(select(t0.b2, t1.b2, odd), select(t2.b2, t3.b2, odd), two),
    select(select(t0.a3, t1.a3, odd), select(t2.a3, t3.a3, odd), two),
    select(select(t0.b3, t1.b3, odd), select(t2.b3, t3.b3, odd), two),
  );
}

/// Of four channels. A loop, for a store is much code.
fn store_four(
  lane: u32,
  t0: Tile,
  t1: Tile,
  t2: Tile,
  t3: Tile,
  n: u32,
  first: u32,
  oy: u32,
  column: u32,
) {
  for (var i = 0u; i < 4; i++) {
    store(lane, chosen(i, t0, t1, t2, t3), n, first + i, oy, column);
  }
}
