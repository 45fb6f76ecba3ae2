// Equation: y[n,co,2i+h,2j+g] = bias[co] + sum over ci, a, b in {0, 1} of
//   K[co, ci, 3 - h - 2a, 3 - g - 2b] * x[n, ci, i + h - 1 + a, j + g - 1 + b], K of
//   pack_upsampled.wgsl
// Source: torch.nn.functional.conv2d, 3×3, padding 1, of x with each pixel doubled: 4 products for
//   each output pixel and input channel instead of 9.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/taps_3x3.wgsl
// Joins: kernels/lib/eight_pixels.wgsl
// Joins: kernels/lib/eight_taps.wgsl
// Joins: kernels/lib/panel_alone.wgsl
// Joins: kernels/lib/stores.wgsl
// Bindings:
//   x: f32 [N,Ci,H,W] staged
//   panels: staged, packed by pack_upsampled.wgsl
//   y: [N,Co,2H,2W], f32 or f16, as vec4
// Grid: x: panels of 8 output channels, h = 0 and 1 of each, one after the other so that they find
//   the pixels in the cache; y: one invocation per 8×2 pixels of x, which makes 16×2 of y.
// Numerics: f32; the four products of an input channel are summed before they join the running sum,
//   so that the error is about 2^-24 * (sqrt(Ci) + 3) / 2 relative.
// Shapes: W a multiple of 4.
// Writes: every output element.

struct Params {
  batch: u32,
  h: u32,
  w4: u32,
  ci: u32,
  co: u32,
  panel_size: u32,
}

/// Sums of two rows of 16 pixels of one output channel, even and odd columns apart.
struct Tile {
  a_even0: vec4<f32>,
  a_odd0: vec4<f32>,
  b_even0: vec4<f32>,
  b_odd0: vec4<f32>,
  a_even1: vec4<f32>,
  a_odd1: vec4<f32>,
  b_even1: vec4<f32>,
  b_odd1: vec4<f32>,
}

override WORKGROUP: u32 = 32;
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var panels: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> y: array<Stored>;

fn load_row(plane: u32, iy: i32, column: u32) -> Row {
  return taps_of(load_eight(plane, iy, column, params.h, params.w4));
}

fn even(k: vec4<f32>, t: Taps) -> vec4<f32> {
  return k.w * t.left + k.y * t.middle;
}

fn odd(k: vec4<f32>, t: Taps) -> vec4<f32> {
  return k.z * t.middle + k.x * t.right;
}

/// The two rows of K that this h meets are k and l.
fn add_products(
  tile: ptr<function, Tile>,
  k: vec4<f32>,
  l: vec4<f32>,
  r0: Row,
  r1: Row,
  r2: Row,
) {
  (*tile).a_even0 += even(k, r0.a) + even(l, r1.a);
  (*tile).a_odd0 += odd(k, r0.a) + odd(l, r1.a);
  (*tile).b_even0 += even(k, r0.b) + even(l, r1.b);
  (*tile).b_odd0 += odd(k, r0.b) + odd(l, r1.b);
  (*tile).a_even1 += even(k, r1.a) + even(l, r2.a);
  (*tile).a_odd1 += odd(k, r1.a) + odd(l, r2.a);
  (*tile).b_even1 += even(k, r1.b) + even(l, r2.b);
  (*tile).b_odd1 += odd(k, r1.b) + odd(l, r2.b);
}

fn filled(v: f32) -> Tile {
  return Tile(vec4(v), vec4(v), vec4(v), vec4(v), vec4(v), vec4(v), vec4(v), vec4(v));
}

fn put(at: u32, value: Stored) {
  y[at] = value;
}

/// 8 pixels.
fn store_eight(lane: u32, inside: bool, even: vec4<f32>, odd: vec4<f32>, at: u32) {
  put_all(lane, inside, at, Stored(vec4(even.x, odd.x, even.y, odd.y)));
  put_all(lane, inside, at + 1, Stored(vec4(even.z, odd.z, even.w, odd.w)));
}

