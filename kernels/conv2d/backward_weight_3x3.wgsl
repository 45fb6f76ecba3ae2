// Equation: partial[slice,co,ci,kh,kw] = sum over the pixels (n, oy, ox) of the slice of
//   dy[n,co,oy,ox] * x[n, ci, oy + kh - 1, ox + kw - 1]
// Source: gradient of direct_3x3.wgsl; sum_slices.wgsl adds up.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/eight_pixels.wgsl
// Joins: kernels/lib/sums_3x3.wgsl
// Bindings:
//   x: f32 [N,Ci,H,W] staged
//   dy: f32 [N,Co,H,W] staged
//   partial: f32 [slices, co8, ci4*9] as vec4, co8 and ci4 being Co and Ci rounded up to 8 and 4
// Grid: x: blocks of 4 input channels, one after the other so that they find dy in the cache; y:
//   blocks of 8 output channels; z: one invocation per slice (8 columns of pixels, some rows).
// Numerics: f32; products of 8 neighbours are summed first, then some 128 rows, then the slices, so
//   that the error is about 2^-24 * sqrt(128 / 6) relative.
// Shapes: W a multiple of 4; channels past the last repeat it and are ignored later.
// Writes: every output element.

struct Params {
  batch: u32,
  h: u32,
  w4: u32,
  strips: u32,
  ci: u32,
  co: u32,
  ci_blocks: u32,
  co_blocks: u32,
  images: u32,
  rows: u32,
  row_chunks: u32,
  slices: u32,
}

/// Eight pixels of a row of dy. Of x an `Eight`: a loop stores and loads what it carries each time,
/// so these ten pixels, not the eight of each kernel column.
struct Pixels {
  a: vec4<f32>,
  b: vec4<f32>,
}

override WORKGROUP: u32 = 8;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var dy: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4<f32>>;

fn load_row(plane: u32, iy: i32, column: u32) -> Eight {
  return load_eight(plane, iy, column, params.h, params.w4);
}

fn load_gradient(at: u32, column: u32) -> Pixels {
  let b = select(vec4(0.0), staged(dy, at + 1), column + 1 < params.w4);
  return Pixels(staged(dy, at), b);
}

fn dots(d: Pixels, row: Eight) -> vec3<f32> {
  return vec3(
    dot(d.a, vec4(row.before, row.a.xyz)) + dot(d.b, vec4(row.a.w, row.b.xyz)),
    dot(d.a, row.a) + dot(d.b, row.b),
    dot(d.a, vec4(row.a.yzw, row.b.x)) + dot(d.b, vec4(row.b.yzw, row.after)),
  );
}

