// Equation: y[n,co,oy,ox] = bias[co] + channel[n,co] + extra[n,co,oy,ox]
//   + sum over ci, kh, kw of weight[co,ci,kh,kw] * x[n, ci, oy + kh - 1, ox + kw - 1]
// Source: torch.nn.functional.conv2d with a 3×3 kernel, stride 1 and padding 1; with the weights
//   packed flipped and transposed also its input gradient.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/eight_lanes.wgsl
// Joins: kernels/lib/both_reads.wgsl
// Joins: kernels/lib/taps_3x3.wgsl
// Joins: kernels/lib/eight_pixels.wgsl
// Joins: kernels/lib/row_texels.wgsl
// Joins: kernels/lib/texels_as_stored.wgsl
// Joins: kernels/lib/lane_rows.wgsl
// Joins: kernels/lib/eight_taps.wgsl
// Joins: kernels/lib/stores.wgsl
// Joins: kernels/lib/tile_8x4.wgsl
// Bindings:
//   x: f32 [N,Ci,H,W] staged
//   panels: staged, packed by pack_panels.wgsl, a panel being the biases and weights of 32
//     output channels, [32] and [ci,3,3,32] floats
//   extra: f32 [N,Co,H,W] staged, a residual; any if unused
//   channel: f32 [N,Co]; any if unused
//   y: [N,Co,H,W], f32 or f16, as vec4
// Grid: x: panels, one after the other so that they find the pixels in the cache; y: tiles of
//   8×4 pixels, with subgroups of 16 two at a time; z: images. A workgroup is a subgroup. Eight
//   invocations have a tile, of which each takes 4 output channels; they share its pixels.
// Numerics: f32; the nine products of an input channel are summed before they join the running sum,
//   so that the error is about 2^-24 * (sqrt(Ci) + 3) / 2 relative.
// Shapes: W a multiple of 4.
// Writes: every output element.

struct Params {
  h: u32,
  w4: u32,
  ci: u32,
  co: u32,
  panel_size: u32,
  has_extra: u32,
  has_channel: u32,
}

override WORKGROUP: u32 = 8;
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var panels: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var extra: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var<storage, read> channel: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<Stored>;

fn fetch(at: u32) -> vec4<f32> {
  return staged(panels, at);
}

/// Kernels of 4 output channels, from every eighth vec4 of a panel.
fn kernels(at: u32) -> Kernels {
  let p = read_both(at, at + 8);
  let q = read_both(at + 16, at + 24);
  let r = read_both(at + 32, at + 40);
  let s = read_both(at + 48, at + 56);
  return transpose_taps(p.a, p.b, q.a, q.b, r.a, r.b, s.a, s.b, fetch(at + 64));
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_invocation_id) place: u32,
) {
  enter(place);
  let slot = lane % 8;
  let strips = (params.w4 + 1) / 2;
  let tile = wid.y * EIGHTS + lane / 8;
  let column = tile % strips * 2;
  let oy = tile / strips * 4;
  let n = wid.z;
  var at = wid.x * params.panel_size + slot;
  let bias = staged(panels, at);
  at += 8;
  var t0 = filled(bias.x);
  var t1 = filled(bias.y);
  var t2 = filled(bias.z);
  var t3 = filled(bias.w);

  let top = i32(oy) - 1;
  let texel0 = texel_of(slot, top, column, params.h, params.w4);
  let texel1 = texel_of(slot, top + 2, column, params.h, params.w4);
  let texel2 = texel_of(slot, top + 4, column, params.h, params.w4);
  let area = params.h * params.w4;
  var plane = n * params.ci * area;
  for (var ci = 0u; ci < params.ci; ci++) {
    let source = channel_of(n * params.ci + ci);
    let v0 = load_texel(source, plane, texel0);
    let v1 = load_texel(source, plane, texel1);
    let v2 = load_texel(source, plane, texel2);
    let r0 = taps_of(low_row(v0));
    let r1 = taps_of(high_row(v0));
    let r2 = taps_of(low_row(v1));
    let r3 = taps_of(high_row(v1));
    let r4 = taps_of(low_row(v2));
    let r5 = taps_of(high_row(v2));
    let k = kernels(at);
    add_products(&t0, k.k0, r0, r1, r2, r3, r4, r5);
    add_products(&t1, k.k1, r0, r1, r2, r3, r4, r5);
    add_products(&t2, k.k2, r0, r1, r2, r3, r4, r5);
    add_products(&t3, k.k3, r0, r1, r2, r3, r4, r5);
    plane += area;
    at += 72;
  }
  let co = wid.x * 32 + slot * 4;
  store(lane, t0, n, co, oy, column);
  store(lane, t1, n, co + 1, oy, column);
  store(lane, t2, n, co + 2, oy, column);
  store(lane, t3, n, co + 3, oy, column);
}
