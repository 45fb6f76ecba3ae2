// Equation: dw[co,k] = sum over slices of x[slice,co,k], k < Ci*T
// Source: second step of the weight gradients that sum over slices of the image first.
// Joins: kernels/lib/read_x_vec4.wgsl
// Bindings:
//   x: f32 [slices, co8, row], a row being Ci*T floats and padding to a multiple of 4
//   dw: f32 [Co,Ci*T]
// Grid: one invocation per 4 elements of a row.
// Numerics: f32; sums of 16 neighbours, then a sum of those sums.
// Shapes: any; slices below 60,000.
// Writes: every output element.

struct Params {
  co: u32,
  length: u32,
  row4: u32,
  slice4: u32,
  slices: u32,
}

override WORKGROUP: u32 = 32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  if (index >= params.co * params.row4) {
    return;
  }
  var sum = vec4(0.0);
  var block = vec4(0.0);
  let whole = params.slices / 4 * 4;
  for (var s = 0u; s < whole; s += 4) {
    // Four reads that do not wait for each other.
    let at = s * params.slice4 + index;
    let pair = x_at(at) + x_at(at + params.slice4);
    block += pair + (x_at(at + 2 * params.slice4) + x_at(at + 3 * params.slice4));
    if (s % 16 == 12) {
      sum += block;
      block = vec4(0.0);
    }
  }
  for (var s = whole; s < params.slices; s++) {
    block += x_at(s * params.slice4 + index);
  }
  sum += block;
  let k = index % params.row4 * 4;
  let at = index / params.row4 * params.length + k;
  if (k < params.length) {
    dw[at] = sum.x;
  }
  if (k + 1 < params.length) {
    dw[at + 1] = sum.y;
  }
  if (k + 2 < params.length) {
    dw[at + 2] = sum.z;
  }
  if (k + 3 < params.length) {
    dw[at + 3] = sum.w;
  }
}
