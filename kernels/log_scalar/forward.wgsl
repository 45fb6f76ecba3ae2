// Equation: log[index] = value
// Source: keeps the losses of many steps on the device, so that they are read back together.
// Bindings:
//   value: f32 [1]
//   index: i32 [1]
//   log_values: f32 [n], updated in place
// Grid: a single invocation.
// Numerics: a copy.
// Shapes: index outside the log is held to its ends.
// Writes: every output element but log[index] keeps its value, in place.

struct Params {
  count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> value: array<f32>;
@group(0) @binding(2) var<storage, read> index: array<i32>;
@group(0) @binding(3) var<storage, read_write> log_values: array<f32>;

@compute @workgroup_size(1)
fn main() {
  log_values[clamp(index[0], 0, i32(params.count) - 1)] = value[0];
}
