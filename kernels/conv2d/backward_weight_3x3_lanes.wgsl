// Equation: partial[slice,co,ci,kh,kw] = sum over the pixels (n, oy, ox) of the slice of
//   dy[n,co,oy,ox] * x[n, ci, oy + kh - 1, ox + kw - 1]
// Source: gradient of direct_3x3.wgsl; sum_slices.wgsl adds up.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/lane_texels.wgsl
// Joins: kernels/lib/sums_3x3.wgsl
// Bindings:
//   x: f32 [N,Ci,H,W] staged
//   dy: f32 [N,Co,H,W] staged
//   partial: f32 [slices, co8, ci8*9] as vec4, co8 and ci8 being Co and Ci rounded up to 8
// Grid: x: blocks of 8 input channels; y: blocks of 8 output channels; z: slices (16 columns of
//   pixels, some rows). A workgroup is a subgroup of 8: each invocation has one output channel and
//   reads an eighth of the pixels of x for all.
// Numerics: f32; products of 16 neighbours are summed first, then some 128 rows, then the slices,
//   so that the error is about 2^-24 * sqrt(128 / 6) relative.
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
}

/// Sixteen pixels of a row of x and their neighbours.
struct Row {
  before: f32,
  p: Texels,
  after: f32,
}

override WORKGROUP: u32 = 8;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var dy: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4<f32>>;

fn gradient_at(at: u32, column: u32, inside: bool) -> vec4<f32> {
  return select(vec4(0.0), staged(dy, at + column), inside && column < params.w4);
}

fn load_gradient(at: u32, column: u32, inside: bool) -> Texels {
  return Texels(
    gradient_at(at, column, inside),
    gradient_at(at, column + 1, inside),
    gradient_at(at, column + 2, inside),
    gradient_at(at, column + 3, inside),
  );
}

fn dots(d: Texels, r: Row) -> vec3<f32> {
  return vec3(
    (dot(d.a, vec4(r.before, r.p.a.xyz)) + dot(d.b, vec4(r.p.a.w, r.p.b.xyz))) +
      (dot(d.c, vec4(r.p.b.w, r.p.c.xyz)) + dot(d.d, vec4(r.p.c.w, r.p.d.xyz))),
    (dot(d.a, r.p.a) + dot(d.b, r.p.b)) + (dot(d.c, r.p.c) + dot(d.d, r.p.d)),
    (dot(d.a, vec4(r.p.a.yzw, r.p.b.x)) + dot(d.b, vec4(r.p.b.yzw, r.p.c.x))) +
      (dot(d.c, vec4(r.p.c.yzw, r.p.d.x)) + dot(d.d, vec4(r.p.d.yzw, r.after))),
  );
}

/// A row of x meets the gradient one row below by the kernel's top row.
fn add_dots(s: ptr<function, Sums>, r: Row, below: Texels, same: Texels, above: Texels) {
  (*s).top += dots(below, r);
  (*s).middle += dots(same, r);
  (*s).bottom += dots(above, r);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let strip = wid.z % params.strips;
  let column = strip * 4;
  let first_row = wid.z / params.strips % params.row_chunks * params.rows;
  let end_row = min(first_row + params.rows, params.h);
  let first_image = wid.z / (params.strips * params.row_chunks) * params.images;
  let end_image = min(first_image + params.images, params.batch);
  let w4 = params.w4;
  let area = params.h * w4;
  let last_ci = params.ci - 1;
  let ci = wid.x * 8 + lane / 4;
  let co = wid.y * 8 + lane;
  // The texel that this invocation reads of each row of x: two channels at a time, then the
  // neighbours of all. What lies past the image is not used.
  let mine = column + lane % 4;
  let x0 = min(ci, last_ci) * area + mine;
  let x1 = min(ci + 2, last_ci) * area + mine;
  let x2 = min(ci + 4, last_ci) * area + mine;
  let x3 = min(ci + 6, last_ci) * area + mine;
  let edge = min(wid.x * 8 + lane, last_ci) * area + column;
  var s0 = Sums();
  var s1 = Sums();
  var s2 = Sums();
  var s3 = Sums();
  var s4 = Sums();
  var s5 = Sums();
  var s6 = Sums();
  var s7 = Sums();
  let first = max(first_row, 1) - 1;
  let end = min(end_row + 1, params.h);
  for (var n = first_image; n < end_image; n++) {
    let image = n * params.ci * area;
    let gradient = (n * params.co + min(co, params.co - 1)) * area;
    var above = Texels();
    var same = load_gradient(gradient + first * w4, column, first >= first_row);
    for (var iy = first; iy < end; iy++) {
      let below = load_gradient(gradient + (iy + 1) * w4, column, iy + 1 < end_row);
      let row = image + iy * w4;
      let zero = vec4(0.0);
      let t0 = select(zero, staged(x, row + x0), mine < w4);
      let t1 = select(zero, staged(x, row + x1), mine < w4);
      let t2 = select(zero, staged(x, row + x2), mine < w4);
      let t3 = select(zero, staged(x, row + x3), mine < w4);
      let l = select(0.0, staged(x, row + edge - 1).w, strip > 0);
      let r = select(0.0, staged(x, row + edge + 4).x, column + 4 < w4);
      let r0 = Row(subgroupBroadcast(l, 0u), low_texels(t0), subgroupBroadcast(r, 0u));
      add_dots(&s0, r0, below, same, above);
      let r1 = Row(subgroupBroadcast(l, 1u), high_texels(t0), subgroupBroadcast(r, 1u));
      add_dots(&s1, r1, below, same, above);
      let r2 = Row(subgroupBroadcast(l, 2u), low_texels(t1), subgroupBroadcast(r, 2u));
      add_dots(&s2, r2, below, same, above);
      let r3 = Row(subgroupBroadcast(l, 3u), high_texels(t1), subgroupBroadcast(r, 3u));
      add_dots(&s3, r3, below, same, above);
      let r4 = Row(subgroupBroadcast(l, 4u), low_texels(t2), subgroupBroadcast(r, 4u));
      add_dots(&s4, r4, below, same, above);
      let r5 = Row(subgroupBroadcast(l, 5u), high_texels(t2), subgroupBroadcast(r, 5u));
      add_dots(&s5, r5, below, same, above);
      let r6 = Row(subgroupBroadcast(l, 6u), low_texels(t3), subgroupBroadcast(r, 6u));
      add_dots(&s6, r6, below, same, above);
      let r7 = Row(subgroupBroadcast(l, 7u), high_texels(t3), subgroupBroadcast(r, 7u));
      add_dots(&s7, r7, below, same, above);
      above = same;
      same = below;
    }
  }
  let at = ((wid.z * params.co_blocks * 8 + co) * params.ci_blocks + wid.x) * 18;
  store(at, s0, s1, s2, s3);
  store(at + 9, s4, s5, s6, s7);
}
