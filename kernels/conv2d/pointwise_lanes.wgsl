// Equation: y[n,co,p] = bias[co] + channel[n,co] + extra[n,co,p] + sum over ci of
//   weight[co,ci] * x[n,ci,p]
// Source: torch.nn.functional.conv2d with a 1×1 kernel; with the weights packed transposed also its
//   input gradient.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/gemm_tile.wgsl
// Joins: kernels/lib/stores.wgsl
// Joins: kernels/lib/pointwise_store.wgsl
// Joins: kernels/lib/eight_lanes.wgsl
// Joins: kernels/lib/lane_texels.wgsl
// Joins: kernels/lib/panel_lanes.wgsl
// Bindings:
//   x: f32 [N,Ci,pixels] staged
//   panels: staged, packed by pack_panels.wgsl, a panel being the biases and weights of 16
//     output channels, [16] and [ci4,16] floats, ci4 being Ci rounded up to 4
//   extra: f32 [N,Co,pixels] staged, a residual; any if unused
//   channel: f32 [N,Co]; any if unused
//   y: [N,Co,pixels], f32 or f16, as vec4
// Grid: x: panels, one after the other so that they find the pixels in the cache; y: one
//   invocation per 16 pixels. The weights a subgroup reads once.
// Numerics: f32; four products are summed before they join the running sum: relative error about
//   2^-24 * sqrt(Ci / 24).
// Shapes: pixels a multiple of 4.
// Writes: every output element.

struct Params {
  batch: u32,
  area4: u32,
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

/// 4 pixels of 4 channels.
fn column(at: u32, step1: u32, step2: u32, step3: u32) -> Four {
  return Four(
    staged(x, at),
    staged(x, at + step1),
    staged(x, at + step2),
    staged(x, at + step3),
  );
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = wid.y * WORKGROUP + lane;
  let strips = (params.area4 + 3) / 4;
  let pixel = index % strips * 4;
  let image = index / strips;
  // Invocations past the last image help to read.
  let n = min(image, params.batch - 1);
  var at = wid.x * params.panel_size;
  var t0 = filled(staged(panels, at));
  var t1 = filled(staged(panels, at + 1));
  var t2 = filled(staged(panels, at + 2));
  var t3 = filled(staged(panels, at + 3));
  at += 4;
  // Pixels past the last read others of the tensor and store nothing; channels past the last have
  // weights of zero.
  var source = n * params.ci * params.area4 + pixel;
  for (var ci = 0u; ci < params.ci; ci += 4) {
    let last = params.ci - 1 - ci;
    let step1 = min(1, last) * params.area4;
    let step2 = min(2, last) * params.area4;
    let step3 = min(3, last) * params.area4;
    let a = column(source, step1, step2, step3);
    let b = column(source + 1, step1, step2, step3);
    let c = column(source + 2, step1, step2, step3);
    let d = column(source + 3, step1, step2, step3);
    let weights = load_panel(at, lane);
    let k0 = four_0(weights);
    let k1 = four_1(weights);
    let k2 = four_2(weights);
    let k3 = four_3(weights);
    add_products(&t0, Four(k0.a, k1.a, k2.a, k3.a), a, b, c, d);
    add_products(&t1, Four(k0.b, k1.b, k2.b, k3.b), a, b, c, d);
    add_products(&t2, Four(k0.c, k1.c, k2.c, k3.c), a, b, c, d);
    add_products(&t3, Four(k0.d, k1.d, k2.d, k3.d), a, b, c, d);
    source += 4 * params.area4;
    at += 16;
  }
  let inside = image < params.batch;
  store_four(lane, inside, t0, t1, t2, t3, n, wid.x * 16, pixel);
}
