// Equation: partial[slice,co,ci,kh,kw] = sum over the pixels (n, oy, ox) of the slice of
//   dy[n,co,oy,ox] * x[n, ci, oy + kh - 1, ox + kw - 1]
// Source: gradient of direct_3x3.wgsl; sum_slices.wgsl adds up.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/eight_lanes.wgsl
// Joins: kernels/lib/lane_texels.wgsl
// Joins: kernels/lib/channel_rows.wgsl
// Joins: kernels/lib/sums_3x3.wgsl
// Bindings:
//   x: f32 [N,Ci,H,W] staged
//   dy: f32 [N,Co,H,W] staged
//   partial: f32 [slices, coS, ci8*9] as vec4, coS and ci8 being Co rounded up to subgroups and Ci
//     to 8
// Grid: x: blocks of 8 input channels; y: subgroups of output channels; z: slices (16 columns of
//   pixels, some rows). A workgroup is a subgroup: each invocation has one output channel and reads
//   its part of the pixels of x for all.
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

/// Texel `texel` of a row of channel ci, that begins at `row` in channel 0; of the last channel
/// where there is none. Past the ends of the row it is not to be used.
fn texel_at(row: u32, ci: u32, texel: u32) -> vec4<f32> {
  return staged(x, row + min(ci, params.ci - 1) * params.h * params.w4 + texel);
}

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
  let p = r.p;
  var sum = d.a.x * vec3(r.before, p.a.xy);
  sum += d.a.y * p.a.xyz;
  sum += d.a.z * p.a.yzw;
  sum += d.a.w * vec3(p.a.zw, p.b.x);
  sum += d.b.x * vec3(p.a.w, p.b.xy);
  sum += d.b.y * p.b.xyz;
  sum += d.b.z * p.b.yzw;
  sum += d.b.w * vec3(p.b.zw, p.c.x);
  sum += d.c.x * vec3(p.b.w, p.c.xy);
  sum += d.c.y * p.c.xyz;
  sum += d.c.z * p.c.yzw;
  sum += d.c.w * vec3(p.c.zw, p.d.x);
  sum += d.d.x * vec3(p.c.w, p.d.xy);
  sum += d.d.y * p.d.xyz;
  sum += d.d.z * p.d.yzw;
  sum += d.d.w * vec3(p.d.zw, r.after);
  return sum;
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
  let column = wid.z % params.strips * 4;
  let first_row = wid.z / params.strips % params.row_chunks * params.rows;
  let end_row = min(first_row + params.rows, params.h);
  let first_image = wid.z / (params.strips * params.row_chunks) * params.images;
  let end_image = min(first_image + params.images, params.batch);
  let w4 = params.w4;
  let area = params.h * w4;
  let ci = wid.x * 8;
  let co = wid.y * WORKGROUP + lane;
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
      let held = load_rows(image + iy * w4, ci, column, lane);
      add_dots(&s0, row_0(held), below, same, above);
      add_dots(&s1, row_1(held), below, same, above);
      add_dots(&s2, row_2(held), below, same, above);
      add_dots(&s3, row_3(held), below, same, above);
      add_dots(&s4, row_4(held), below, same, above);
      add_dots(&s5, row_5(held), below, same, above);
      add_dots(&s6, row_6(held), below, same, above);
      add_dots(&s7, row_7(held), below, same, above);
      above = same;
      same = below;
    }
  }
  let at = ((wid.z * params.co_blocks * WORKGROUP + co) * params.ci_blocks + wid.x) * 18;
  store(at, s0, s1, s2, s3);
  store(at + 9, s4, s5, s6, s7);
}
