// Equation: dq[d, i] = scale * sum over j of ds[i, j] * k[d, j],
//   ds[i, j] = p[i, j] * (dp[i, j] - delta[i]), dp[i, j] = sum over d of dy[d, i] * v[d, j],
//   p[i, j] = exp(s[i, j] - logsumexp[i])
// Source: as backward_query.wgsl, for heads of 8 channels.
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   q, k, v, dy: f32 or f16 [heads, 8, tokens], staged
//   logsumexp: f32 [heads, tokens]; delta: f32 [heads, tokens] of backward_delta.wgsl
//   dq: f32 or f16, the shape of q
// Grid: an invocation takes 4 queries of a head along x, a head along y.
// Numerics: f32; keys four at a time as a tree, one chain of tokens / 4. Powers of 2, for log2(e)
//   is a factor of q and logsumexp.
// Shapes: tokens a multiple of 4.
// Writes: every output element.

struct Params {
  stride4: u32,
  scale: f32,
}

override WORKGROUP: u32 = 8;
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var q: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var k: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var v: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var dy: texture_storage_2d<rgba32float, read>;
@group(0) @binding(5) var<storage, read> logsumexp: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> delta: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> dq: array<Stored>;

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
  let begin = wid.y * 8u * n;
  let own = begin + i;
  let scale = 1.4426950408889634 * params.scale;
  let q0 = scale * staged(q, own);
  let q1 = scale * staged(q, own + n);
  let q2 = scale * staged(q, own + 2u * n);
  let q3 = scale * staged(q, own + 3u * n);
  let q4 = scale * staged(q, own + 4u * n);
  let q5 = scale * staged(q, own + 5u * n);
  let q6 = scale * staged(q, own + 6u * n);
  let q7 = scale * staged(q, own + 7u * n);
  let g0 = staged(dy, own);
  let g1 = staged(dy, own + n);
  let g2 = staged(dy, own + 2u * n);
  let g3 = staged(dy, own + 3u * n);
  let g4 = staged(dy, own + 4u * n);
  let g5 = staged(dy, own + 5u * n);
  let g6 = staged(dy, own + 6u * n);
  let g7 = staged(dy, own + 7u * n);
  var dq0 = vec4<f32>(0.0);
  var dq1 = vec4<f32>(0.0);
  var dq2 = vec4<f32>(0.0);
  var dq3 = vec4<f32>(0.0);
  var dq4 = vec4<f32>(0.0);
  var dq5 = vec4<f32>(0.0);
  var dq6 = vec4<f32>(0.0);
  var dq7 = vec4<f32>(0.0);
  let total = 1.4426950408889634 * logsumexp[wid.y * n + i];
  let mean = delta[wid.y * n + i];
  for (var at = begin; at < begin + n; at++) {
    let k0 = staged(k, at);
    let k1 = staged(k, at + n);
    let k2 = staged(k, at + 2u * n);
    let k3 = staged(k, at + 3u * n);
    let k4 = staged(k, at + 4u * n);
    let k5 = staged(k, at + 5u * n);
    let k6 = staged(k, at + 6u * n);
    let k7 = staged(k, at + 7u * n);
    let s0 = ((q0 * k0.x + q1 * k1.x) + (q2 * k2.x + q3 * k3.x)) +
      ((q4 * k4.x + q5 * k5.x) + (q6 * k6.x + q7 * k7.x));
    let s1 = ((q0 * k0.y + q1 * k1.y) + (q2 * k2.y + q3 * k3.y)) +
      ((q4 * k4.y + q5 * k5.y) + (q6 * k6.y + q7 * k7.y));
    let s2 = ((q0 * k0.z + q1 * k1.z) + (q2 * k2.z + q3 * k3.z)) +
      ((q4 * k4.z + q5 * k5.z) + (q6 * k6.z + q7 * k7.z));
    let s3 = ((q0 * k0.w + q1 * k1.w) + (q2 * k2.w + q3 * k3.w)) +
      ((q4 * k4.w + q5 * k5.w) + (q6 * k6.w + q7 * k7.w));
    let v0 = staged(v, at);
    let v1 = staged(v, at + n);
    let v2 = staged(v, at + 2u * n);
    let v3 = staged(v, at + 3u * n);
    let v4 = staged(v, at + 4u * n);
    let v5 = staged(v, at + 5u * n);
    let v6 = staged(v, at + 6u * n);
    let v7 = staged(v, at + 7u * n);
    let dp0 = ((g0 * v0.x + g1 * v1.x) + (g2 * v2.x + g3 * v3.x)) +
      ((g4 * v4.x + g5 * v5.x) + (g6 * v6.x + g7 * v7.x));
    let dp1 = ((g0 * v0.y + g1 * v1.y) + (g2 * v2.y + g3 * v3.y)) +
      ((g4 * v4.y + g5 * v5.y) + (g6 * v6.y + g7 * v7.y));
    let dp2 = ((g0 * v0.z + g1 * v1.z) + (g2 * v2.z + g3 * v3.z)) +
      ((g4 * v4.z + g5 * v5.z) + (g6 * v6.z + g7 * v7.z));
    let dp3 = ((g0 * v0.w + g1 * v1.w) + (g2 * v2.w + g3 * v3.w)) +
      ((g4 * v4.w + g5 * v5.w) + (g6 * v6.w + g7 * v7.w));
    let ds0 = exp2(s0 - total) * (dp0 - mean);
    let ds1 = exp2(s1 - total) * (dp1 - mean);
    let ds2 = exp2(s2 - total) * (dp2 - mean);
    let ds3 = exp2(s3 - total) * (dp3 - mean);
    dq0 += (ds0 * k0.x + ds1 * k0.y) + (ds2 * k0.z + ds3 * k0.w);
    dq1 += (ds0 * k1.x + ds1 * k1.y) + (ds2 * k1.z + ds3 * k1.w);
    dq2 += (ds0 * k2.x + ds1 * k2.y) + (ds2 * k2.z + ds3 * k2.w);
    dq3 += (ds0 * k3.x + ds1 * k3.y) + (ds2 * k3.z + ds3 * k3.w);
    dq4 += (ds0 * k4.x + ds1 * k4.y) + (ds2 * k4.z + ds3 * k4.w);
    dq5 += (ds0 * k5.x + ds1 * k5.y) + (ds2 * k5.z + ds3 * k5.w);
    dq6 += (ds0 * k6.x + ds1 * k6.y) + (ds2 * k6.z + ds3 * k6.w);
    dq7 += (ds0 * k7.x + ds1 * k7.y) + (ds2 * k7.z + ds3 * k7.w);
  }
  dq[own] = Stored(params.scale * dq0);
  dq[own + n] = Stored(params.scale * dq1);
  dq[own + 2u * n] = Stored(params.scale * dq2);
  dq[own + 3u * n] = Stored(params.scale * dq3);
  dq[own + 4u * n] = Stored(params.scale * dq4);
  dq[own + 5u * n] = Stored(params.scale * dq5);
  dq[own + 6u * n] = Stored(params.scale * dq6);
  dq[own + 7u * n] = Stored(params.scale * dq7);
}
