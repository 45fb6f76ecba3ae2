// Equation: dx[n,ci,iy,ix] = extra[n,ci,iy,ix] + sum over co, kh, kw of weight[co,ci,kh,kw] *
//   dy[n, co, (iy + 1 - kh)/2, (ix + 1 - kw)/2] where the divisions leave no rest
// Source: input gradient of direct_3x3_stride2.wgsl: an even pixel meets the middle of the kernel,
//   an odd one its two ends.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/taps_3x3.wgsl
// Joins: kernels/lib/stores.wgsl
// Bindings:
//   x: dy, f32 [N,Ci,Ho,Wo] staged
//   panels: staged, packed transposed by pack_panels.wgsl (so the kernels are flipped), a panel
//     being 8 zeros and the weights of 8 of dx's channels, [dy's channels,3,3,8] floats
//   extra: f32 like dx, staged, another gradient; any if unused
//   channel: f32 [N, dx's channels]; any if unused
//   y: dx [N,co,H,W], f32 or f16, as vec4
// Grid: x: panels, one after the other so that they find the pixels in the cache; y: one
//   invocation per 8×4 pixels of dx.
// Numerics: f32; the products of a channel are summed before they join the running sum.
// Shapes: W a multiple of 8 and Wo = W/2.
// Writes: every output element.

struct Params {
  batch: u32,
  h: u32,
  w4: u32,
  ho: u32,
  wo4: u32,
  ci: u32,
  co: u32,
  panel_size: u32,
  has_extra: u32,
  has_channel: u32,
}

/// Four pixels of dy and their right neighbours.
struct Pair {
  here: vec4<f32>,
  next: vec4<f32>,
}

/// Sums of 8×4 pixels of one channel, even and odd columns apart.
struct Tile {
  even0: vec4<f32>,
  odd0: vec4<f32>,
  even1: vec4<f32>,
  odd1: vec4<f32>,
  even2: vec4<f32>,
  odd2: vec4<f32>,
  even3: vec4<f32>,
  odd3: vec4<f32>,
}

override WORKGROUP: u32 = 32;
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var panels: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var extra: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var<storage, read> channel: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<Stored>;

fn load_row(plane: u32, oy: u32, column: u32) -> Pair {
  let inside = oy < params.ho;
  let at = plane + min(oy, params.ho - 1) * params.wo4 + column;
  let a = select(vec4(0.0), staged(x, at), inside);
  let b = select(0.0, staged(x, at + 1).x, inside && column + 1 < params.wo4);
  return Pair(a, vec4(a.yzw, b));
}

/// The kernel is flipped: its left column is that of kw = 2.
fn add_products(tile: ptr<function, Tile>, k: Kernel, r0: Pair, r1: Pair, r2: Pair) {
  (*tile).even0 += k.middle.y * r0.here;
  (*tile).odd0 += k.middle.x * r0.here + k.middle.z * r0.next;
  (*tile).even1 += k.top.y * r0.here + k.bottom.y * r1.here;
  (*tile).odd1 += k.top.x * r0.here + k.top.z * r0.next + k.bottom.x * r1.here +
    k.bottom.z * r1.next;
  (*tile).even2 += k.middle.y * r1.here;
  (*tile).odd2 += k.middle.x * r1.here + k.middle.z * r1.next;
  (*tile).even3 += k.top.y * r1.here + k.bottom.y * r2.here;
  (*tile).odd3 += k.top.x * r1.here + k.top.z * r1.next + k.bottom.x * r2.here +
    k.bottom.z * r2.next;
}

/// Kernels of 4 output channels, from every second vec4 of a panel.
fn kernels(at: u32) -> Kernels {
  return transpose_taps(
    staged(panels, at),
    staged(panels, at + 2),
    staged(panels, at + 4),
    staged(panels, at + 6),
    staged(panels, at + 8),
    staged(panels, at + 10),
    staged(panels, at + 12),
    staged(panels, at + 14),
    staged(panels, at + 16),
  );
}

fn filled(v: f32) -> Tile {
  return Tile(vec4(v), vec4(v), vec4(v), vec4(v), vec4(v), vec4(v), vec4(v), vec4(v));
}

