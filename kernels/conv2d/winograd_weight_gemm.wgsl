// Equation: P[slice,xi,co,ci] = sum over the tiles t of the slice of D[xi,t,co] * V[xi,t,ci]
// Source: weight gradient of Winograd F(4×4, 3×3), see kernels/lib/winograd.wgsl.
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   v: f32 [36, v_plane] staged, a plane being [groups, ci, 16] and padding
//   d: f32 [36, d_plane] staged, a plane being [groups, co, 16] and padding
//   partial: f32 [slices, 36, co16, ci16] as vec4, co16 and ci16 being co and ci rounded up to 16
// Grid: x: one invocation per slice; y: blocks of 16 output channels times blocks of 16 input
//   channels; z: positions. Slice s takes the groups s, s + slices, s + 2 slices, ...
// Numerics: f32; products of 4 tiles are summed first, then those of the slice.
// Shapes: any; channels past the last repeat it and are ignored later.
// Writes: every output element of the slices from first_slice on.

struct Params {
  groups: u32,
  v_plane: u32,
  d_plane: u32,
  ci: u32,
  co: u32,
  ci_blocks: u32,
  co_blocks: u32,
  slices: u32,
  first_slice: u32,
}

override WORKGROUP: u32 = 8;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var v: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var d: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4<f32>>;

