// Equation: y[n, c, h, w] = x[n, c, h, w] + v[n, c]
// Source: the time embedding in diffusers' ResnetBlock2D: hidden_states + temb[:, :, None, None].
// Joins: kernels/lib/read_x_vec4.wgsl
// Bindings:
//   x: [N, C, H, W], f32 or f16, read as Value (vec4 where H * W is a multiple of 4)
//   v: f32 [N, C]
//   y: f32 or f16, the shape of x
// Grid: a workgroup takes steps * WORKGROUP Values of one row (n, c); `chunks` workgroups a row.
// Numerics: one sum, f32.
// Shapes: any.
// Writes: every output element.

struct Params {
  rows: u32,
  length: u32,
  chunks: u32,
  steps: u32,
}

override WORKGROUP: u32 = 64;
alias Value = vec4<f32>; // @specialize
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Stored>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = wid.y * groups.x + wid.x;
  let row = id / params.chunks;
  if (row >= params.rows) {
    return;
  }
  let add = v[row];
  let chunk = params.steps * WORKGROUP;
  let begin = row * params.length + (id % params.chunks) * chunk;
  let end = min(begin + chunk, (row + 1u) * params.length);
  for (var i = begin + lane; i < end; i += WORKGROUP) {
    y[i] = Stored(x_at(i) + add);
  }
}