fn put(at: u32, value: Stored) {
  y[at] = value;
}

fn store_row(lane: u32, inside: bool, even: vec4<f32>, odd: vec4<f32>, at: u32, add: f32) {
  var a = vec4(even.x, odd.x, even.y, odd.y) + add;
  var b = vec4(even.z, odd.z, even.w, odd.w) + add;
  if (params.has_extra != 0) {
    a += staged(extra, at);
    b += staged(extra, at + 1);
  }
  put_all(lane, inside, at, Stored(a));
  put_all(lane, inside, at + 1, Stored(b));
}

fn store(lane: u32, tile: Tile, n: u32, co: u32, iy: u32, column: u32) {
  let is_one = n < params.batch && co < params.co;
  let row = min(n, params.batch - 1) * params.co + min(co, params.co - 1);
  let add = select(0.0, channel[row], params.has_channel != 0);
  let h = params.h;
  let w4 = params.w4;
  let at = (row * h + iy) * w4 + column * 2;
  store_row(lane, is_one && iy < h, tile.even0, tile.odd0, at, add);
  store_row(lane, is_one && iy + 1 < h, tile.even1, tile.odd1, at + w4, add);
  store_row(lane, is_one && iy + 2 < h, tile.even2, tile.odd2, at + 2 * w4, add);
  store_row(lane, is_one && iy + 3 < h, tile.even3, tile.odd3, at + 3 * w4, add);
}

/// Tile i of four.
fn chosen(i: u32, t0: Tile, t1: Tile, t2: Tile, t3: Tile) -> Tile {
  let odd = (i & 1) != 0;
  let two = (i & 2) != 0;
  return Tile(
    select(select(t0.even0, t1.even0, odd), select(t2.even0, t3.even0, odd), two),
    select(select(t0.odd0, t1.odd0, odd), select(t2.odd0, t3.odd0, odd), two),
    select(select(t0.even1, t1.even1, odd), select(t2.even1, t3.even1, odd), two),
    select(select(t0.odd1, t1.odd1, odd), select(t2.odd1, t3.odd1, odd), two),
    select(select(t0.even2, t1.even2, odd), select(t2.even2, t3.even2, odd), two),
    select(select(t0.odd2, t1.odd2, odd), select(t2.odd2, t3.odd2, odd), two),
    select(select(t0.even3, t1.even3, odd), select(t2.even3, t3.even3, odd), two),
    select(select(t0.odd3, t1.odd3, odd), select(t2.odd3, t3.odd3, odd), two),
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
  iy: u32,
  column: u32,
) {
  for (var i = 0u; i < 4; i++) {
    store(lane, chosen(i, t0, t1, t2, t3), n, first + i, iy, column);
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = wid.y * WORKGROUP + lane;
  let bands = (params.h + 3) / 4;
  let column = index % params.wo4;
  let band = index / params.wo4 % bands;
  let n = index / (params.wo4 * bands);
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

  let area = params.ho * params.wo4;
  var plane = min(n, params.batch - 1) * params.ci * area;
  for (var ci = 0u; ci < params.ci; ci++) {
    let r0 = load_row(plane, band * 2, column);
    let r1 = load_row(plane, band * 2 + 1, column);
    let r2 = load_row(plane, band * 2 + 2, column);
    {
      let k = kernels(at);
      add_products(&t0, k.k0, r0, r1, r2);
      add_products(&t1, k.k1, r0, r1, r2);
      add_products(&t2, k.k2, r0, r1, r2);
      add_products(&t3, k.k3, r0, r1, r2);
    }
    {
      let k = kernels(at + 1);
      add_products(&t4, k.k0, r0, r1, r2);
      add_products(&t5, k.k1, r0, r1, r2);
      add_products(&t6, k.k2, r0, r1, r2);
      add_products(&t7, k.k3, r0, r1, r2);
    }
    plane += area;
    at += 18;
  }
  let co = wid.x * 8;
  store_four(lane, t0, t1, t2, t3, n, co, band * 4, column);
  store_four(lane, t4, t5, t6, t7, n, co + 4, band * 4, column);
}
