// Equation: y[i] = max(x[i], 0)
// Source: torch.nn.functional.relu.
// Bindings:
//   x: f32 tensor, read as vec4 (buffers are padded to 16 bytes)
//   y: f32, the same shape
// Grid: one invocation per 4 elements, folded over x and y.
// Numerics: exact; NaN stays NaN, which max would lose.
// Shapes: any; the last vec4 may reach into the padding of the buffers.
// Writes: every output element.

struct Params {
  count4: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

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
  let v = x[i];
  y[i] = select(v, vec4<f32>(), v < vec4<f32>());
}
