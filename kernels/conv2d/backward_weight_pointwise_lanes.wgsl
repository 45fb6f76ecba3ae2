// Equation: partial[slice,co,ci] = sum over the pixels p of the slice of dy[n,co,p] * x[n,ci,p]
// Source: gradient of pointwise.wgsl; sum_slices.wgsl adds up.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/lane_dots.wgsl
// Bindings:
//   x: f32 [N,Ci,pixels] staged
//   dy: f32 [N,Co,pixels] staged
//   partial: f32 [slices, co32, ci16] as vec4, co32 and ci16 being Co and Ci rounded up to 32 and
//     16
// Grid: x: blocks of 16 input channels; y: of 32 output channels; z: slices, an image being cut
//   into `parts` of `rounds` times 16 pixels. A workgroup is a subgroup of 8: each invocation reads
//   4 of the 16 pixels of x for all, and takes every eighth output channel.
// Numerics: f32; products of 16 pixels are summed first, then those of the slice, then the slices.
// Shapes: pixels a multiple of 4; channels past the last repeat it and are ignored later.
// Writes: every output element.

struct Params {
  area4: u32,
  ci: u32,
  co: u32,
  ci_blocks: u32,
  co_blocks: u32,
  parts: u32,
  rounds: u32,
}

override WORKGROUP: u32 = 8;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var dy: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4<f32>>;

fn gradient_at(plane: u32, pixel: u32) -> vec4<f32> {
  return select(vec4(0.0), staged(dy, plane + pixel), pixel < params.area4);
}

/// Of one output channel; zeros past the last pixel.
fn load_gradient(plane: u32, pixel: u32) -> Pixels {
  return Pixels(
    gradient_at(plane, pixel),
    gradient_at(plane, pixel + 1),
    gradient_at(plane, pixel + 2),
    gradient_at(plane, pixel + 3),
  );
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
  let ci = wid.x * 16 + lane / 4;
  let co = wid.y * 32 + lane;
  let n = wid.z / params.parts;
  let area4 = params.area4;
  let last_ci = params.ci - 1;
  let last_co = params.co - 1;
  let image = n * params.ci;
  let gradient = n * params.co;
  let x0 = (image + min(ci, last_ci)) * area4;
  let x1 = (image + min(ci + 2, last_ci)) * area4;
  let x2 = (image + min(ci + 4, last_ci)) * area4;
  let x3 = (image + min(ci + 6, last_ci)) * area4;
  let x4 = (image + min(ci + 8, last_ci)) * area4;
  let x5 = (image + min(ci + 10, last_ci)) * area4;
  let x6 = (image + min(ci + 12, last_ci)) * area4;
  let x7 = (image + min(ci + 14, last_ci)) * area4;
  let dy0 = (gradient + min(co, last_co)) * area4;
  let dy1 = (gradient + min(co + 8, last_co)) * area4;
  let dy2 = (gradient + min(co + 16, last_co)) * area4;
  let dy3 = (gradient + min(co + 24, last_co)) * area4;
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
  let first = wid.z % params.parts * params.rounds;
  let end = min(first + params.rounds, (area4 + 3) / 4);
  for (var round = first; round < end; round++) {
    let pixel = round * 4;
    let d0 = load_gradient(dy0, pixel);
    let d1 = load_gradient(dy1, pixel);
    let d2 = load_gradient(dy2, pixel);
    let d3 = load_gradient(dy3, pixel);
    // Past the last pixel, any that is finite: the gradient is zero there.
    let at = min(pixel + lane % 4, area4 - 1);
    {
      let a = staged(x, x0 + at);
      let b = staged(x, x1 + at);
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
      let a = staged(x, x2 + at);
      let b = staged(x, x3 + at);
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
      let a = staged(x, x4 + at);
      let b = staged(x, x5 + at);
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
      let a = staged(x, x6 + at);
      let b = staged(x, x7 + at);
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
  let to = (wid.z * params.co_blocks * 32 + co) * row4 + wid.x * 4;
  store(to, s00, s01, s02, s03);
  store(to + 8 * row4, s10, s11, s12, s13);
  store(to + 16 * row4, s20, s21, s22, s23);
  store(to + 24 * row4, s30, s31, s32, s33);
}
