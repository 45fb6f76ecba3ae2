// Equation: dx[n,ci,i,j] = sum over co, u, v of K[co,ci,u,v] * dy[n, co, 2i + u - 1, 2j + v - 1],
//   K of pack_upsampled.wgsl
// Source: input gradient of upsampled.wgsl, a 4×4 convolution, stride 2, padding 1.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/sixteen.wgsl
// Joins: kernels/lib/sixteen_pixels.wgsl
// Joins: kernels/lib/panel_alone.wgsl
// Joins: kernels/lib/stores.wgsl
// Joins: kernels/lib/doubled_tile.wgsl
// Bindings:
//   dy: f32 [N,Co,2H,2W] staged
//   panels: staged, packed transposed by pack_upsampled.wgsl
//   dx: [N,Ci,H,W], f32 or f16, as vec4
// Grid: x: panels of 8 channels of dx, one after the other so that they find the pixels in the
//   cache; y: one invocation per 8×2 pixels of dx.
// Numerics: f32; the sixteen products of a channel are summed before they join the running sum, so
//   that the error is about 2^-24 * (sqrt(Co) + 4) / 2 relative.
// Shapes: W a multiple of 4.
// Writes: every output element.

struct Params {
  batch: u32,
  h: u32,
  w4: u32,
  ci: u32,
  co: u32,
  panel_size: u32,
}

override WORKGROUP: u32 = 32;
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var panels: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var dy: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> dx: array<Stored>;

fn load_row(plane: u32, oy: i32, column: u32) -> Row {
  return row_of(load_sixteen(plane, oy, column, params.h, params.w4));
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = wid.y * WORKGROUP + lane;
  let strips = (params.w4 + 1) / 2;
  let bands = (params.h + 1) / 2;
  let column = index % strips * 2;
  let row = index / strips % bands * 2;
  let n = index / (strips * bands);
  if (n >= params.batch) {
    return;
  }
  var at = wid.x * params.panel_size + 2;
  var t0 = Tile();
  var t1 = Tile();
  var t2 = Tile();
  var t3 = Tile();
  var t4 = Tile();
  var t5 = Tile();
  var t6 = Tile();
  var t7 = Tile();

  let area = params.h * params.w4 * 4;
  var plane = n * params.co * area;
  let top = i32(row) * 2 - 1;
  for (var co = 0u; co < params.co; co++) {
    let r0 = load_row(plane, top, column);
    let r1 = load_row(plane, top + 1, column);
    let r2 = load_row(plane, top + 2, column);
    let r3 = load_row(plane, top + 3, column);
    let r4 = load_row(plane, top + 4, column);
    let r5 = load_row(plane, top + 5, column);
    add_products(&t0, four_at(at), r0, r1, r2, r3, r4, r5);
    add_products(&t1, four_at(at + 4), r0, r1, r2, r3, r4, r5);
    add_products(&t2, four_at(at + 8), r0, r1, r2, r3, r4, r5);
    add_products(&t3, four_at(at + 12), r0, r1, r2, r3, r4, r5);
    add_products(&t4, four_at(at + 16), r0, r1, r2, r3, r4, r5);
    add_products(&t5, four_at(at + 20), r0, r1, r2, r3, r4, r5);
    add_products(&t6, four_at(at + 24), r0, r1, r2, r3, r4, r5);
    add_products(&t7, four_at(at + 28), r0, r1, r2, r3, r4, r5);
    plane += area;
    at += 32;
  }
  let ci = wid.x * 8;
  store(lane, t0, n, ci, row, column);
  store(lane, t1, n, ci + 1, row, column);
  store(lane, t2, n, ci + 2, row, column);
  store(lane, t3, n, ci + 3, row, column);
  store(lane, t4, n, ci + 4, row, column);
  store(lane, t5, n, ci + 5, row, column);
  store(lane, t6, n, ci + 6, row, column);
  store(lane, t7, n, ci + 7, row, column);
}