fn store(lane: u32, tile: Tile, n: u32, co: u32, row: u32, half: u32, column: u32) {
  let is_one = n < params.batch && co < params.co;
  let has_b = is_one && column + 1 < params.w4;
  let at = (((n * params.co + co) * params.h + row) * 2 + half) * params.w4 * 2 + column * 2;
  store_eight(lane, is_one, tile.a_even0, tile.a_odd0, at);
  store_eight(lane, has_b, tile.b_even0, tile.b_odd0, at + 2);
  let has_next = row + 1 < params.h;
  let next = at + params.w4 * 4;
  store_eight(lane, is_one && has_next, tile.a_even1, tile.a_odd1, next);
  store_eight(lane, has_b && has_next, tile.b_even1, tile.b_odd1, next + 2);
}

/// Tile i of four.
fn chosen(i: u32, t0: Tile, t1: Tile, t2: Tile, t3: Tile) -> Tile {
  let odd = (i & 1) != 0;
  let two = (i & 2) != 0;
  return Tile(
    select(select(t0.a_even0, t1.a_even0, odd), select(t2.a_even0, t3.a_even0, odd), two),
    select(select(t0.a_odd0, t1.a_odd0, odd), select(t2.a_odd0, t3.a_odd0, odd), two),
    select(select(t0.b_even0, t1.b_even0, odd), select(t2.b_even0, t3.b_even0, odd), two),
    select(select(t0.b_odd0, t1.b_odd0, odd), select(t2.b_odd0, t3.b_odd0, odd), two),
    select(select(t0.a_even1, t1.a_even1, odd), select(t2.a_even1, t3.a_even1, odd), two),
    select(select(t0.a_odd1, t1.a_odd1, odd), select(t2.a_odd1, t3.a_odd1, odd), two),
    select(select(t0.b_even1, t1.b_even1, odd), select(t2.b_even1, t3.b_even1, odd), two),
    select(select(t0.b_odd1, t1.b_odd1, odd), select(t2.b_odd1, t3.b_odd1, odd), two),
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
  row: u32,
  half: u32,
  column: u32,
) {
  for (var i = 0u; i < 4; i++) {
    store(lane, chosen(i, t0, t1, t2, t3), n, first + i, row, half, column);
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = wid.y * WORKGROUP + lane;
  let strips = (params.w4 + 1) / 2;
  let bands = (params.h + 1) / 2;
  let column = index % strips * 2;
  let row = index / strips % bands * 2;
  let image = index / (strips * bands);
  // Invocations past the last image help to read.
  let n = min(image, params.batch - 1);
  let half = wid.x & 1;
  var at = wid.x * params.panel_size;
  let bias_low = staged(panels, at);
  let bias_high = staged(panels, at + 1);
  at += 2;
  var t0 = filled(bias_low.x);
  var t1 = filled(bias_low.y);
  var t2 = filled(bias_low.z);
  var t3 = filled(bias_low.w);
  var t4 = filled(bias_high.x);
  var t5 = filled(bias_high.y);
  var t6 = filled(bias_high.z);
  var t7 = filled(bias_high.w);

  let area = params.h * params.w4;
  var plane = n * params.ci * area;
  let top = i32(row + half) - 1;
  for (var ci = 0u; ci < params.ci; ci++) {
    let r0 = load_row(plane, top, column);
    let r1 = load_row(plane, top + 1, column);
    let r2 = load_row(plane, top + 2, column);
    let weights = load_panel(at, lane);
    let k0 = four_0(weights);
    add_products(&t0, k0.a, k0.b, r0, r1, r2);
    add_products(&t1, k0.c, k0.d, r0, r1, r2);
    let k1 = four_1(weights);
    add_products(&t2, k1.a, k1.b, r0, r1, r2);
    add_products(&t3, k1.c, k1.d, r0, r1, r2);
    let k2 = four_2(weights);
    add_products(&t4, k2.a, k2.b, r0, r1, r2);
    add_products(&t5, k2.c, k2.d, r0, r1, r2);
    let k3 = four_3(weights);
    add_products(&t6, k3.a, k3.b, r0, r1, r2);
    add_products(&t7, k3.c, k3.d, r0, r1, r2);
    plane += area;
    at += 16;
  }
  let co = wid.x / 2 * 8;
  store_four(lane, t0, t1, t2, t3, image, co, row, half, column);
  store_four(lane, t4, t5, t6, t7, image, co + 4, row, half, column);
}
