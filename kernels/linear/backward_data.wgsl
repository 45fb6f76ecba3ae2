// Equation: dx[m, k] = sum over n of dy[m, n] * weight[n, k] + added[m, k]
// Source: derivative of torch.nn.Linear by its input.
// Bindings:
//   dy: f32 [M, N]
//   weight: f32 [N, K], read as Value (vec4 where K is a multiple of 4)
//   added: f32 [M, K], or something unread where has_added is 0
//   dx: f32 [M, K]
// Grid: one invocation per Value of k and 4 rows m, folded over x and y.
// Numerics: chains of 16 terms, added up.
// Shapes: N at most 61,680 (loop iterations with those of the blocks).
// Writes: every output element.

struct Params {
  m: u32,
  n: u32,
  k: u32,
  has_added: u32,
}

override WORKGROUP: u32 = 64;
alias Value = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<Value>;
@group(0) @binding(3) var<storage, read> added: array<Value>;
@group(0) @binding(4) var<storage, read_write> dx: array<Value>;

fn write(m: u32, k: u32, sum: Value) {
  if (m >= params.m) {
    return;
  }
  let i = m * params.k + k;
  var result = sum;
  if (params.has_added != 0u) {
    result += added[i];
  }
  dx[i] = result;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  let k = i % params.k;
  let m = 4u * (i / params.k);
  if (m >= params.m) {
    return;
  }
  // Rows past the end are computed from the last one and not written.
  let last = params.m - 1u;
  let row0 = m * params.n;
  let row1 = min(m + 1u, last) * params.n;
  let row2 = min(m + 2u, last) * params.n;
  let row3 = min(m + 3u, last) * params.n;
  var sum0 = Value(0.0);
  var sum1 = Value(0.0);
  var sum2 = Value(0.0);
  var sum3 = Value(0.0);
  for (var begin = 0u; begin < params.n; begin += 16u) {
    var block0 = Value(0.0);
    var block1 = Value(0.0);
    var block2 = Value(0.0);
    var block3 = Value(0.0);
    let end = min(begin + 16u, params.n);
    for (var n = begin; n < end; n++) {
      let w = weight[n * params.k + k];
      block0 += w * dy[row0 + n];
      block1 += w * dy[row1 + n];
      block2 += w * dy[row2 + n];
      block3 += w * dy[row3 + n];
    }
    sum0 += block0;
    sum1 += block1;
    sum2 += block2;
    sum3 += block3;
  }
  write(m, k, sum0);
  write(m + 1u, k, sum1);
  write(m + 2u, k, sum2);
  write(m + 3u, k, sum3);
}
