// Equation: partial[slice,co,ci] = sum over the pixels p of the slice of dy[n,co,p] * x[n,ci,p]
// Source: gradient of pointwise.wgsl; sum_slices.wgsl adds up.
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   x: f32 [N,Ci,pixels] staged
//   dy: f32 [N,Co,pixels] staged
//   partial: f32 [slices, co16, ci16] as vec4, co16 and ci16 being Co and Ci rounded up to 16
// Grid: x: blocks of 16 input channels; y: of 16 output channels; z: one invocation per slice.
//   A workgroup walks through `rounds` rows of WORKGROUP times 4 pixels, so that it reads memory in
//   order; its invocations take a column each.
// Numerics: f32; products of 4 neighbours are summed first, then those of the slice, at most some
//   128 groups, then the slices.
// Shapes: pixels a multiple of 4; channels past the last repeat it and are ignored later.
// Writes: every output element.

struct Params {
  area4: u32,
  groups: u32,
  ci: u32,
  co: u32,
  ci_blocks: u32,
  co_blocks: u32,
  rounds: u32,
  slices: u32,
}

override WORKGROUP: u32 = 8;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var dy: texture_storage_2d<rgba32float, read>;
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
  let slice = wid.z * WORKGROUP + lane;
  if (slice >= params.slices) {
    return;
  }
  let co = wid.y * 16;
  let ci = wid.x * 16;
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
  let first = wid.z * params.rounds * WORKGROUP + lane;
  let end = min(first + params.rounds * WORKGROUP, params.groups);
  for (var g = first; g < end; g += WORKGROUP) {
    let n = g / params.area4;
    let pixel = g % params.area4;
    let at = (n * params.ci + ci) * params.area4 + pixel;
    let dy_at = (n * params.co + co) * params.area4 + pixel;
    let x0 = staged(x, at);
    let x1 = staged(x, at + min(1, last_ci) * params.area4);
    let x2 = staged(x, at + min(2, last_ci) * params.area4);
    let x3 = staged(x, at + min(3, last_ci) * params.area4);
    let x4 = staged(x, at + min(4, last_ci) * params.area4);
    let x5 = staged(x, at + min(5, last_ci) * params.area4);
    let x6 = staged(x, at + min(6, last_ci) * params.area4);
    let x7 = staged(x, at + min(7, last_ci) * params.area4);
    let x8 = staged(x, at + min(8, last_ci) * params.area4);
    let x9 = staged(x, at + min(9, last_ci) * params.area4);
    let x10 = staged(x, at + min(10, last_ci) * params.area4);
    let x11 = staged(x, at + min(11, last_ci) * params.area4);
    let x12 = staged(x, at + min(12, last_ci) * params.area4);
    let x13 = staged(x, at + min(13, last_ci) * params.area4);
    let x14 = staged(x, at + min(14, last_ci) * params.area4);
    let x15 = staged(x, at + min(15, last_ci) * params.area4);
    let d0 = staged(dy, dy_at);
    s00 += dots(d0, x0, x1, x2, x3);
    s01 += dots(d0, x4, x5, x6, x7);
    s02 += dots(d0, x8, x9, x10, x11);
    s03 += dots(d0, x12, x13, x14, x15);
    let d1 = staged(dy, dy_at + min(1, last_co) * params.area4);
    s10 += dots(d1, x0, x1, x2, x3);
    s11 += dots(d1, x4, x5, x6, x7);
    s12 += dots(d1, x8, x9, x10, x11);
    s13 += dots(d1, x12, x13, x14, x15);
    let d2 = staged(dy, dy_at + min(2, last_co) * params.area4);
    s20 += dots(d2, x0, x1, x2, x3);
    s21 += dots(d2, x4, x5, x6, x7);
    s22 += dots(d2, x8, x9, x10, x11);
    s23 += dots(d2, x12, x13, x14, x15);
    let d3 = staged(dy, dy_at + min(3, last_co) * params.area4);
    s30 += dots(d3, x0, x1, x2, x3);
    s31 += dots(d3, x4, x5, x6, x7);
    s32 += dots(d3, x8, x9, x10, x11);
    s33 += dots(d3, x12, x13, x14, x15);
    let d4 = staged(dy, dy_at + min(4, last_co) * params.area4);
    s40 += dots(d4, x0, x1, x2, x3);
    s41 += dots(d4, x4, x5, x6, x7);
    s42 += dots(d4, x8, x9, x10, x11);
    s43 += dots(d4, x12, x13, x14, x15);
    let d5 = staged(dy, dy_at + min(5, last_co) * params.area4);
    s50 += dots(d5, x0, x1, x2, x3);
    s51 += dots(d5, x4, x5, x6, x7);
    s52 += dots(d5, x8, x9, x10, x11);
    s53 += dots(d5, x12, x13, x14, x15);
    let d6 = staged(dy, dy_at + min(6, last_co) * params.area4);
    s60 += dots(d6, x0, x1, x2, x3);
    s61 += dots(d6, x4, x5, x6, x7);
    s62 += dots(d6, x8, x9, x10, x11);
    s63 += dots(d6, x12, x13, x14, x15);
    let d7 = staged(dy, dy_at + min(7, last_co) * params.area4);
    s70 += dots(d7, x0, x1, x2, x3);
    s71 += dots(d7, x4, x5, x6, x7);
    s72 += dots(d7, x8, x9, x10, x11);
    s73 += dots(d7, x12, x13, x14, x15);
    let d8 = staged(dy, dy_at + min(8, last_co) * params.area4);
    s80 += dots(d8, x0, x1, x2, x3);
    s81 += dots(d8, x4, x5, x6, x7);
    s82 += dots(d8, x8, x9, x10, x11);
    s83 += dots(d8, x12, x13, x14, x15);
    let d9 = staged(dy, dy_at + min(9, last_co) * params.area4);
    s90 += dots(d9, x0, x1, x2, x3);
    s91 += dots(d9, x4, x5, x6, x7);
    s92 += dots(d9, x8, x9, x10, x11);
    s93 += dots(d9, x12, x13, x14, x15);
    let d10 = staged(dy, dy_at + min(10, last_co) * params.area4);
    s100 += dots(d10, x0, x1, x2, x3);
    s101 += dots(d10, x4, x5, x6, x7);
    s102 += dots(d10, x8, x9, x10, x11);
    s103 += dots(d10, x12, x13, x14, x15);
    let d11 = staged(dy, dy_at + min(11, last_co) * params.area4);
    s110 += dots(d11, x0, x1, x2, x3);
    s111 += dots(d11, x4, x5, x6, x7);
    s112 += dots(d11, x8, x9, x10, x11);
    s113 += dots(d11, x12, x13, x14, x15);
    let d12 = staged(dy, dy_at + min(12, last_co) * params.area4);
    s120 += dots(d12, x0, x1, x2, x3);
    s121 += dots(d12, x4, x5, x6, x7);
    s122 += dots(d12, x8, x9, x10, x11);
    s123 += dots(d12, x12, x13, x14, x15);
    let d13 = staged(dy, dy_at + min(13, last_co) * params.area4);
    s130 += dots(d13, x0, x1, x2, x3);
    s131 += dots(d13, x4, x5, x6, x7);
    s132 += dots(d13, x8, x9, x10, x11);
    s133 += dots(d13, x12, x13, x14, x15);
    let d14 = staged(dy, dy_at + min(14, last_co) * params.area4);
    s140 += dots(d14, x0, x1, x2, x3);
    s141 += dots(d14, x4, x5, x6, x7);
    s142 += dots(d14, x8, x9, x10, x11);
    s143 += dots(d14, x12, x13, x14, x15);
    let d15 = staged(dy, dy_at + min(15, last_co) * params.area4);
    s150 += dots(d15, x0, x1, x2, x3);
    s151 += dots(d15, x4, x5, x6, x7);
    s152 += dots(d15, x8, x9, x10, x11);
    s153 += dots(d15, x12, x13, x14, x15);
  }
  let row4 = params.ci_blocks * 4;
  let to = (slice * params.co_blocks * 16 + co) * row4 + wid.x * 4;
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
