// Equation: y[r] = x0[r], x1[r], x2[r] and x3[r], one after the other
// Source: torch.cat of up to four tensors, for two-dimensional memory.
// Bindings:
//   x0, x1, x2, x3: rows of end0, end1 - end0, end2 - end1 and length - end2 Values, of any type;
//     any buffer for those that are empty
//   y: rows of length Values
// Grid: 8 * WORKGROUP Values a workgroup along x, rows along y.
// Numerics: copies.
// Shapes: any; Value is four elements as words where all lengths are multiples of 4.
// Writes: every output element.

struct Params {
  end0: u32,
  end1: u32,
  end2: u32,
  length: u32,
}

override WORKGROUP: u32 = 64;
alias Value = vec4<u32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x0: array<Value>;
@group(0) @binding(2) var<storage, read> x1: array<Value>;
@group(0) @binding(3) var<storage, read> x2: array<Value>;
@group(0) @binding(4) var<storage, read> x3: array<Value>;
@group(0) @binding(5) var<storage, read_write> y: array<Value>;

fn joined(row: u32, column: u32) -> Value {
  if (column < params.end0) {
    return x0[row * params.end0 + column];
  }
  if (column < params.end1) {
    return x1[row * (params.end1 - params.end0) + column - params.end0];
  }
  if (column < params.end2) {
    return x2[row * (params.end2 - params.end1) + column - params.end1];
  }
  return x3[row * (params.length - params.end2) + column - params.end2];
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  var column = wid.x * 8u * WORKGROUP + lane;
  for (var k = 0u; k < 8u && column < params.length; k++) {
    y[wid.y * params.length + column] = joined(wid.y, column);
    column += WORKGROUP;
  }
}
