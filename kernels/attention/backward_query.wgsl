// Equation: dq[d, i] = scale * sum over j of ds[i, j] * k[d, j],
//   ds[i, j] = p[i, j] * (dp[i, j] - delta[i]), dp[i, j] = sum over d of dy[d, i] * v[d, j],
//   p[i, j] = exp(s[i, j] - logsumexp[i])
// Source: Dao et al. 2022, arXiv:2205.14135, algorithm 4; s as in forward.wgsl.
// Bindings:
//   q, k, v, dy: f32 [heads, HEAD_DIM, stride], read as vec4 along the tokens; padding is zero, so
//     that it adds nothing
//   logsumexp: f32 [heads, stride]; delta: f32 [heads, stride] of backward_delta.wgsl
//   dq: f32, the shape of q
// Grid: an invocation takes 4 queries of a head; heads along y.
// Numerics: f32; keys four at a time as a tree, one chain of tokens / 4.
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
@group(0) @binding(7) var<storage, read_write> dq: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = wid.x * WORKGROUP + lane;
  if (i >= params.stride4) {
    return;
  }
  // Known to the compiler, so that it unrolls, up to 16; beyond, unrolling takes many seconds.
  let head_dim = select(params.head_dim, HEAD_DIM, HEAD_DIM <= 16u);
  let head = wid.y * head_dim * params.stride4;
  var query: array<vec4<f32>, HEAD_DIM>;
  var upstream: array<vec4<f32>, HEAD_DIM>;
  var sum: array<vec4<f32>, HEAD_DIM>;
  for (var d = 0u; d < head_dim; d++) {
    query[d] = params.scale * q[head + d * params.stride4 + i];
    upstream[d] = dy[head + d * params.stride4 + i];
    sum[d] = vec4<f32>(0.0);
  }
  let total = logsumexp[wid.y * params.stride4 + i];
  let mean = delta[wid.y * params.stride4 + i];
  for (var j = 0u; j < params.stride4; j++) {
    // Scores and their gradients of the queries (components) with four keys.
    var s0 = -total;
    var s1 = -total;
    var s2 = -total;
    var s3 = -total;
    var g0 = -mean;
    var g1 = -mean;
    var g2 = -mean;
    var g3 = -mean;
    for (var d = 0u; d < head_dim; d++) {
      let key = k[head + d * params.stride4 + j];
      let value = v[head + d * params.stride4 + j];
      s0 += query[d] * key.x;
      s1 += query[d] * key.y;
      s2 += query[d] * key.z;
      s3 += query[d] * key.w;
      g0 += upstream[d] * value.x;
      g1 += upstream[d] * value.y;
      g2 += upstream[d] * value.z;
      g3 += upstream[d] * value.w;
    }
    g0 *= exp(s0);
    g1 *= exp(s1);
    g2 *= exp(s2);
    g3 *= exp(s3);
    for (var d = 0u; d < head_dim; d++) {
      let key = k[head + d * params.stride4 + j];
      sum[d] += (g0 * key.x + g1 * key.y) + (g2 * key.z + g3 * key.w);
    }
  }
  for (var d = 0u; d < head_dim; d++) {
    dq[head + d * params.stride4 + i] = params.scale * sum[d];
  }
}
