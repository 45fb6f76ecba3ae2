// Equation: dweight[n, k] = sum over m of dy[m, n] * x[m, k]; dbias[n] = sum over m of dy[m, n]
// Source: derivative of torch.nn.Linear by its weight and bias.
// Bindings:
//   x: f32 [M, K], read as Value (vec4 where K is a multiple of 4)
//   dy: f32 [M, N]
//   dweight: f32 [N, K]
//   dbias: f32 [N]
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
@group(0) @binding(4) var<storage, read_write> dbias: array<f32>;

// What the invocation of the first k has summed of dy is the row's for all.
fn write(n: u32, k: u32, sum: Value, sum_of_dy: f32) {
  if (n >= params.n) {
    return;
  }
  dweight[n * params.k + k] = sum;
  if (k == 0u) {
    dbias[n] = sum_of_dy;
  }
}

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
  var sums = vec4<f32>(0.0);
  for (var begin = 0u; begin < params.m; begin += 16u) {
    var block0 = Value(0.0);
    var block1 = Value(0.0);
    var block2 = Value(0.0);
    var block3 = Value(0.0);
    var block = vec4<f32>(0.0);
    let end = min(begin + 16u, params.m);
    for (var m = begin; m < end; m++) {
      let v = x[m * params.k + k];
      let row = m * params.n;
      let d = vec4<f32>(dy[row + n], dy[row + n1], dy[row + n2], dy[row + n3]);
      block0 += v * d.x;
      block1 += v * d.y;
      block2 += v * d.z;
      block3 += v * d.w;
      block += d;
    }
    sum0 += block0;
    sum1 += block1;
    sum2 += block2;
    sum3 += block3;
    sums += block;
  }
  write(n, k, sum0, sums.x);
  write(n + 1u, k, sum1, sums.y);
  write(n + 2u, k, sum2, sums.z);
  write(n + 3u, k, sum3, sums.w);
}
