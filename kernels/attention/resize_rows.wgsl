// Equation: y[r, j] = x[r, j] where j < x_length, else 0, for j < y_length
// Source: padding rows to a multiple of 4, and cutting the padding off again; f16 to f32 and back.
// Bindings:
//   x: [rows, x_length], f32 or f16
//   y: [rows, y_length], f32 or f16
// Grid: one invocation an output element, folded over x and y.
// Numerics: copies; to f16 rounded to nearest.
// Shapes: any.
// Writes: every output element.

struct Params {
  count: u32,
  x_length: u32,
  y_length: u32,
}

override WORKGROUP: u32 = 64;
alias Stored = f32; // @specialize
alias StoredX = f32; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<StoredX>;
@group(0) @binding(2) var<storage, read_write> y: array<Stored>;

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
    value = f32(x[row * params.x_length + j]);
  }
  y[i] = Stored(value);
}
