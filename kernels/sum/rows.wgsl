// Equation: y[n, c] = sum of x[n, c, j] over j; total[k, c] = sum of y[n, c] over its images n
// Source: torch.sum: gradients of a value added to a whole channel, and of a bias.
// Joins: kernels/lib/read_x_vec4.wgsl
// Joins: kernels/lib/summed.wgsl
// Joins: kernels/lib/reduce.wgsl
// Bindings:
//   x: f32, N*C rows of `length` Values (vec4 where the length is a multiple of 4)
//   y: f32 [N, C], one number a row
//   total: f32 [N / images, C], part k being of `images` images
// Grid: one workgroup a channel and `images` images, folded over x and y.
// Numerics: 8 Values at a time as a tree, 16 of those a block, blocks added up; then the lanes;
//   then the images, one after the other.
// Shapes: at most 65,535 loop iterations, those over images and rows together.
// Writes: every output element.

struct Params {
  batch: u32,
  channels: u32,
  length: u32,
  images: u32,
}

override WORKGROUP: u32 = 64; // a power of two from 8 on
alias Value = vec4<f32>; // @specialize
const LANES: vec4<f32> = vec4<f32>(1.0); // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> total: array<f32>;

fn row_sum(row: u32, lane: u32) -> f32 {
  let end = (row + 1u) * params.length;
  var sum = Value(0.0);
  var i = row * params.length + lane;
  while (i < end) {
    var block = Value(0.0);
    for (var k = 0u; k < 16u && i + 7u * WORKGROUP < end; k++) {
      let a = (x_at(i) + x_at(i + WORKGROUP)) +
        (x_at(i + 2u * WORKGROUP) + x_at(i + 3u * WORKGROUP));
      i += 4u * WORKGROUP;
      let b = (x_at(i) + x_at(i + WORKGROUP)) +
        (x_at(i + 2u * WORKGROUP) + x_at(i + 3u * WORKGROUP));
      i += 4u * WORKGROUP;
      block += a + b;
    }
    if (i < end && i + 7u * WORKGROUP >= end) {
      block += x_at(i);
      i += WORKGROUP;
    }
    sum += block;
  }
  return dot(vec4<f32>(sum), LANES);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = wid.y * groups.x + wid.x;
  let first = index / params.channels * params.images;
  if (first >= params.batch) {
    return;
  }
  var sum = 0.0;
  // More than one image only where `reduce` takes no workgroup memory, which would have to be free.
  for (var n = first; n < min(first + params.images, params.batch); n++) {
    let row = n * params.channels + index % params.channels;
    let all = reduce(lane, row_sum(row, lane));
    if (lane == 0u) {
      y[row] = all;
    }
    sum += all;
  }
  if (lane == 0u) {
    total[index] = sum;
  }
}
