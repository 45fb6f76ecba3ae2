// Equation: dx = rstd * (weight * g - means[0] - xhat * means[1]), xhat = (x - mean) * rstd,
//   g = dy, or if silu dy * s * (1 + z * (1 - s)) with z = xhat * weight + bias, s = sigmoid(z)
// Source: derivative of torch.nn.GroupNorm and torch.nn.SiLU; both are recomputed from x.
// Joins: kernels/lib/read_x_vec4.wgsl
// Joins: kernels/lib/read_dy_vec4.wgsl
// Joins: kernels/lib/stores.wgsl
// Bindings:
//   x, dy: [N, C, H, W], f32 or f16, read as Value (vec4 where H * W is a multiple of 4)
//   stats: f32 [N, G, 2], mean and rstd
//   means: f32 [N, G, 2] of backward_totals.wgsl
//   weight, bias: f32 [C]
//   dx: f32 or f16, the shape of x
// Grid: a workgroup takes steps * WORKGROUP Values of one row (n, c); `chunks` workgroups a row.
// Numerics: f32; -z is capped at 80 in exp, so that s stays finite (below 1e-34 it counts as 0).
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
@group(0) @binding(3) var<storage, read> stats: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> means: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> weight: array<f32>;
@group(0) @binding(6) var<storage, read> bias: array<f32>;
@group(0) @binding(7) var<storage, read_write> dx: array<Stored>;

fn put(at: u32, value: Stored) {
  dx[at] = value;
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
  let stat = stats[row / params.group_channels];
  let shared_part = means[row / params.group_channels] * stat.y;
  let w = weight[row % params.channels];
  let b = bias[row % params.channels];
  let chunk = params.steps * WORKGROUP;
  let begin = row * params.length + (id % params.chunks) * chunk;
  let end = min(begin + chunk, (row + 1u) * params.length);
  for (var first = begin; first < end; first += WORKGROUP) {
    let i = first + lane;
    let xhat = (x_at(i) - stat.x) * stat.y;
    var g = dy_at(i);
    if (params.silu != 0u) {
      let z = xhat * w + b;
      let s = 1.0 / (1.0 + exp(min(-z, Value(80.0))));
      g = g * s * (1.0 + z * (1.0 - s));
    }
    let v = Stored((w * stat.y) * g - shared_part.x - xhat * shared_part.y);
    put_all(lane, i < end, i, v);
  }
}
