// Equation: dprediction[i] = factor * dloss * (prediction[i] - target_values[i]),
//   factor = 2 / the number of elements
// Source: derivative of torch.nn.functional.mse_loss by its first argument.
// Bindings:
//   prediction, target_values: f32 tensors of one shape, read as vec4 (buffers are padded)
//   dloss: f32 [1]
//   dprediction: f32, the same shape
// Grid: one invocation per 4 elements, folded over x and y.
// Numerics: f32.
// Shapes: any; the last vec4 may reach into the padding of the buffers.
// Writes: every output element.

struct Params {
  count4: u32,
  factor: f32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> prediction: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> target_values: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> dloss: array<f32>;
@group(0) @binding(4) var<storage, read_write> dprediction: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  if (i >= params.count4) {
    return;
  }
  dprediction[i] = (params.factor * dloss[0]) * (prediction[i] - target_values[i]);
}
