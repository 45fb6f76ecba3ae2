// Equation: y[r] = sum of x[r, j]
// Source: torch.sum over the last two dimensions: gradient of a value added to a whole channel.
// Joins: kernels/lib/read_x_vec4.wgsl
// Joins: kernels/lib/summed.wgsl
// Joins: kernels/lib/reduce.wgsl
// Bindings:
//   x: f32, rows of `length` Values (vec4 where the length is a multiple of 4)
//   y: f32, one number a row
// Grid: one workgroup a row.
// Numerics: 8 Values at a time as a tree, 16 of those a block, blocks added up; then the lanes.
// Shapes: any.
// Writes: every output element.

struct Params {
  rows: u32,
  length: u32,
}

override WORKGROUP: u32 = 64; // a power of two from 8 on
alias Value = vec4<f32>; // @specialize
const LANES: vec4<f32> = vec4<f32>(1.0); // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = wid.y * groups.x + wid.x;
  if (row >= params.rows) {
    return;
  }
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
  let all = reduce(lane, dot(vec4<f32>(sum), LANES));
  if (lane == 0u) {
    y[row] = all;
  }
}
