// Equation: y[n,co,p] = bias[co] + channel[n,co] + extra[n,co,p] + sum over ci of
//   weight[co,ci] * x[n,ci,p]
// Source: torch.nn.functional.conv2d with a 1×1 kernel; with the weights packed transposed also its
//   input gradient.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/gemm_tile.wgsl
// Joins: kernels/lib/stores.wgsl
// Joins: kernels/lib/pointwise_store.wgsl
// Bindings:
//   x: f32 [N,Ci,pixels] staged
//   panels: staged, packed by pack_panels.wgsl, a panel being the biases and weights of 16
//     output channels, [16] and [ci2,16] floats, ci2 being Ci rounded up to 2
//   extra: f32 [N,Co,pixels] staged, a residual; any if unused
//   channel: f32 [N,Co]; any if unused
//   y: [N,Co,pixels], f32 or f16, as vec4
// Grid: x: panels, one after the other so that they find the pixels in the cache; y: one
//   invocation per 16 pixels.
// Numerics: f32; two products are summed before they join the running sum: relative error about
//   2^-24 * sqrt(Ci / 12).
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

/// 4 pixels of 2 channels.
struct Two {
  v0: vec4<f32>,
  v1: vec4<f32>,
}

fn column(at: u32, step: u32) -> Two {
  return Two(staged(x, at), staged(x, at + step));
}

/// Adds 2 input channels of 16 pixels to 4 output channels, whose weights lie 4 texels apart.
fn add_pair(tile: ptr<function, Tile>, at: u32, a: Two, b: Two, c: Two, d: Two) {
  let w = staged(panels, at);
  let v = staged(panels, at + 4);
  (*tile).a0 += w.x * a.v0 + v.x * a.v1;
  (*tile).b0 += w.x * b.v0 + v.x * b.v1;
  (*tile).c0 += w.x * c.v0 + v.x * c.v1;
  (*tile).d0 += w.x * d.v0 + v.x * d.v1;
  (*tile).a1 += w.y * a.v0 + v.y * a.v1;
  (*tile).b1 += w.y * b.v0 + v.y * b.v1;
  (*tile).c1 += w.y * c.v0 + v.y * c.v1;
  (*tile).d1 += w.y * d.v0 + v.y * d.v1;
  (*tile).a2 += w.z * a.v0 + v.z * a.v1;
  (*tile).b2 += w.z * b.v0 + v.z * b.v1;
  (*tile).c2 += w.z * c.v0 + v.z * c.v1;
  (*tile).d2 += w.z * d.v0 + v.z * d.v1;
  (*tile).a3 += w.w * a.v0 + v.w * a.v1;
  (*tile).b3 += w.w * b.v0 + v.w * b.v1;
  (*tile).c3 += w.w * c.v0 + v.w * c.v1;
  (*tile).d3 += w.w * d.v0 + v.w * d.v1;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = wid.y * WORKGROUP + lane;
  let strips = (params.area4 + 3) / 4;
  let pixel = index % strips * 4;
  let n = index / strips;
  if (n >= params.batch) {
    return;
  }
  var at = wid.x * params.panel_size;
  var t0 = filled(staged(panels, at));
  var t1 = filled(staged(panels, at + 1));
  var t2 = filled(staged(panels, at + 2));
  var t3 = filled(staged(panels, at + 3));
  at += 4;
  // Pixels past the last read others of the tensor and store nothing; channels past the last have
  // weights of zero.
  var source = n * params.ci * params.area4 + pixel;
  // Two at a time: a loop of four, with twice the machine code, was a tenth slower.
  for (var ci = 0u; ci < params.ci; ci += 2) {
    let step = min(1, params.ci - 1 - ci) * params.area4;
    let a = column(source, step);
    let b = column(source + 1, step);
    let c = column(source + 2, step);
    let d = column(source + 3, step);
    add_pair(&t0, at, a, b, c, d);
    add_pair(&t1, at + 1, a, b, c, d);
    add_pair(&t2, at + 2, a, b, c, d);
    add_pair(&t3, at + 3, a, b, c, d);
    source += 2 * params.area4;
    at += 8;
  }
  store_four(lane, true, t0, t1, t2, t3, n, wid.x * 16, pixel);
}
