// Equation: y[r, j] = x[r, j] where j < x_length, else 0, for j < y_length
// Source: padding rows to a multiple of 4, and cutting the padding off again.
// Bindings:
//   x: f32 [rows, x_length]
//   y: f32 [rows, y_length]
// Grid: one invocation an output element, folded over x and y.
// Numerics: copies.
// Shapes: any.
// Writes: every output element.

struct Params {
  count: u32,
  x_length: u32,
  y_length: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  if (i >= params.count) {
    return;
  }
  let row = i / params.y_length;
  let j = i % params.y_length;
  var value = 0.0;
  if (j < params.x_length) {
    value = x[row * params.x_length + j];
  }
  y[i] = value;
}
