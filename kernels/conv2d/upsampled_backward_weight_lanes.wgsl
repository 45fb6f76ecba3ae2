// Equation: partial[slice,co,ci,u,v] = sum over the pixels (n, i, j) of the slice of
//   x[n,ci,i,j] * dy[n, co, 2i + u - 1, 2j + v - 1]
// Source: gradient of upsampled.wgsl by K; sum_slices.wgsl adds up, unfold_upsampled.wgsl makes the
//   gradient by the weight of it.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/eight_lanes.wgsl
// Joins: kernels/lib/both_reads.wgsl
// Joins: kernels/lib/lane_texels.wgsl
// Joins: kernels/lib/sixteen.wgsl
// Joins: kernels/lib/sixteen_lanes.wgsl
// Joins: kernels/lib/doubled_sums.wgsl
// Bindings:
//   x: f32 [N,Ci,H,W] staged
//   dy: f32 [N,Co,2H,2W] staged
//   partial: f32 [slices, co4, ci16*16] as vec4, co4 and ci16 being Co and Ci rounded up to 4 and
//     16
// Grid: x: blocks of 16 input channels, with subgroups of 16 two at a time; y: blocks of 4 output
//   channels; z: slices (8 columns of x, some rows). A workgroup is a subgroup. Eight invocations
//   have a block: each has two input channels and reads an eighth of the pixels of dy for all.
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
}

override WORKGROUP: u32 = 8;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var dy: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4<f32>>;

fn load_pixels(at: u32, has_a: bool, has_b: bool) -> Pixels {
  return Pixels(
    select(vec4(0.0), staged(x, at), has_a),
    select(vec4(0.0), staged(x, at + 1), has_b),
  );
}

fn fetch(at: u32) -> vec4<f32> {
  return staged(dy, at);
}

/// The row of dy above the one of x, as it is doubled, meets this row of x and the one before.
fn add_upper(s: ptr<function, Sums>, d: Pixels, before: Pixels, r: Sixteen) {
  (*s).u0 += dots(d, r);
  (*s).u2 += dots(before, r);
}

fn add_lower(s: ptr<function, Sums>, d: Pixels, before: Pixels, r: Sixteen) {
  (*s).u1 += dots(d, r);
  (*s).u3 += dots(before, r);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_invocation_id) place: u32,
) {
  enter(place);
  let slot = lane % 8;
  let block = wid.x * EIGHTS + lane / 8;
  let strip = wid.z % params.strips;
  let column = strip * 2;
  let first_row = wid.z / params.strips % params.row_chunks * params.rows;
  let end_row = min(first_row + params.rows, params.h);
  let first_image = wid.z / (params.strips * params.row_chunks) * params.images;
  let end_image = min(first_image + params.images, params.batch);
  let w4 = params.w4;
  let area = params.h * w4;
  let last_ci = params.ci - 1;
  let last_co = params.co - 1;
  let ci = block * 16 + slot;
  let x0 = min(ci, last_ci) * area + column;
  let x1 = min(ci + 8, last_ci) * area + column;
  let has_b = column + 1 < w4;
  // The texel that this invocation reads of each row of dy: two output channels at a time, then the
  // neighbours of all channels and both rows. What lies past the image is not used.
  let co = wid.y * 4;
  let mine = column * 2 + slot % 4;
  let is_mine = mine < w4 * 2;
  let dy0 = min(co + slot / 4, last_co) * area * 4 + mine;
  let dy1 = min(co + 2 + slot / 4, last_co) * area * 4 + mine;
  let edge = min(co + slot % 4, last_co) * area * 4 + column * 2;
  var s00 = Sums();
  var s01 = Sums();
  var s10 = Sums();
  var s11 = Sums();
  var s20 = Sums();
  var s21 = Sums();
  var s30 = Sums();
  var s31 = Sums();
  for (var n = first_image; n < end_image; n++) {
    let image = n * params.ci * area;
    let gradient = n * params.co * area * 4;
    var b0 = Pixels();
    var b1 = Pixels();
    // One row more: its upper neighbours in dy meet the last row of the slice.
    for (var row = first_row; row <= end_row; row++) {
      let inside = row < end_row;
      let at = image + row * w4;
      let d0 = load_pixels(at + x0, inside, inside && has_b);
      let d1 = load_pixels(at + x1, inside, inside && has_b);
      let zero = vec4(0.0);
      let lower = gradient + row * w4 * 4;
      let upper = lower - w4 * 2;
      let has_upper = row > 0;
      let has_lower = row < params.h;
      let above = read_both(upper + dy0, upper + dy1);
      let t0 = select(zero, above.a, has_upper && is_mine);
      let t1 = select(zero, above.b, has_upper && is_mine);
      let below = read_both(lower + dy0, lower + dy1);
      let t2 = select(zero, below.a, has_lower && is_mine);
      let t3 = select(zero, below.b, has_lower && is_mine);
      let near = select(upper, lower, slot >= 4);
      let has_near = select(has_upper, has_lower, slot >= 4);
      let beside = read_both(near + edge - 1, near + edge + 4);
      let l = select(zero, beside.a, has_near && strip > 0);
      let r = select(zero, beside.b, has_near && column + 2 < w4);
      let u0 = sixteen_of(of_lane_0(l).w, low_texels(t0), of_lane_0(r).x);
      add_upper(&s00, d0, b0, u0);
      add_upper(&s01, d1, b1, u0);
      let u1 = sixteen_of(of_lane_1(l).w, high_texels(t0), of_lane_1(r).x);
      add_upper(&s10, d0, b0, u1);
      add_upper(&s11, d1, b1, u1);
      let u2 = sixteen_of(of_lane_2(l).w, low_texels(t1), of_lane_2(r).x);
      add_upper(&s20, d0, b0, u2);
      add_upper(&s21, d1, b1, u2);
      let u3 = sixteen_of(of_lane_3(l).w, high_texels(t1), of_lane_3(r).x);
      add_upper(&s30, d0, b0, u3);
      add_upper(&s31, d1, b1, u3);
      let v0 = sixteen_of(of_lane_4(l).w, low_texels(t2), of_lane_4(r).x);
      add_lower(&s00, d0, b0, v0);
      add_lower(&s01, d1, b1, v0);
      let v1 = sixteen_of(of_lane_5(l).w, high_texels(t2), of_lane_5(r).x);
      add_lower(&s10, d0, b0, v1);
      add_lower(&s11, d1, b1, v1);
      let v2 = sixteen_of(of_lane_6(l).w, low_texels(t3), of_lane_6(r).x);
      add_lower(&s20, d0, b0, v2);
      add_lower(&s21, d1, b1, v2);
      let v3 = sixteen_of(of_lane_7(l).w, high_texels(t3), of_lane_7(r).x);
      add_lower(&s30, d0, b0, v3);
      add_lower(&s31, d1, b1, v3);
      b0 = d0;
      b1 = d1;
    }
  }
  if (block >= params.ci_blocks) {
    return;
  }
  let row4 = params.ci_blocks * 64;
  let at = (wid.z * params.co_blocks + wid.y) * 4 * row4 + ci * 4;
  store(at, s00);
  store(at + 32, s01);
  store(at + row4, s10);
  store(at + row4 + 32, s11);
  store(at + 2 * row4, s20);
  store(at + 2 * row4 + 32, s21);
  store(at + 3 * row4, s30);
  store(at + 3 * row4 + 32, s31);
}
