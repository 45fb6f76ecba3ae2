// Equation: y[m, n] = sum over k of x[m, k] * weight[n, k] + bias[n]
// Source: torch.nn.Linear.
// Bindings:
//   x: f32 [M, K], read as Value (vec4 where K is a multiple of 4)
//   weight: f32 [N, K]
//   bias: f32 [N]; not read where has_bias is 0
//   y: f32 [M, N]
// Grid: one invocation per n and 4 rows m, folded over x and y.
// Numerics: one chain a component of Value and block of 16 Values, blocks added up.
// Shapes: K at most 61,680 Values (loop iterations with those of the blocks).
// Writes: every output element.

struct Params {
  m: u32,
  n: u32,
  k: u32,
  has_bias: u32,
}

override WORKGROUP: u32 = 64;
alias Value = vec4<f32>; // @specialize
const LANES: vec4<f32> = vec4<f32>(1.0); // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Value>;
@group(0) @binding(2) var<storage, read> weight: array<Value>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

fn write(m: u32, n: u32, sum: Value, add: f32) {
  if (m < params.m) {
    y[m * params.n + n] = dot(vec4<f32>(sum), LANES) + add;
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  let n = i % params.n;
  let m = 4u * (i / params.n);
  if (m >= params.m) {
    return;
  }
  // Rows past the end are computed from the last one and not written.
  let last = params.m - 1u;
  let row0 = m * params.k;
  let row1 = min(m + 1u, last) * params.k;
  let row2 = min(m + 2u, last) * params.k;
  let row3 = min(m + 3u, last) * params.k;
  var sum0 = Value(0.0);
  var sum1 = Value(0.0);
  var sum2 = Value(0.0);
  var sum3 = Value(0.0);
  for (var begin = 0u; begin < params.k; begin += 16u) {
    var block0 = Value(0.0);
    var block1 = Value(0.0);
    var block2 = Value(0.0);
    var block3 = Value(0.0);
    let end = min(begin + 16u, params.k);
    for (var k = begin; k < end; k++) {
      let w = weight[n * params.k + k];
      block0 += w * x[row0 + k];
      block1 += w * x[row1 + k];
      block2 += w * x[row2 + k];
      block3 += w * x[row3 + k];
    }
    sum0 += block0;
    sum1 += block1;
    sum2 += block2;
    sum3 += block3;
  }
  var add = 0.0;
  if (params.has_bias != 0u) {
    add = bias[n];
  }
  write(m, n, sum0, add);
  write(m + 1u, n, sum1, add);
  write(m + 2u, n, sum2, add);
  write(m + 3u, n, sum3, add);
}
