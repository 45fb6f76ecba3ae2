// Equation: P[slice,xi,co,ci] = sum over the tiles t of the slice of D[xi,t,co] * V[xi,t,ci]
// Source: weight gradient of Winograd F(4×4, 3×3), see kernels/lib/winograd.wgsl.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/lane_dots.wgsl
// Bindings:
//   v: f32 [36, v_plane] staged, a plane being [groups, ci, 16] and padding
//   d: f32 [36, d_plane] staged, a plane being [groups, co, 16] and padding
//   partial: f32 [slices, 36, co32, ci16] as vec4, co32 and ci16 being co and ci rounded up to 32
//     and 16
// Grid: x: blocks of 32 output channels times blocks of 16 input channels; y: positions. A
//   workgroup is a subgroup of 8: each invocation reads an eighth of the input channels' tiles for
//   all, and takes every eighth output channel.
// Numerics: f32; products of 16 tiles are summed first, then those of the chunk.
// Shapes: any; channels past the last repeat it and are ignored later.
// Writes: every output element of one slice.

struct Params {
  groups: u32,
  v_plane: u32,
  d_plane: u32,
  ci: u32,
  co: u32,
  ci_blocks: u32,
  co_blocks: u32,
  slice: u32,
}

override WORKGROUP: u32 = 8;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var v: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var d: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4<f32>>;

fn load_gradient(at: u32) -> Pixels {
  return Pixels(staged(d, at), staged(d, at + 1), staged(d, at + 2), staged(d, at + 3));
}

fn store(at: u32, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) {
  partial[at] = a;
  partial[at + 1] = b;
  partial[at + 2] = c;
  partial[at + 3] = d;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let co = wid.x % params.co_blocks * 32 + lane;
  let ci = wid.x / params.co_blocks * 16;
  let xi = wid.y;
  let last = params.ci * 4 - 1;
  let last_co = params.co - 1;
  var s00 = vec4(0.0);
  var s01 = vec4(0.0);
  var s02 = vec4(0.0);
  var s03 = vec4(0.0);
  var s10 = vec4(0.0);
  var s11 = vec4(0.0);
  var s12 = vec4(0.0);
  var s13 = vec4(0.0);
  var s20 = vec4(0.0);
  var s21 = vec4(0.0);
  var s22 = vec4(0.0);
  var s23 = vec4(0.0);
  var s30 = vec4(0.0);
  var s31 = vec4(0.0);
  var s32 = vec4(0.0);
  var s33 = vec4(0.0);
  for (var group = 0u; group < params.groups; group++) {
    let from_d = xi * params.d_plane + group * params.co * 4;
    let d0 = load_gradient(from_d + min(co, last_co) * 4);
    let d1 = load_gradient(from_d + min(co + 8, last_co) * 4);
    let d2 = load_gradient(from_d + min(co + 16, last_co) * 4);
    let d3 = load_gradient(from_d + min(co + 24, last_co) * 4);
    let from_v = xi * params.v_plane + group * params.ci * 4;
    let at = ci * 4 + lane;
    {
      let a = staged(v, from_v + min(at, last));
      let b = staged(v, from_v + min(at + 8, last));
      let p0 = low_pixels(a);
      let p1 = high_pixels(a);
      let p2 = low_pixels(b);
      let p3 = high_pixels(b);
      s00 += sums_of(d0, p0, p1, p2, p3);
      s10 += sums_of(d1, p0, p1, p2, p3);
      s20 += sums_of(d2, p0, p1, p2, p3);
      s30 += sums_of(d3, p0, p1, p2, p3);
    }
    {
      let a = staged(v, from_v + min(at + 16, last));
      let b = staged(v, from_v + min(at + 24, last));
      let p0 = low_pixels(a);
      let p1 = high_pixels(a);
      let p2 = low_pixels(b);
      let p3 = high_pixels(b);
      s01 += sums_of(d0, p0, p1, p2, p3);
      s11 += sums_of(d1, p0, p1, p2, p3);
      s21 += sums_of(d2, p0, p1, p2, p3);
      s31 += sums_of(d3, p0, p1, p2, p3);
    }
    {
      let a = staged(v, from_v + min(at + 32, last));
      let b = staged(v, from_v + min(at + 40, last));
      let p0 = low_pixels(a);
      let p1 = high_pixels(a);
      let p2 = low_pixels(b);
      let p3 = high_pixels(b);
      s02 += sums_of(d0, p0, p1, p2, p3);
      s12 += sums_of(d1, p0, p1, p2, p3);
      s22 += sums_of(d2, p0, p1, p2, p3);
      s32 += sums_of(d3, p0, p1, p2, p3);
    }
    {
      let a = staged(v, from_v + min(at + 48, last));
      let b = staged(v, from_v + min(at + 56, last));
      let p0 = low_pixels(a);
      let p1 = high_pixels(a);
      let p2 = low_pixels(b);
      let p3 = high_pixels(b);
      s03 += sums_of(d0, p0, p1, p2, p3);
      s13 += sums_of(d1, p0, p1, p2, p3);
      s23 += sums_of(d2, p0, p1, p2, p3);
      s33 += sums_of(d3, p0, p1, p2, p3);
    }
  }
  let row4 = params.ci_blocks * 4;
  let block = params.slice * 36 + xi;
  let to = (block * params.co_blocks * 32 + co) * row4 + ci / 4;
  store(to, s00, s01, s02, s03);
  store(to + 8 * row4, s10, s11, s12, s13);
  store(to + 16 * row4, s20, s21, s22, s23);
  store(to + 24 * row4, s30, s31, s32, s33);
}
