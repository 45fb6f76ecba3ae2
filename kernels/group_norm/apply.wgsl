// Equation: z = (x - mean) * rstd * weight + bias; y = z, or z * sigmoid(z) if silu
// Source: Wu and He 2018, arXiv:1803.08494; torch.nn.GroupNorm then torch.nn.SiLU.
// Joins: kernels/lib/read_x_vec4.wgsl
// Joins: kernels/lib/stores.wgsl
// Bindings:
//   x: [N, C, H, W], f32 or f16, read as Value (vec4 where H * W is a multiple of 4)
//   stats: f32 [N, G, 2], mean and rstd
//   weight, bias: f32 [C]
//   y: f32 or f16, the shape of x
// Grid: a workgroup takes steps * WORKGROUP Values of one row (n, c); `chunks` workgroups a row.
// Numerics: the mean is taken off first, so that a large mean costs no digits; exp overflows to
//   infinity for z < -88, where z / infinity is the right -0.
// Shapes: any.
// Writes: every output element.

struct Params {
  rows: u32,
  length: u32,
  chunks: u32,
  steps: u32,
  channels: u32,
  group_channels: u32,
  silu: u32,
}

override WORKGROUP: u32 = 64;
alias Value = vec4<f32>; // @specialize
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> stats: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<Stored>;

fn put(at: u32, value: Stored) {
  y[at] = value;
}

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
  let s = stats[row / params.group_channels];
  let c = row % params.channels;
  let factor = s.y * weight[c];
  let offset = bias[c];
  let chunk = params.steps * WORKGROUP;
  let begin = row * params.length + (id % params.chunks) * chunk;
  let end = min(begin + chunk, (row + 1u) * params.length);
  for (var first = begin; first < end; first += WORKGROUP) {
    let i = first + lane;
    var z = (x_at(i) - s.x) * factor + offset;
    if (params.silu != 0u) {
      z = z / (1.0 + exp(-z));
    }
    put_all(lane, i < end, i, Stored(z));
  }
}
