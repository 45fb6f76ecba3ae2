// Equation: partial[slice,co,ci,u,v] = sum over the pixels (n, i, j) of the slice of
//   x[n,ci,i,j] * dy[n, co, 2i + u - 1, 2j + v - 1]
// Source: gradient of upsampled.wgsl by K; sum_slices.wgsl adds up, unfold_upsampled.wgsl makes the
//   gradient by the weight of it.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/sixteen.wgsl
// Joins: kernels/lib/sixteen_pixels.wgsl
// Joins: kernels/lib/doubled_sums.wgsl
// Bindings:
//   x: f32 [N,Ci,H,W] staged
//   dy: f32 [N,Co,2H,2W] staged
//   partial: f32 [slices, co2, ci8*16] as vec4, co2 and ci8 being Co and Ci rounded up to 2 and 8
// Grid: x: blocks of 8 input channels, one after the other so that they find dy in the cache; y:
//   blocks of 2 output channels; z: one invocation per slice (8 columns of x, some rows).
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

override WORKGROUP: u32 = 8;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var dy: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4<f32>>;

fn load_row(plane: u32, oy: i32, column: u32) -> Sixteen {
  return load_sixteen(plane, oy, column, params.h, params.w4);
}

fn load_pixels(at: u32, column: u32) -> Pixels {
  let b = select(vec4(0.0), staged(x, at + 1), column + 1 < params.w4);
  return Pixels(staged(x, at), b);
}

fn add_dots(s: ptr<function, Sums>, d: Pixels, r0: Sixteen, r1: Sixteen, r2: Sixteen, r3: Sixteen) {
  (*s).u0 += dots(d, r0);
  (*s).u1 += dots(d, r1);
  (*s).u2 += dots(d, r2);
  (*s).u3 += dots(d, r3);
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
  let co = wid.y * 2;
  let ci = wid.x * 8;
  let area = params.h * params.w4;
  let last_ci = params.ci - 1 - ci;
  let second = min(1, params.co - 1 - co) * area * 4;
  var s00 = Sums();
  var s01 = Sums();
  var s02 = Sums();
  var s03 = Sums();
  var s04 = Sums();
  var s05 = Sums();
  var s06 = Sums();
  var s07 = Sums();
  var s10 = Sums();
  var s11 = Sums();
  var s12 = Sums();
  var s13 = Sums();
  var s14 = Sums();
  var s15 = Sums();
  var s16 = Sums();
  var s17 = Sums();
  for (var n = first_image; n < end_image; n++) {
    let plane = (n * params.co + co) * area * 4;
    let x_plane = (n * params.ci + ci) * area + column;
    // The last two rows of dy that a row of x meets are the first that the next one meets.
    let before = i32(first_row) * 2 - 1;
    var a0 = load_row(plane, before, column);
    var a1 = load_row(plane + second, before, column);
    var b0 = load_row(plane, before + 1, column);
    var b1 = load_row(plane + second, before + 1, column);
    for (var row = first_row; row < end_row; row++) {
      let next = i32(row) * 2 + 1;
      let c0 = load_row(plane, next, column);
      let c1 = load_row(plane + second, next, column);
      let d0 = load_row(plane, next + 1, column);
      let d1 = load_row(plane + second, next + 1, column);
      let at = x_plane + row * params.w4;
      let p0 = load_pixels(at, column);
      add_dots(&s00, p0, a0, b0, c0, d0);
      add_dots(&s10, p0, a1, b1, c1, d1);
      let p1 = load_pixels(at + min(1, last_ci) * area, column);
      add_dots(&s01, p1, a0, b0, c0, d0);
      add_dots(&s11, p1, a1, b1, c1, d1);
      let p2 = load_pixels(at + min(2, last_ci) * area, column);
      add_dots(&s02, p2, a0, b0, c0, d0);
      add_dots(&s12, p2, a1, b1, c1, d1);
      let p3 = load_pixels(at + min(3, last_ci) * area, column);
      add_dots(&s03, p3, a0, b0, c0, d0);
      add_dots(&s13, p3, a1, b1, c1, d1);
      let p4 = load_pixels(at + min(4, last_ci) * area, column);
      add_dots(&s04, p4, a0, b0, c0, d0);
      add_dots(&s14, p4, a1, b1, c1, d1);
      let p5 = load_pixels(at + min(5, last_ci) * area, column);
      add_dots(&s05, p5, a0, b0, c0, d0);
      add_dots(&s15, p5, a1, b1, c1, d1);
      let p6 = load_pixels(at + min(6, last_ci) * area, column);
      add_dots(&s06, p6, a0, b0, c0, d0);
      add_dots(&s16, p6, a1, b1, c1, d1);
      let p7 = load_pixels(at + min(7, last_ci) * area, column);
      add_dots(&s07, p7, a0, b0, c0, d0);
      add_dots(&s17, p7, a1, b1, c1, d1);
      a0 = c0;
      a1 = c1;
      b0 = d0;
      b1 = d1;
    }
  }
  let stride = params.ci_blocks * 32;
  let at = (slice * params.co_blocks * 2 + co) * stride + wid.x * 32;
  store(at, s00);
  store(at + 4, s01);
  store(at + 8, s02);
  store(at + 12, s03);
  store(at + 16, s04);
  store(at + 20, s05);
  store(at + 24, s06);
  store(at + 28, s07);
  store(at + stride, s10);
  store(at + stride + 4, s11);
  store(at + stride + 8, s12);
  store(at + stride + 12, s13);
  store(at + stride + 16, s14);
  store(at + stride + 20, s15);
  store(at + stride + 24, s16);
  store(at + stride + 28, s17);
}
