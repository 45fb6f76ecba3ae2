// Equation: dx[i] = dy[i] * s * (1 + x[i] * (1 - s)), s = sigmoid(x[i])
// Source: derivative of x * sigmoid(x); s is recomputed rather than stored.
// Bindings:
//   x, dy: f32 tensors of one shape, read as vec4 (buffers are padded to 16 bytes)
//   dx: f32, the same shape
// Grid: one invocation per 4 elements, folded over x and y.
// Numerics: f32; exp(-x) is capped so that s stays finite (s = 0 below -88 is exact enough).
// Shapes: any; the last vec4 may reach into the padding of the buffers.
// Writes: every output element.

struct Params {
  count4: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;

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
  let s = 1.0 / (1.0 + exp(min(-v, vec4(80.0))));
  dx[i] = dy[i] * s * (1.0 + v * (1.0 - s));
}
