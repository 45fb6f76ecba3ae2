// Equation: y[n,co,oy,ox] = bias[co] + channel[n,co] + extra[n,co,oy,ox]
//   + sum over ci, kh, kw of weight[co,ci,kh,kw] * x[n, ci, 2 oy + kh - 1, 2 ox + kw - 1]
// Source: torch.nn.functional.conv2d with a 3×3 kernel, stride 2 and padding 1.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/taps_3x3.wgsl
// Bindings:
//   x: f32 [N,Ci,H,W] staged
//   panels: staged, packed by pack_panels.wgsl, a panel being the biases and weights of 8
//     output channels, [8] and [ci,3,3,8] floats
//   extra: f32 [N,Co,Ho,Wo] staged, a residual; any if unused
//   channel: f32 [N,Co]; any if unused
//   y: [N,Co,Ho,Wo], f32 or f16, as vec4
// Grid: x: panels, one after the other so that they find the pixels in the cache; y: one
//   invocation per 4×4 pixels.
// Numerics: f32; the nine products of an input channel are summed before they join the running sum.
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

/// Sums of 4×4 pixels of one output channel.
struct Tile {
  row0: vec4<f32>,
  row1: vec4<f32>,
  row2: vec4<f32>,
  row3: vec4<f32>,
}

override WORKGROUP: u32 = 32;
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var panels: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var extra: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var<storage, read> channel: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<Stored>;

/// The pixels that a row of 4 output pixels meets: every second one, from three starts.
fn load_row(plane: u32, iy: i32, column: u32) -> Taps {
  let inside = iy >= 0 && iy < i32(params.h);
  let at = plane + u32(clamp(iy, 0, i32(params.h) - 1)) * params.w4 + column;
  let l = select(0.0, staged(x, max(at, 1) - 1).w, inside && column > 0);
  let a = select(vec4(0.0), staged(x, at), inside);
  let b = select(vec4(0.0), staged(x, at + 1), inside);
  return Taps(vec4(l, a.yw, b.y), vec4(a.xz, b.xz), vec4(a.yw, b.yw));
}

fn add_products(
  tile: ptr<function, Tile>,
  k: Kernel,
  r0: Taps,
  r1: Taps,
  r2: Taps,
  r3: Taps,
  r4: Taps,
  r5: Taps,
  r6: Taps,
  r7: Taps,
  r8: Taps,
) {
  (*tile).row0 += products(k, r0, r1, r2);
  (*tile).row1 += products(k, r2, r3, r4);
  (*tile).row2 += products(k, r4, r5, r6);
  (*tile).row3 += products(k, r6, r7, r8);
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
  return Tile(vec4(v), vec4(v), vec4(v), vec4(v));
}

fn store_row(v: vec4<f32>, plane: u32, oy: u32, column: u32, add: f32) {
  if (oy >= params.ho) {
    return;
  }
  let at = plane + oy * params.wo4 + column;
  var sum = v + add;
  if (params.has_extra != 0) {
    sum += staged(extra, at);
  }
  y[at] = Stored(sum);
}

fn store(tile: Tile, n: u32, co: u32, oy: u32, column: u32) {
  if (co >= params.co) {
    return;
  }
  let add = select(0.0, channel[n * params.co + co], params.has_channel != 0);
  let plane = (n * params.co + co) * params.ho * params.wo4;
  store_row(tile.row0, plane, oy, column, add);
  store_row(tile.row1, plane, oy + 1, column, add);
  store_row(tile.row2, plane, oy + 2, column, add);
  store_row(tile.row3, plane, oy + 3, column, add);
}

/// Tile i of four.
fn chosen(i: u32, t0: Tile, t1: Tile, t2: Tile, t3: Tile) -> Tile {
  let odd = (i & 1) != 0;
  let two = (i & 2) != 0;
  return Tile(
    select(select(t0.row0, t1.row0, odd), select(t2.row0, t3.row0, odd), two),
    select(select(t0.row1, t1.row1, odd), select(t2.row1, t3.row1, odd), two),
    select(select(t0.row2, t1.row2, odd), select(t2.row2, t3.row2, odd), two),
    select(select(t0.row3, t1.row3, odd), select(t2.row3, t3.row3, odd), two),
  );
}

/// Of four channels. A loop, for a store is much code.
fn store_four(
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
    store(chosen(i, t0, t1, t2, t3), n, first + i, oy, column);
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = wid.y * WORKGROUP + lane;
  let bands = (params.ho + 3) / 4;
  let column = index % params.wo4;
  let oy = index / params.wo4 % bands * 4;
  let n = index / (params.wo4 * bands);
  if (n >= params.batch) {
    return;
  }
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
  let top = i32(oy) * 2 - 1;
  for (var ci = 0u; ci < params.ci; ci++) {
    let r0 = load_row(plane, top, column * 2);
    let r1 = load_row(plane, top + 1, column * 2);
    let r2 = load_row(plane, top + 2, column * 2);
    let r3 = load_row(plane, top + 3, column * 2);
    let r4 = load_row(plane, top + 4, column * 2);
    let r5 = load_row(plane, top + 5, column * 2);
    let r6 = load_row(plane, top + 6, column * 2);
    let r7 = load_row(plane, top + 7, column * 2);
    let r8 = load_row(plane, top + 8, column * 2);
    {
      let k = kernels(at);
      add_products(&t0, k.k0, r0, r1, r2, r3, r4, r5, r6, r7, r8);
      add_products(&t1, k.k1, r0, r1, r2, r3, r4, r5, r6, r7, r8);
      add_products(&t2, k.k2, r0, r1, r2, r3, r4, r5, r6, r7, r8);
      add_products(&t3, k.k3, r0, r1, r2, r3, r4, r5, r6, r7, r8);
    }
    {
      let k = kernels(at + 1);
      add_products(&t4, k.k0, r0, r1, r2, r3, r4, r5, r6, r7, r8);
      add_products(&t5, k.k1, r0, r1, r2, r3, r4, r5, r6, r7, r8);
      add_products(&t6, k.k2, r0, r1, r2, r3, r4, r5, r6, r7, r8);
      add_products(&t7, k.k3, r0, r1, r2, r3, r4, r5, r6, r7, r8);
    }
    plane += area;
    at += 18;
  }
  let co = wid.x * 8;
  store_four(t0, t1, t2, t3, n, co, oy, column);
  store_four(t4, t5, t6, t7, n, co + 4, oy, column);
}