fn dots(d: vec4<f32>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, e: vec4<f32>) -> vec4<f32> {
  return vec4(dot(d, a), dot(d, b), dot(d, c), dot(d, e));
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
  let slice = wid.x * WORKGROUP + lane;
  if (slice >= params.slices) {
    return;
  }
  let co = wid.y % params.co_blocks * 16;
  let ci = wid.y / params.co_blocks * 16;
  let xi = wid.z;
  let last_ci = params.ci - 1 - ci;
  let last_co = params.co - 1 - co;
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
  var s40 = vec4(0.0);
  var s41 = vec4(0.0);
  var s42 = vec4(0.0);
  var s43 = vec4(0.0);
  var s50 = vec4(0.0);
  var s51 = vec4(0.0);
  var s52 = vec4(0.0);
  var s53 = vec4(0.0);
  var s60 = vec4(0.0);
  var s61 = vec4(0.0);
  var s62 = vec4(0.0);
  var s63 = vec4(0.0);
  var s70 = vec4(0.0);
  var s71 = vec4(0.0);
  var s72 = vec4(0.0);
  var s73 = vec4(0.0);
  var s80 = vec4(0.0);
  var s81 = vec4(0.0);
  var s82 = vec4(0.0);
  var s83 = vec4(0.0);
  var s90 = vec4(0.0);
  var s91 = vec4(0.0);
  var s92 = vec4(0.0);
  var s93 = vec4(0.0);
  var s100 = vec4(0.0);
  var s101 = vec4(0.0);
  var s102 = vec4(0.0);
  var s103 = vec4(0.0);
  var s110 = vec4(0.0);
  var s111 = vec4(0.0);
  var s112 = vec4(0.0);
  var s113 = vec4(0.0);
  var s120 = vec4(0.0);
  var s121 = vec4(0.0);
  var s122 = vec4(0.0);
  var s123 = vec4(0.0);
  var s130 = vec4(0.0);
  var s131 = vec4(0.0);
  var s132 = vec4(0.0);
  var s133 = vec4(0.0);
  var s140 = vec4(0.0);
  var s141 = vec4(0.0);
  var s142 = vec4(0.0);
  var s143 = vec4(0.0);
  var s150 = vec4(0.0);
  var s151 = vec4(0.0);
  var s152 = vec4(0.0);
  var s153 = vec4(0.0);
  // The four quads of a group lie side by side in memory.
  let stride = params.slices * 4 - 3;
  for (var i = slice * 4; i < params.groups * 4; i += select(1, stride, i % 4 == 3)) {
    let at = xi * params.v_plane + (i / 4 * params.ci + ci) * 4 + i % 4;
    let d_at = xi * params.d_plane + (i / 4 * params.co + co) * 4 + i % 4;
    let x0 = staged(v, at);
    let x1 = staged(v, at + min(1, last_ci) * 4);
    let x2 = staged(v, at + min(2, last_ci) * 4);
    let x3 = staged(v, at + min(3, last_ci) * 4);
    let x4 = staged(v, at + min(4, last_ci) * 4);
    let x5 = staged(v, at + min(5, last_ci) * 4);
    let x6 = staged(v, at + min(6, last_ci) * 4);
    let x7 = staged(v, at + min(7, last_ci) * 4);
    let x8 = staged(v, at + min(8, last_ci) * 4);
    let x9 = staged(v, at + min(9, last_ci) * 4);
    let x10 = staged(v, at + min(10, last_ci) * 4);
    let x11 = staged(v, at + min(11, last_ci) * 4);
    let x12 = staged(v, at + min(12, last_ci) * 4);
    let x13 = staged(v, at + min(13, last_ci) * 4);
    let x14 = staged(v, at + min(14, last_ci) * 4);
    let x15 = staged(v, at + min(15, last_ci) * 4);
    let e0 = staged(d, d_at);
    s00 += dots(e0, x0, x1, x2, x3);
    s01 += dots(e0, x4, x5, x6, x7);
    s02 += dots(e0, x8, x9, x10, x11);
    s03 += dots(e0, x12, x13, x14, x15);
    let e1 = staged(d, d_at + min(1, last_co) * 4);
    s10 += dots(e1, x0, x1, x2, x3);
    s11 += dots(e1, x4, x5, x6, x7);
    s12 += dots(e1, x8, x9, x10, x11);
    s13 += dots(e1, x12, x13, x14, x15);
    let e2 = staged(d, d_at + min(2, last_co) * 4);
    s20 += dots(e2, x0, x1, x2, x3);
    s21 += dots(e2, x4, x5, x6, x7);
    s22 += dots(e2, x8, x9, x10, x11);
    s23 += dots(e2, x12, x13, x14, x15);
    let e3 = staged(d, d_at + min(3, last_co) * 4);
    s30 += dots(e3, x0, x1, x2, x3);
    s31 += dots(e3, x4, x5, x6, x7);
    s32 += dots(e3, x8, x9, x10, x11);
    s33 += dots(e3, x12, x13, x14, x15);
    let e4 = staged(d, d_at + min(4, last_co) * 4);
    s40 += dots(e4, x0, x1, x2, x3);
    s41 += dots(e4, x4, x5, x6, x7);
    s42 += dots(e4, x8, x9, x10, x11);
    s43 += dots(e4, x12, x13, x14, x15);
    let e5 = staged(d, d_at + min(5, last_co) * 4);
    s50 += dots(e5, x0, x1, x2, x3);
    s51 += dots(e5, x4, x5, x6, x7);
    s52 += dots(e5, x8, x9, x10, x11);
    s53 += dots(e5, x12, x13, x14, x15);
    let e6 = staged(d, d_at + min(6, last_co) * 4);
    s60 += dots(e6, x0, x1, x2, x3);
    s61 += dots(e6, x4, x5, x6, x7);
    s62 += dots(e6, x8, x9, x10, x11);
    s63 += dots(e6, x12, x13, x14, x15);
    let e7 = staged(d, d_at + min(7, last_co) * 4);
    s70 += dots(e7, x0, x1, x2, x3);
    s71 += dots(e7, x4, x5, x6, x7);
    s72 += dots(e7, x8, x9, x10, x11);
    s73 += dots(e7, x12, x13, x14, x15);
    let e8 = staged(d, d_at + min(8, last_co) * 4);
    s80 += dots(e8, x0, x1, x2, x3);
    s81 += dots(e8, x4, x5, x6, x7);
    s82 += dots(e8, x8, x9, x10, x11);
    s83 += dots(e8, x12, x13, x14, x15);
    let e9 = staged(d, d_at + min(9, last_co) * 4);
    s90 += dots(e9, x0, x1, x2, x3);
    s91 += dots(e9, x4, x5, x6, x7);
    s92 += dots(e9, x8, x9, x10, x11);
    s93 += dots(e9, x12, x13, x14, x15);
    let e10 = staged(d, d_at + min(10, last_co) * 4);
    s100 += dots(e10, x0, x1, x2, x3);
    s101 += dots(e10, x4, x5, x6, x7);
    s102 += dots(e10, x8, x9, x10, x11);
    s103 += dots(e10, x12, x13, x14, x15);
    let e11 = staged(d, d_at + min(11, last_co) * 4);
    s110 += dots(e11, x0, x1, x2, x3);
    s111 += dots(e11, x4, x5, x6, x7);
    s112 += dots(e11, x8, x9, x10, x11);
    s113 += dots(e11, x12, x13, x14, x15);
    let e12 = staged(d, d_at + min(12, last_co) * 4);
    s120 += dots(e12, x0, x1, x2, x3);
    s121 += dots(e12, x4, x5, x6, x7);
    s122 += dots(e12, x8, x9, x10, x11);
    s123 += dots(e12, x12, x13, x14, x15);
    let e13 = staged(d, d_at + min(13, last_co) * 4);
    s130 += dots(e13, x0, x1, x2, x3);
    s131 += dots(e13, x4, x5, x6, x7);
    s132 += dots(e13, x8, x9, x10, x11);
    s133 += dots(e13, x12, x13, x14, x15);
    let e14 = staged(d, d_at + min(14, last_co) * 4);
    s140 += dots(e14, x0, x1, x2, x3);
    s141 += dots(e14, x4, x5, x6, x7);
    s142 += dots(e14, x8, x9, x10, x11);
    s143 += dots(e14, x12, x13, x14, x15);
    let e15 = staged(d, d_at + min(15, last_co) * 4);
    s150 += dots(e15, x0, x1, x2, x3);
    s151 += dots(e15, x4, x5, x6, x7);
    s152 += dots(e15, x8, x9, x10, x11);
    s153 += dots(e15, x12, x13, x14, x15);
  }
  let row4 = params.ci_blocks * 4;
  let block = (params.first_slice + slice) * 36 + xi;
  let to = (block * params.co_blocks * 16 + co) * row4 + ci / 4;
  store(to + 0 * row4, s00, s01, s02, s03);
  store(to + 1 * row4, s10, s11, s12, s13);
  store(to + 2 * row4, s20, s21, s22, s23);
  store(to + 3 * row4, s30, s31, s32, s33);
  store(to + 4 * row4, s40, s41, s42, s43);
  store(to + 5 * row4, s50, s51, s52, s53);
  store(to + 6 * row4, s60, s61, s62, s63);
  store(to + 7 * row4, s70, s71, s72, s73);
  store(to + 8 * row4, s80, s81, s82, s83);
  store(to + 9 * row4, s90, s91, s92, s93);
  store(to + 10 * row4, s100, s101, s102, s103);
  store(to + 11 * row4, s110, s111, s112, s113);
  store(to + 12 * row4, s120, s121, s122, s123);
  store(to + 13 * row4, s130, s131, s132, s133);
  store(to + 14 * row4, s140, s141, s142, s143);
  store(to + 15 * row4, s150, s151, s152, s153);
}
