// Equation: dweight[n, k] = sum over m of dy[m, n] * x[m, k]
// Source: derivative of torch.nn.Linear by its weight.
// Bindings:
//   x: f32 [M, K], read as Value (vec4 where K is a multiple of 4)
//   dy: f32 [M, N]
//   dweight: f32 [N, K]
// Grid: one invocation per Value of k and 4 rows n, folded over x and y.
// Numerics: chains of 16 terms, added up.
// Shapes: M at most 61,680 (loop iterations with those of the blocks).
// Writes: every output element.

struct Params {
  m: u32,
  n: u32,
  k: u32,
}

override WORKGROUP: u32 = 64;
alias Value = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Value>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dweight: array<Value>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  let k = i % params.k;
  let n = 4u * (i / params.k);
  if (n >= params.n) {
    return;
  }
  // Rows past the end are computed from the last one and not written.
  let last = params.n - 1u;
  let n1 = min(n + 1u, last);
  let n2 = min(n + 2u, last);
  let n3 = min(n + 3u, last);
  var sum0 = Value(0.0);
  var sum1 = Value(0.0);
  var sum2 = Value(0.0);
  var sum3 = Value(0.0);
  for (var begin = 0u; begin < params.m; begin += 16u) {
    var block0 = Value(0.0);
    var block1 = Value(0.0);
    var block2 = Value(0.0);
    var block3 = Value(0.0);
    let end = min(begin + 16u, params.m);
    for (var m = begin; m < end; m++) {
      let v = x[m * params.k + k];
      let row = m * params.n;
      block0 += v * dy[row + n];
      block1 += v * dy[row + n1];
      block2 += v * dy[row + n2];
      block3 += v * dy[row + n3];
    }
    sum0 += block0;
    sum1 += block1;
    sum2 += block2;
    sum3 += block3;
  }
  dweight[n * params.k + k] = sum0;
  if (n + 1u < params.n) {
    dweight[(n + 1u) * params.k + k] = sum1;
  }
  if (n + 2u < params.n) {
    dweight[(n + 2u) * params.k + k] = sum2;
  }
  if (n + 3u < params.n) {
    dweight[(n + 3u) * params.k + k] = sum3;
  }
}
