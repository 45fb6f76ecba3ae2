// Equation: dv[d, j] = sum over i of p[i, j] * dy[d, i];
//   dk[d, j] = scale * sum over i of ds[i, j] * q[d, i],
//   ds[i, j] = p[i, j] * (dp[i, j] - delta[i]), dp[i, j] = sum over d of dy[d, i] * v[d, j],
//   p[i, j] = exp(s[i, j] - logsumexp[i])
// Source: Dao et al. 2022, arXiv:2205.14135, algorithm 4; s as in forward.wgsl.
// Joins: kernels/lib/read_qkv_vec4.wgsl
// Joins: kernels/lib/read_dy_vec4.wgsl
// Bindings:
//   q, k, v, dy: f32 [heads, head_dim, stride], read as vec4 along the tokens; padding is zero, so
//     that it adds nothing
//   logsumexp: f32 [heads, stride]; delta: f32 [heads, stride] of backward_delta.wgsl
//   dk, dv: f32, the shape of k
// Grid: an invocation takes 4 keys of a head; heads along y.
// Numerics: f32; queries eight at a time as a tree, one chain of stride / 8, kept in dk, dv.
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
@group(0) @binding(7) var<storage, read_write> dk: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> dv: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let n = params.stride4;
  let j = wid.x * WORKGROUP + lane;
  if (j >= n) {
    return;
  }
  let head = wid.y * params.head_dim * n;
  let size = params.head_dim * n;
  for (var row = 0u; row < size; row += n) {
    dk[head + row + j] = vec4<f32>(0.0);
    dv[head + row + j] = vec4<f32>(0.0);
  }
  for (var i = 0u; i < n; i += 2u) {
    // Scores and their gradients of the keys (components) with eight queries.
    let total_a = logsumexp[wid.y * n + i];
    let total_b = logsumexp[wid.y * n + i + 1u];
    let mean_a = delta[wid.y * n + i];
    let mean_b = delta[wid.y * n + i + 1u];
    var s0 = vec4<f32>(-total_a.x);
    var s1 = vec4<f32>(-total_a.y);
    var s2 = vec4<f32>(-total_a.z);
    var s3 = vec4<f32>(-total_a.w);
    var s4 = vec4<f32>(-total_b.x);
    var s5 = vec4<f32>(-total_b.y);
    var s6 = vec4<f32>(-total_b.z);
    var s7 = vec4<f32>(-total_b.w);
    var g0 = vec4<f32>(-mean_a.x);
    var g1 = vec4<f32>(-mean_a.y);
    var g2 = vec4<f32>(-mean_a.z);
    var g3 = vec4<f32>(-mean_a.w);
    var g4 = vec4<f32>(-mean_b.x);
    var g5 = vec4<f32>(-mean_b.y);
    var g6 = vec4<f32>(-mean_b.z);
    var g7 = vec4<f32>(-mean_b.w);
    for (var row = head; row < head + size; row += n) {
      let key = params.scale * k_at(row + j);
      let value = v_at(row + j);
      let a = q_at(row + i);
      let b = q_at(row + i + 1u);
      let c = dy_at(row + i);
      let d = dy_at(row + i + 1u);
      s0 += key * a.x;
      s1 += key * a.y;
      s2 += key * a.z;
      s3 += key * a.w;
      s4 += key * b.x;
      s5 += key * b.y;
      s6 += key * b.z;
      s7 += key * b.w;
      g0 += value * c.x;
      g1 += value * c.y;
      g2 += value * c.z;
      g3 += value * c.w;
      g4 += value * d.x;
      g5 += value * d.y;
      g6 += value * d.z;
      g7 += value * d.w;
    }
    s0 = exp(s0);
    s1 = exp(s1);
    s2 = exp(s2);
    s3 = exp(s3);
    s4 = exp(s4);
    s5 = exp(s5);
    s6 = exp(s6);
    s7 = exp(s7);
    g0 *= s0;
    g1 *= s1;
    g2 *= s2;
    g3 *= s3;
    g4 *= s4;
    g5 *= s5;
    g6 *= s6;
    g7 *= s7;
    for (var row = head; row < head + size; row += n) {
      let a = q_at(row + i);
      let b = q_at(row + i + 1u);
      let c = dy_at(row + i);
      let d = dy_at(row + i + 1u);
      dk[row + j] += ((g0 * a.x + g1 * a.y) + (g2 * a.z + g3 * a.w)) +
        ((g4 * b.x + g5 * b.y) + (g6 * b.z + g7 * b.w));
      dv[row + j] += ((s0 * c.x + s1 * c.y) + (s2 * c.z + s3 * c.w)) +
        ((s4 * d.x + s5 * d.y) + (s6 * d.z + s7 * d.w));
    }
  }
  for (var row = 0u; row < size; row += n) {
    dk[head + row + j] *= params.scale;
  }
}
