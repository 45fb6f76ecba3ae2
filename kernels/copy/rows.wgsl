// Equation: y[r, y_offset + j] = x[r, j - x_start] if 0 <= j - x_start < x_count else 0, j < count
// Source: torch.cat, torch.narrow and the gradient of the latter, for two-dimensional memory.
// Bindings:
//   x: rows of x_stride Values, of any type
//   y: rows of y_stride Values
// Grid: 8 * WORKGROUP Values a workgroup along x, rows along y.
// Numerics: copies.
// Shapes: any; Value is four elements as words where all lengths and offsets are multiples of 4.
// Writes: every output element of the columns y_offset to y_offset + count.

struct Params {
  count: u32,
  x_stride: u32,
  x_start: i32,
  x_count: u32,
  y_stride: u32,
  y_offset: u32,
}

override WORKGROUP: u32 = 64;
alias Value = vec4<u32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Value>;
@group(0) @binding(2) var<storage, read_write> y: array<Value>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let from_row = wid.y * params.x_stride;
  let to_row = wid.y * params.y_stride + params.y_offset;
  var j = wid.x * 8u * WORKGROUP + lane;
  for (var k = 0u; k < 8u && j < params.count; k++) {
    // Columns before x_start wrap around to large numbers.
    let column = u32(i32(j) - params.x_start);
    var value = Value(0u);
    if (column < params.x_count) {
      value = x[from_row + column];
    }
    y[to_row + j] = value;
    j += WORKGROUP;
  }
}
