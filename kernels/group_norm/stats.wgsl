// Equation: mean = sum(x) / m, rstd = 1 / sqrt(sum((x - mean)^2) / m + eps), m = (C / G) * H * W
// Source: Wu and He 2018, arXiv:1803.08494; torch.nn.GroupNorm. Merging: Chan et al. 1979.
// Joins: kernels/lib/read_x_vec4.wgsl
// Joins: kernels/lib/reduce.wgsl
// Bindings:
//   x: f32 [N, C, H, W], read as Value (vec4 where a group's length is a multiple of 4)
//   stats: f32 [N, G, 2], mean and rstd
// Grid: one workgroup a group (n, g).
// Numerics: x is shifted by the group's first element, so that a large mean costs no digits of the
//   variance. A lane takes 8 Values at a time: their own mean and squared deviations (two passes
//   over registers), merged into its running mean and deviations by Chan's formula; lanes likewise.
// Shapes: a group must be shorter than 2^24 elements (counts are kept in f32).
// Writes: every output element.

struct Params {
  rows: u32,
  count: u32,
  eps: f32,
}

override WORKGROUP: u32 = 64; // a power of two from 8 on
alias Value = vec4<f32>; // @specialize
const WIDTH: f32 = 4.0; // @specialize
const LANES: vec4<f32> = vec4<f32>(1.0); // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> stats: array<vec2<f32>>;

/// Count, mean, sum of squared deviations.
alias Reduced = vec3<f32>;

fn total(v: Value) -> f32 {
  return dot(vec4<f32>(v), LANES);
}

fn join(a: Reduced, b: Reduced) -> Reduced {
  let n = a.x + b.x;
  let share = b.x / max(n, 1.0);
  let delta = b.y - a.y;
  return Reduced(n, a.y + delta * share, a.z + b.z + delta * delta * a.x * share);
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
  let base = row * params.count;
  let shift = vec4<f32>(x_at(base)).x;
  let chunks = params.count / (8u * WORKGROUP);
  var n = 0.0;
  var mean = Value(0.0);
  var squares = Value(0.0);
  var i = base + lane;
  for (var chunk = 0u; chunk < chunks; chunk++) {
    let v0 = x_at(i) - shift;
    let v1 = x_at(i + WORKGROUP) - shift;
    let v2 = x_at(i + 2u * WORKGROUP) - shift;
    let v3 = x_at(i + 3u * WORKGROUP) - shift;
    let v4 = x_at(i + 4u * WORKGROUP) - shift;
    let v5 = x_at(i + 5u * WORKGROUP) - shift;
    let v6 = x_at(i + 6u * WORKGROUP) - shift;
    let v7 = x_at(i + 7u * WORKGROUP) - shift;
    let m = 0.125 * (((v0 + v1) + (v2 + v3)) + ((v4 + v5) + (v6 + v7)));
    let d0 = v0 - m;
    let d1 = v1 - m;
    let d2 = v2 - m;
    let d3 = v3 - m;
    let d4 = v4 - m;
    let d5 = v5 - m;
    let d6 = v6 - m;
    let d7 = v7 - m;
    let q = ((d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)) +
      ((d4 * d4 + d5 * d5) + (d6 * d6 + d7 * d7));
    let delta = m - mean;
    let share = 8.0 / (n + 8.0);
    mean += delta * share;
    squares += q + delta * delta * (n * share);
    n += 8.0;
    i += 8u * WORKGROUP;
  }
  for (; i < base + params.count; i += WORKGROUP) {
    let delta = x_at(i) - shift - mean;
    let share = 1.0 / (n + 1.0);
    mean += delta * share;
    squares += delta * delta * (n * share);
    n += 1.0;
  }
  let m = total(mean) / WIDTH;
  let d = mean - m;
  let all = reduce(lane, Reduced(WIDTH * n, m, total(squares + n * d * d)));
  if (lane == 0u) {
    stats[row] = vec2<f32>(shift + all.y, 1.0 / sqrt(all.z / all.x + params.eps));
  }
}
