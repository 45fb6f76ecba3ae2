// Equation: dx[n,ci,i,j] = sum over co, u, v of K[co,ci,u,v] * dy[n, co, 2i + u - 1, 2j + v - 1],
//   K of pack_upsampled.wgsl
// Source: input gradient of upsampled.wgsl, a 4×4 convolution, stride 2, padding 1.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/eight_lanes.wgsl
// Joins: kernels/lib/both_reads.wgsl
// Joins: kernels/lib/lane_texels.wgsl
// Joins: kernels/lib/sixteen.wgsl
// Joins: kernels/lib/sixteen_lanes.wgsl
// Joins: kernels/lib/stores.wgsl
// Joins: kernels/lib/doubled_tile.wgsl
// Bindings:
//   dy: f32 [N,Co,2H,2W] staged
//   panels: staged, packed transposed by pack_upsampled.wgsl
//   dx: [N,Ci,H,W], f32 or f16, as vec4
// Grid: x: pairs of panels of 8 channels of dx, one after the other so that they find the pixels in
//   the cache; y: 8×4 pixels of dx, with subgroups of 16 two at a time. A workgroup is a subgroup.
//   Eight invocations have such pixels: each has a channel of each panel and reads an eighth of the
//   pixels of dy for all.
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
  panels: u32,
}

/// Where a texel of a plane of dy lies, and whether it is one of it.
struct Held {
  at: u32,
  inside: bool,
}

override WORKGROUP: u32 = 8;
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var panels: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var dy: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> dx: array<Stored>;

fn fetch(at: u32) -> vec4<f32> {
  return staged(panels, at);
}

fn load_weights(at: u32) -> Texels {
  let p = read_both(at, at + 1);
  let q = read_both(at + 2, at + 3);
  return Texels(p.a, p.b, q.a, q.b);
}

/// Texel `texel` of row oy of a plane of dy, the nearest one if there is none.
fn held(oy: i32, texel: i32) -> Held {
  let last_row = i32(params.h) * 2 - 1;
  let last_texel = i32(params.w4) * 2 - 1;
  let at = clamp(oy, 0, last_row) * (last_texel + 1) + clamp(texel, 0, last_texel);
  return Held(u32(at), oy >= 0 && oy <= last_row && texel >= 0 && texel <= last_texel);
}

fn load(plane: u32, h: Held) -> vec4<f32> {
  return select(vec4(0.0), staged(dy, plane + h.at), h.inside);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_invocation_id) place: u32,
) {
  enter(place);
  let strips = (params.w4 + 1) / 2;
  let bands = (params.h + 3) / 4;
  let slot = lane % 8;
  let tile = wid.y * EIGHTS + lane / 8;
  let column = tile % strips * 2;
  let row = tile / strips % bands * 4;
  let image = tile / (strips * bands);
  // Invocations past the last image help to read.
  let n = min(image, params.batch - 1);
  let top = i32(row) * 2 - 1;
  let first = i32(column) * 2;
  let mine = first + i32(slot % 4);
  let upper = top + i32(slot / 4);
  let h0 = held(upper, mine);
  let h1 = held(upper + 2, mine);
  let h2 = held(upper + 4, mine);
  let h3 = held(upper + 6, mine);
  let h4 = held(upper + 8, mine);
  // Neighbours of eight rows, then of the last two.
  let l0 = held(top + i32(slot), first - 1);
  let l1 = held(top + 8 + i32(slot % 2), first - 1);
  let g0 = held(top + i32(slot), first + 4);
  let g1 = held(top + 8 + i32(slot % 2), first + 4);
  let panel = wid.x * 2;
  var k0 = panel * params.panel_size + 2 + slot * 4;
  var k1 = min(panel + 1, params.panels - 1) * params.panel_size + 2 + slot * 4;
  var t0 = Tile();
  var t1 = Tile();
  var b0 = Tile();
  var b1 = Tile();
  let area = params.h * params.w4 * 4;
  var plane = n * params.co * area;
  for (var co = 0u; co < params.co; co++) {
    let d0 = load(plane, h0);
    let d1 = load(plane, h1);
    let d2 = load(plane, h2);
    let d3 = load(plane, h3);
    let d4 = load(plane, h4);
    let x0 = load(plane, l0);
    let x1 = load(plane, l1);
    let y0 = load(plane, g0);
    let y1 = load(plane, g1);
    let e0 = sixteen_of(of_lane_0(x0).w, low_texels(d0), of_lane_0(y0).x);
    let r0 = row_of(e0);
    let e1 = sixteen_of(of_lane_1(x0).w, high_texels(d0), of_lane_1(y0).x);
    let r1 = row_of(e1);
    let e2 = sixteen_of(of_lane_2(x0).w, low_texels(d1), of_lane_2(y0).x);
    let r2 = row_of(e2);
    let e3 = sixteen_of(of_lane_3(x0).w, high_texels(d1), of_lane_3(y0).x);
    let r3 = row_of(e3);
    let e4 = sixteen_of(of_lane_4(x0).w, low_texels(d2), of_lane_4(y0).x);
    let r4 = row_of(e4);
    let e5 = sixteen_of(of_lane_5(x0).w, high_texels(d2), of_lane_5(y0).x);
    let r5 = row_of(e5);
    let e6 = sixteen_of(of_lane_6(x0).w, low_texels(d3), of_lane_6(y0).x);
    let r6 = row_of(e6);
    let e7 = sixteen_of(of_lane_7(x0).w, high_texels(d3), of_lane_7(y0).x);
    let r7 = row_of(e7);
    let e8 = sixteen_of(of_lane_0(x1).w, low_texels(d4), of_lane_0(y1).x);
    let r8 = row_of(e8);
    let e9 = sixteen_of(of_lane_1(x1).w, high_texels(d4), of_lane_1(y1).x);
    let r9 = row_of(e9);
    let w0 = load_weights(k0);
    add_products(&t0, w0, r0, r1, r2, r3, r4, r5);
    add_products(&b0, w0, r4, r5, r6, r7, r8, r9);
    let w1 = load_weights(k1);
    add_products(&t1, w1, r0, r1, r2, r3, r4, r5);
    add_products(&b1, w1, r4, r5, r6, r7, r8, r9);
    plane += area;
    k0 += 32;
    k1 += 32;
  }
  let ci = panel * 8 + slot;
  store(lane, t0, image, ci, row, column);
  store(lane, t1, image, ci + 8, row, column);
  store(lane, b0, image, ci, row + 2, column);
  store(lane, b1, image, ci + 8, row + 2, column);
}
