// Equation: delta[i] = sum over d of dy[d, i] * x[d, i], x being the y of forward.wgsl
// Source: Dao et al. 2022, arXiv:2205.14135, section B.4: the sum in the derivative of softmax.
// Joins: kernels/lib/read_x_vec4.wgsl
// Joins: kernels/lib/read_dy_vec4.wgsl
// Bindings:
//   x, dy: f32 [heads, head_dim, stride], read as vec4 along the tokens
//   delta: f32 [heads, stride]
// Grid: an invocation takes 4 tokens of a head; heads along y.
// Numerics: one chain over d.
// Shapes: stride a multiple of 4.
// Writes: every output element.

struct Params {
  stride4: u32,
  head_dim: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read_write> delta: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = wid.x * WORKGROUP + lane;
  if (i >= params.stride4) {
    return;
  }
  var sum = vec4<f32>(0.0);
  var at = wid.y * params.head_dim * params.stride4 + i;
  for (var d = 0u; d < params.head_dim; d++) {
    sum += x_at(at) * dy_at(at);
    at += params.stride4;
  }
  delta[wid.y * params.stride4 + i] = sum;
}