fn add_dots(s: ptr<function, Sums>, d: Pixels, top: Eight, middle: Eight, bottom: Eight) {
  (*s).top += dots(d, top);
  (*s).middle += dots(d, middle);
  (*s).bottom += dots(d, bottom);
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
  let column = slice % params.strips * 2;
  let first_row = slice / params.strips % params.row_chunks * params.rows;
  let end_row = min(first_row + params.rows, params.h);
  let first_image = slice / (params.strips * params.row_chunks) * params.images;
  let end_image = min(first_image + params.images, params.batch);
  let co = wid.y * 8;
  let ci = wid.x * 4;
  let area = params.h * params.w4;
  let plane1 = min(1, params.ci - 1 - ci) * area;
  let plane2 = min(2, params.ci - 1 - ci) * area;
  let plane3 = min(3, params.ci - 1 - ci) * area;
  let last_co = params.co - 1 - co;
  var s00 = Sums();
  var s01 = Sums();
  var s02 = Sums();
  var s03 = Sums();
  var s10 = Sums();
  var s11 = Sums();
  var s12 = Sums();
  var s13 = Sums();
  var s20 = Sums();
  var s21 = Sums();
  var s22 = Sums();
  var s23 = Sums();
  var s30 = Sums();
  var s31 = Sums();
  var s32 = Sums();
  var s33 = Sums();
  var s40 = Sums();
  var s41 = Sums();
  var s42 = Sums();
  var s43 = Sums();
  var s50 = Sums();
  var s51 = Sums();
  var s52 = Sums();
  var s53 = Sums();
  var s60 = Sums();
  var s61 = Sums();
  var s62 = Sums();
  var s63 = Sums();
  var s70 = Sums();
  var s71 = Sums();
  var s72 = Sums();
  var s73 = Sums();
  for (var n = first_image; n < end_image; n++) {
    let plane = (n * params.ci + ci) * area;
    let dy_plane = (n * params.co + co) * area + column;
    let before = i32(first_row) - 1;
    var a0 = load_row(plane, before, column);
    var a1 = load_row(plane + plane1, before, column);
    var a2 = load_row(plane + plane2, before, column);
    var a3 = load_row(plane + plane3, before, column);
    var b0 = load_row(plane, before + 1, column);
    var b1 = load_row(plane + plane1, before + 1, column);
    var b2 = load_row(plane + plane2, before + 1, column);
    var b3 = load_row(plane + plane3, before + 1, column);
    for (var oy = first_row; oy < end_row; oy++) {
      let next = i32(oy) + 1;
      let c0 = load_row(plane, next, column);
      let c1 = load_row(plane + plane1, next, column);
      let c2 = load_row(plane + plane2, next, column);
      let c3 = load_row(plane + plane3, next, column);
      let at = dy_plane + oy * params.w4;
      let d0 = load_gradient(at, column);
      add_dots(&s00, d0, a0, b0, c0);
      add_dots(&s01, d0, a1, b1, c1);
      add_dots(&s02, d0, a2, b2, c2);
      add_dots(&s03, d0, a3, b3, c3);
      let d1 = load_gradient(at + min(1, last_co) * area, column);
      add_dots(&s10, d1, a0, b0, c0);
      add_dots(&s11, d1, a1, b1, c1);
      add_dots(&s12, d1, a2, b2, c2);
      add_dots(&s13, d1, a3, b3, c3);
      let d2 = load_gradient(at + min(2, last_co) * area, column);
      add_dots(&s20, d2, a0, b0, c0);
      add_dots(&s21, d2, a1, b1, c1);
      add_dots(&s22, d2, a2, b2, c2);
      add_dots(&s23, d2, a3, b3, c3);
      let d3 = load_gradient(at + min(3, last_co) * area, column);
      add_dots(&s30, d3, a0, b0, c0);
      add_dots(&s31, d3, a1, b1, c1);
      add_dots(&s32, d3, a2, b2, c2);
      add_dots(&s33, d3, a3, b3, c3);
      let d4 = load_gradient(at + min(4, last_co) * area, column);
      add_dots(&s40, d4, a0, b0, c0);
      add_dots(&s41, d4, a1, b1, c1);
      add_dots(&s42, d4, a2, b2, c2);
      add_dots(&s43, d4, a3, b3, c3);
      let d5 = load_gradient(at + min(5, last_co) * area, column);
      add_dots(&s50, d5, a0, b0, c0);
      add_dots(&s51, d5, a1, b1, c1);
      add_dots(&s52, d5, a2, b2, c2);
      add_dots(&s53, d5, a3, b3, c3);
      let d6 = load_gradient(at + min(6, last_co) * area, column);
      add_dots(&s60, d6, a0, b0, c0);
      add_dots(&s61, d6, a1, b1, c1);
      add_dots(&s62, d6, a2, b2, c2);
      add_dots(&s63, d6, a3, b3, c3);
      let d7 = load_gradient(at + min(7, last_co) * area, column);
      add_dots(&s70, d7, a0, b0, c0);
      add_dots(&s71, d7, a1, b1, c1);
      add_dots(&s72, d7, a2, b2, c2);
      add_dots(&s73, d7, a3, b3, c3);
      a0 = b0;
      a1 = b1;
      a2 = b2;
      a3 = b3;
      b0 = c0;
      b1 = c1;
      b2 = c2;
      b3 = c3;
    }
  }
  let stride = params.ci_blocks * 9;
  let at = (slice * params.co_blocks * 8 + co) * stride + wid.x * 9;
  store(at + 0 * stride, s00, s01, s02, s03);
  store(at + 1 * stride, s10, s11, s12, s13);
  store(at + 2 * stride, s20, s21, s22, s23);
  store(at + 3 * stride, s30, s31, s32, s33);
  store(at + 4 * stride, s40, s41, s42, s43);
  store(at + 5 * stride, s50, s51, s52, s53);
  store(at + 6 * stride, s60, s61, s62, s63);
  store(at + 7 * stride, s70, s71, s72, s73);
}
