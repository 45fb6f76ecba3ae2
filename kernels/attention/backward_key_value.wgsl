// Equation: dv[d, j] = sum over i of p[i, j] * dy[d, i];
//   dk[d, j] = scale * sum over i of ds[i, j] * q[d, i],
//   ds[i, j] = p[i, j] * (dp[i, j] - delta[i]), dp[i, j] = sum over d of dy[d, i] * v[d, j],
//   p[i, j] = exp(s[i, j] - logsumexp[i])
// Source: Dao et al. 2022, arXiv:2205.14135, algorithm 4; s as in forward.wgsl.
// Bindings:
//   q, k, v, dy: f32 [heads, HEAD_DIM, stride], read as vec4 along the tokens; padding is zero, so
//     that it adds nothing
//   logsumexp: f32 [heads, stride]; delta: f32 [heads, stride] of backward_delta.wgsl
//   dk, dv: f32, the shape of k
// Grid: an invocation takes 4 keys of a head; heads along y.
// Numerics: f32; queries four at a time as a tree, one chain of tokens / 4.
// Shapes: stride a multiple of 4; HEAD_DIM as specialised.
// Writes: every output element.

struct Params {
  stride4: u32,
  head_dim: u32,
  scale: f32,
}

override WORKGROUP: u32 = 64;
const HEAD_DIM: u32 = 8u; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> logsumexp: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> delta: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> dk: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> dv: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let j = wid.x * WORKGROUP + lane;
  if (j >= params.stride4) {
    return;
  }
  // Known to the compiler, so that it unrolls, up to 16; beyond, unrolling takes many seconds.
  let head_dim = select(params.head_dim, HEAD_DIM, HEAD_DIM <= 16u);
  let head = wid.y * head_dim * params.stride4;
  let row = wid.y * params.stride4;
  var key: array<vec4<f32>, HEAD_DIM>;
  var value: array<vec4<f32>, HEAD_DIM>;
  var key_sum: array<vec4<f32>, HEAD_DIM>;
  var value_sum: array<vec4<f32>, HEAD_DIM>;
  for (var d = 0u; d < head_dim; d++) {
    key[d] = params.scale * k[head + d * params.stride4 + j];
    value[d] = v[head + d * params.stride4 + j];
    key_sum[d] = vec4<f32>(0.0);
    value_sum[d] = vec4<f32>(0.0);
  }
  for (var i = 0u; i < params.stride4; i++) {
    // Scores and their gradients of the keys (components) with four queries.
    let total = logsumexp[row + i];
    let mean = delta[row + i];
    var s0 = vec4<f32>(-total.x);
    var s1 = vec4<f32>(-total.y);
    var s2 = vec4<f32>(-total.z);
    var s3 = vec4<f32>(-total.w);
    var g0 = vec4<f32>(-mean.x);
    var g1 = vec4<f32>(-mean.y);
    var g2 = vec4<f32>(-mean.z);
    var g3 = vec4<f32>(-mean.w);
    for (var d = 0u; d < head_dim; d++) {
      let query = q[head + d * params.stride4 + i];
      let upstream = dy[head + d * params.stride4 + i];
      s0 += key[d] * query.x;
      s1 += key[d] * query.y;
      s2 += key[d] * query.z;
      s3 += key[d] * query.w;
      g0 += value[d] * upstream.x;
      g1 += value[d] * upstream.y;
      g2 += value[d] * upstream.z;
      g3 += value[d] * upstream.w;
    }
    let p0 = exp(s0);
    let p1 = exp(s1);
    let p2 = exp(s2);
    let p3 = exp(s3);
    g0 *= p0;
    g1 *= p1;
    g2 *= p2;
    g3 *= p3;
    for (var d = 0u; d < head_dim; d++) {
      let query = q[head + d * params.stride4 + i];
      let upstream = dy[head + d * params.stride4 + i];
      key_sum[d] += (g0 * query.x + g1 * query.y) + (g2 * query.z + g3 * query.w);
      value_sum[d] += (p0 * upstream.x + p1 * upstream.y) + (p2 * upstream.z + p3 * upstream.w);
    }
  }
  for (var d = 0u; d < head_dim; d++) {
    dk[head + d * params.stride4 + j] = params.scale * key_sum[d];
    dv[head + d * params.stride4 + j] = value_sum[d];
  }
}
