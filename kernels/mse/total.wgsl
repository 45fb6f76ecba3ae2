// Equation: loss = factor * sum of partials
// Source: torch.nn.functional.mse_loss, second half: factor is 1 / the number of elements.
// Joins: kernels/lib/summed.wgsl
// Joins: kernels/lib/reduce.wgsl
// Bindings:
//   partials: f32, `count` numbers of partial.wgsl
//   loss: f32 [1]
// Grid: one workgroup.
// Numerics: a chain a lane, then the lanes as a tree.
// Shapes: count at most 65,535.
// Writes: every output element.

struct Params {
  count: u32,
  factor: f32,
}

override WORKGROUP: u32 = 64; // a power of two from 8 on

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < params.count; i += WORKGROUP) {
    sum += partials[i];
  }
  let all = reduce(lane, sum);
  if (lane == 0u) {
    loss[0] = params.factor * all;
  }
}
