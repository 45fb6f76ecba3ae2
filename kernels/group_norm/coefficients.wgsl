// Equation: y[n, c] = (mean, rstd * weight[c], bias[c], 0), so that group norm of v in channel c of
//   image n is (v - y.x) * y.y + y.z
// Source: Wu and He 2018, arXiv:1803.08494; torch.nn.GroupNorm.
// Bindings:
//   stats: f32 [N, G, 2], mean and rstd
//   weight, bias: f32 [C]
//   y: f32 [N, C, 4]
// Grid: one invocation a channel (n, c).
// Numerics: as apply.wgsl: the mean is taken off first.
// Shapes: any.
// Writes: every output element.

struct Params {
  rows: u32,
  channels: u32,
  group_channels: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> stats: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  let row = id.y * groups.x * WORKGROUP + id.x;
  if (row >= params.rows) {
    return;
  }
  let s = stats[row / params.group_channels];
  let c = row % params.channels;
  y[row] = vec4(s.x, s.y * weight[c], bias[c], 0.0);
}
