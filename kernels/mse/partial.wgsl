// Equation: partials[j] = sum of (prediction - target)^2 over the j-th chunk of elements
// Source: torch.nn.functional.mse_loss, first half; with loss_gradient.wgsl also its derivative
//   by the first argument.
// Joins: kernels/lib/loss_alone.wgsl
// Joins: kernels/lib/summed.wgsl
// Joins: kernels/lib/reduce.wgsl
// Bindings:
//   prediction, target_values: f32, `length` elements, read as vec4
//   partials: f32, one number a workgroup
// Grid: a workgroup takes 32 * WORKGROUP vec4s; at most 65,535 workgroups, along x.
// Numerics: 4 vec4s at a time as a tree, 8 of those in a chain; then the lanes as a tree.
// Shapes: any; the padding of a last vec4 is left out.
// Writes: every output element.

struct Params {
  length: u32,
}

override WORKGROUP: u32 = 64; // a power of two from 8 on

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> prediction: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> target_values: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

fn square(i: u32) -> vec4<f32> {
  let d = prediction[i] - target_values[i];
  keep(i, d);
  let place = 4u * i + vec4<u32>(0u, 1u, 2u, 3u);
  return select(vec4<f32>(0.0), d * d, place < vec4<u32>(params.length));
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  var sum = vec4<f32>(0.0);
  var i = wid.x * 32u * WORKGROUP + lane;
  for (var k = 0u; k < 8u; k++) {
    sum += (square(i) + square(i + WORKGROUP)) +
      (square(i + 2u * WORKGROUP) + square(i + 3u * WORKGROUP));
    i += 4u * WORKGROUP;
  }
  let all = reduce(lane, (sum.x + sum.y) + (sum.z + sum.w));
  if (lane == 0u) {
    partials[wid.x] = all;
  }
}
