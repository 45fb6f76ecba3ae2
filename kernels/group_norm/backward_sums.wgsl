// Equation: sums[n, c] = (sum(g), sum(g * xhat)) over H and W, xhat = (x - mean) * rstd,
//   g = dy, or if silu dy * s * (1 + z * (1 - s)) with z = xhat * weight + bias, s = sigmoid(z)
// Source: derivative of torch.nn.GroupNorm and torch.nn.SiLU; both are recomputed from x.
// Joins: kernels/lib/read_x_vec4.wgsl
// Joins: kernels/lib/read_dy_vec4.wgsl
// Joins: kernels/lib/reduce.wgsl
// Bindings:
//   x, dy: f32 [N, C, H, W], read as Value (vec4 where H * W is a multiple of 4)
//   stats: f32 [N, G, 2], mean and rstd
//   weight, bias: f32 [C]
//   sums: f32 [N, C, 2]
// Grid: one workgroup a row (n, c).
// Numerics: four Values at a time as a tree, 16 of those a block, blocks added up; then the lanes.
//   -z is capped at 80 in exp, so that s stays finite (below 1e-34 it counts as 0).
// Shapes: any.
// Writes: every output element.

struct Params {
  rows: u32,
  length: u32,
  channels: u32,
  group_channels: u32,
  silu: u32,
}

override WORKGROUP: u32 = 64; // a power of two from 8 on
alias Value = vec4<f32>; // @specialize
const LANES: vec4<f32> = vec4<f32>(1.0); // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> stats: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> sums: array<vec2<f32>>;

alias Reduced = vec2<f32>;

fn join(a: Reduced, b: Reduced) -> Reduced {
  return a + b;
}

fn total(v: Value) -> f32 {
  return dot(vec4<f32>(v), LANES);
}

fn through_silu(z: Value, g: Value) -> Value {
  if (params.silu == 0u) {
    return g;
  }
  let s = 1.0 / (1.0 + exp(min(-z, Value(80.0))));
  return g * s * (1.0 + z * (1.0 - s));
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = wid.y * groups.x + wid.x;
  if (row >= params.rows) {
    return;
  }
  let stat = stats[row / params.group_channels];
  let w = weight[row % params.channels];
  let b = bias[row % params.channels];
  let end = (row + 1u) * params.length;
  var sum_g = Value(0.0);
  var sum_gx = Value(0.0);
  var i = row * params.length + lane;
  while (i < end) {
    var block_g = Value(0.0);
    var block_gx = Value(0.0);
    for (var k = 0u; k < 16u && i + 3u * WORKGROUP < end; k++) {
      let x0 = (x_at(i) - stat.x) * stat.y;
      let x1 = (x_at(i + WORKGROUP) - stat.x) * stat.y;
      let x2 = (x_at(i + 2u * WORKGROUP) - stat.x) * stat.y;
      let x3 = (x_at(i + 3u * WORKGROUP) - stat.x) * stat.y;
      let g0 = through_silu(x0 * w + b, dy_at(i));
      let g1 = through_silu(x1 * w + b, dy_at(i + WORKGROUP));
      let g2 = through_silu(x2 * w + b, dy_at(i + 2u * WORKGROUP));
      let g3 = through_silu(x3 * w + b, dy_at(i + 3u * WORKGROUP));
      block_g += (g0 + g1) + (g2 + g3);
      block_gx += (g0 * x0 + g1 * x1) + (g2 * x2 + g3 * x3);
      i += 4u * WORKGROUP;
    }
    if (i < end && i + 3u * WORKGROUP >= end) {
      let x0 = (x_at(i) - stat.x) * stat.y;
      let g0 = through_silu(x0 * w + b, dy_at(i));
      block_g += g0;
      block_gx += g0 * x0;
      i += WORKGROUP;
    }
    sum_g += block_g;
    sum_gx += block_gx;
  }
  let all = reduce(lane, vec2<f32>(total(sum_g), total(sum_gx)));
  if (lane == 0u) {
    sums[row] = all;
  }
}
