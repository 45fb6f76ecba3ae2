// Equation: y[r, y_offset + j] = x[r, j - x_start] if 0 <= j - x_start < x_count else 0, j < count
// Source: torch.cat, torch.narrow and the gradient of the latter, for two-dimensional memory.
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   x: rows of x_stride vec4s of f32, or of f16 two to each, staged
//   y: rows of y_stride vec4s
// Grid: steps * WORKGROUP vec4s a workgroup along x, rows along y.
// Numerics: copies of bits.
// Shapes: all lengths and offsets multiples of 4, given in vec4s.
// Writes: every output element of the columns y_offset to y_offset + count.

struct Params {
  count: u32,
  x_stride: u32,
  x_start: i32,
  x_count: u32,
  y_stride: u32,
  y_offset: u32,
  steps: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let from_row = wid.y * params.x_stride;
  let to_row = wid.y * params.y_stride + params.y_offset;
  let begin = wid.x * params.steps * WORKGROUP + lane;
  for (var j = begin; j < min(begin + params.steps * WORKGROUP, params.count); j += WORKGROUP) {
    // Columns before x_start wrap around to large numbers. Reading somewhere and selecting is
    // faster on software Vulkan than a branch.
    let column = u32(i32(j) - params.x_start);
    let inside = column < params.x_count;
    let value = staged(x, from_row + select(0u, column, inside));
    y[to_row + j] = select(vec4<f32>(0.0), value, inside);
  }
}
