// Equation: y[n,co,oy,ox] = bias[co] + channel[n,co] + extra[n,co,oy,ox]
//   + sum over ci, kh, kw of weight[co,ci,kh,kw] * x[n, ci, oy + kh - 1, ox + kw - 1]
// Source: torch.nn.functional.conv2d with a 3×3 kernel, stride 1 and padding 1; with the weights
//   packed flipped and transposed also its input gradient.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/taps_3x3.wgsl
// Joins: kernels/lib/eight_pixels.wgsl
// Joins: kernels/lib/eight_taps.wgsl
// Joins: kernels/lib/stores.wgsl
// Joins: kernels/lib/tile_8x4.wgsl
// Bindings:
//   x: f32 [N,Ci,H,W] staged
//   panels: staged, packed by pack_panels.wgsl, a panel being the biases and weights of 8
//     output channels, [8] and [ci,3,3,8] floats
//   extra: f32 [N,Co,H,W] staged, a residual; any if unused
//   channel: f32 [N,Co]; any if unused
//   y: [N,Co,H,W], f32 or f16, as vec4
// Grid: x: panels, one after the other so that they find the pixels in the cache; y: one
//   invocation per 8×4 pixels.
// Numerics: f32; the nine products of an input channel are summed before they join the running sum,
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
  has_extra: u32,
  has_channel: u32,
}

override WORKGROUP: u32 = 32;
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var panels: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var extra: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var<storage, read> channel: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<Stored>;

fn load_row(plane: u32, iy: i32, column: u32) -> Row {
  return taps_of(load_eight(plane, iy, column, params.h, params.w4));
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

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = wid.y * WORKGROUP + lane;
  let strips = (params.w4 + 1) / 2;
  let bands = (params.h + 3) / 4;
  let column = index % strips * 2;
  let oy = index / strips % bands * 4;
  let n = index / (strips * bands);
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
  let top = i32(oy) - 1;
  for (var ci = 0u; ci < params.ci; ci++) {
    let r0 = load_row(plane, top, column);
    let r1 = load_row(plane, top + 1, column);
    let r2 = load_row(plane, top + 2, column);
    let r3 = load_row(plane, top + 3, column);
    let r4 = load_row(plane, top + 4, column);
    let r5 = load_row(plane, top + 5, column);
    {
      let k = kernels(at);
      add_products(&t0, k.k0, r0, r1, r2, r3, r4, r5);
      add_products(&t1, k.k1, r0, r1, r2, r3, r4, r5);
      add_products(&t2, k.k2, r0, r1, r2, r3, r4, r5);
      add_products(&t3, k.k3, r0, r1, r2, r3, r4, r5);
    }
    {
      let k = kernels(at + 1);
      add_products(&t4, k.k0, r0, r1, r2, r3, r4, r5);
      add_products(&t5, k.k1, r0, r1, r2, r3, r4, r5);
      add_products(&t6, k.k2, r0, r1, r2, r3, r4, r5);
      add_products(&t7, k.k3, r0, r1, r2, r3, r4, r5);
    }
    plane += area;
    at += 18;
  }
  let co = wid.x * 8;
  store_four(lane, t0, t1, t2, t3, n, co, oy, column);
  store_four(lane, t4, t5, t6, t7, n, co + 4, oy, column);
}
