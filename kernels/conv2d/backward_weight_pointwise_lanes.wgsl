// Equation: partial[slice,co,ci] = sum over the pixels p of the slice of dy[n,co,p] * x[n,ci,p]
// Source: gradient of pointwise.wgsl; sum_slices.wgsl adds up.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/eight_lanes.wgsl
// Joins: kernels/lib/both_reads.wgsl
// Joins: kernels/lib/lane_texels.wgsl
// Joins: kernels/lib/lane_dots.wgsl
// Bindings:
//   x: f32 [N,Ci,pixels] staged
//   dy: f32 [N,Co,pixels] staged
//   partial: f32 [slices, co32, ci16] as vec4, co32 and ci16 being Co and Ci rounded up to 32 and
//     16
// Grid: x: blocks of 16 input channels, with subgroups of 16 two at a time; y: of 32 output
//   channels; z: slices, an image being cut into `parts` of `rounds` times 16 pixels. A workgroup
//   is a subgroup. Eight invocations have a block: each reads 4 of the 16 pixels of x for all, and
//   takes every eighth output channel.
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

fn fetch(at: u32) -> vec4<f32> {
  return staged(dy, at);
}

/// Of one output channel; zeros past the last pixel.
fn load_gradient(plane: u32, pixel: u32) -> Texels {
  let at = plane + pixel;
  let low = read_both(at, at + 1);
  let high = read_both(at + 2, at + 3);
  let left = params.area4 - pixel;
  let zero = vec4(0.0);
  return Texels(
    low.a,
    select(zero, low.b, left > 1),
    select(zero, high.a, left > 2),
    select(zero, high.b, left > 3),
  );
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
  let ci = block * 16 + slot / 4;
  let co = wid.y * 32 + slot;
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
  var s0 = Sums();
  var s1 = Sums();
  var s2 = Sums();
  var s3 = Sums();
  let first = wid.z % params.parts * params.rounds;
  let end = min(first + params.rounds, (area4 + 3) / 4);
  for (var round = first; round < end; round++) {
    let pixel = round * 4;
    let g = Gradients(
      load_gradient(dy0, pixel),
      load_gradient(dy1, pixel),
      load_gradient(dy2, pixel),
      load_gradient(dy3, pixel),
    );
    // Past the last pixel, any that is finite: the gradient is zero there.
    let at = min(pixel + slot % 4, area4 - 1);
    add_dots(&s0, g, staged(x, x0 + at), staged(x, x1 + at));
    add_dots(&s1, g, staged(x, x2 + at), staged(x, x3 + at));
    add_dots(&s2, g, staged(x, x4 + at), staged(x, x5 + at));
    add_dots(&s3, g, staged(x, x6 + at), staged(x, x7 + at));
  }
  if (block < params.ci_blocks) {
    let row4 = params.ci_blocks * 4;
    let to = (wid.z * params.co_blocks * 32 + co) * row4 + block * 4;
    store(to, row4, s0, s1, s2, s3);
  }
}
