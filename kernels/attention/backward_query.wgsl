// Equation: dq[d, i] = scale * sum over j of ds[i, j] * k[d, j],
//   ds[i, j] = p[i, j] * (dp[i, j] - delta[i]), dp[i, j] = sum over d of dy[d, i] * v[d, j],
//   p[i, j] = exp(s[i, j] - logsumexp[i])
// Source: Dao et al. 2022, arXiv:2205.14135, algorithm 4; s as in forward.wgsl.
// Joins: kernels/lib/read_qkv_vec4.wgsl
// Joins: kernels/lib/read_dy_vec4.wgsl
// Bindings:
//   q, k, v, dy: f32 [heads, head_dim, stride], read as vec4 along the tokens; padding is zero, so
//     that it adds nothing
//   logsumexp: f32 [heads, stride]; delta: f32 [heads, stride] of backward_delta.wgsl
//   dq: f32, the shape of q
// Grid: an invocation takes 4 queries of a head; heads along y.
// Numerics: f32; keys eight at a time as a tree, one chain of stride / 8, kept in dq.
// Shapes: stride a multiple of 8.
// Writes: every output element.

struct Params {
  stride4: u32,
  head_dim: u32,
  scale: f32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read> logsumexp: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> delta: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> dq: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let n = params.stride4;
  let i = wid.x * WORKGROUP + lane;
  if (i >= n) {
    return;
  }
  let head = wid.y * params.head_dim * n;
  let size = params.head_dim * n;
  for (var row = 0u; row < size; row += n) {
    dq[head + row + i] = vec4<f32>(0.0);
  }
  let total = logsumexp[wid.y * n + i];
  let mean = delta[wid.y * n + i];
  for (var j = 0u; j < n; j += 2u) {
    // Scores and their gradients of the queries (components) with eight keys.
    var s0 = -total;
    var s1 = -total;
    var s2 = -total;
    var s3 = -total;
    var s4 = -total;
    var s5 = -total;
    var s6 = -total;
    var s7 = -total;
    var g0 = -mean;
    var g1 = -mean;
    var g2 = -mean;
    var g3 = -mean;
    var g4 = -mean;
    var g5 = -mean;
    var g6 = -mean;
    var g7 = -mean;
    for (var row = head; row < head + size; row += n) {
      let query = params.scale * q_at(row + i);
      let upstream = dy_at(row + i);
      let a = k_at(row + j);
      let b = k_at(row + j + 1u);
      let c = v_at(row + j);
      let d = v_at(row + j + 1u);
      s0 += query * a.x;
      s1 += query * a.y;
      s2 += query * a.z;
      s3 += query * a.w;
      s4 += query * b.x;
      s5 += query * b.y;
      s6 += query * b.z;
      s7 += query * b.w;
      g0 += upstream * c.x;
      g1 += upstream * c.y;
      g2 += upstream * c.z;
      g3 += upstream * c.w;
      g4 += upstream * d.x;
      g5 += upstream * d.y;
      g6 += upstream * d.z;
      g7 += upstream * d.w;
    }
    g0 *= exp(s0);
    g1 *= exp(s1);
    g2 *= exp(s2);
    g3 *= exp(s3);
    g4 *= exp(s4);
    g5 *= exp(s5);
    g6 *= exp(s6);
    g7 *= exp(s7);
    for (var row = head; row < head + size; row += n) {
      let a = k_at(row + j);
      let b = k_at(row + j + 1u);
      dq[row + i] += ((g0 * a.x + g1 * a.y) + (g2 * a.z + g3 * a.w)) +
        ((g4 * b.x + g5 * b.y) + (g6 * b.z + g7 * b.w));
    }
  }
  for (var row = 0u; row < size; row += n) {
    dq[head + row + i] *= params.scale;
  }
}
