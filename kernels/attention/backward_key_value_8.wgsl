// Equation: dv[d, j] = sum over i of p[i, j] * dy[d, i];
//   dk[d, j] = scale * sum over i of ds[i, j] * q[d, i],
//   ds[i, j] = p[i, j] * (dp[i, j] - delta[i]), dp[i, j] = sum over d of dy[d, i] * v[d, j],
//   p[i, j] = exp(s[i, j] - logsumexp[i])
// Source: as backward_key_value.wgsl, for heads of 8 channels.
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   q, k, v, dy: f32 or f16 [heads, 8, tokens], staged
//   logsumexp, delta: f32 [heads, tokens], staged; delta of backward_delta.wgsl
//   dk, dv: f32 or f16, the shape of k
// Grid: an invocation takes 4 keys of a head along x, a head along y.
// Numerics: f32; queries four at a time as a tree, one chain of tokens / 4. Powers of 2, for
//   log2(e) is a factor of k and logsumexp.
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
@group(0) @binding(5) var logsumexp: texture_storage_2d<rgba32float, read>;
@group(0) @binding(6) var delta: texture_storage_2d<rgba32float, read>;
@group(0) @binding(7) var<storage, read_write> dk: array<Stored>;
@group(0) @binding(8) var<storage, read_write> dv: array<Stored>;

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
  let own = wid.y * 8u * n + j;
  let scale = 1.4426950408889634 * params.scale;
  let k0 = scale * staged(k, own);
  let k1 = scale * staged(k, own + n);
  let k2 = scale * staged(k, own + 2u * n);
  let k3 = scale * staged(k, own + 3u * n);
  let k4 = scale * staged(k, own + 4u * n);
  let k5 = scale * staged(k, own + 5u * n);
  let k6 = scale * staged(k, own + 6u * n);
  let k7 = scale * staged(k, own + 7u * n);
  let v0 = staged(v, own);
  let v1 = staged(v, own + n);
  let v2 = staged(v, own + 2u * n);
  let v3 = staged(v, own + 3u * n);
  let v4 = staged(v, own + 4u * n);
  let v5 = staged(v, own + 5u * n);
  let v6 = staged(v, own + 6u * n);
  let v7 = staged(v, own + 7u * n);
  var dk0 = vec4<f32>(0.0);
  var dk1 = vec4<f32>(0.0);
  var dk2 = vec4<f32>(0.0);
  var dk3 = vec4<f32>(0.0);
  var dk4 = vec4<f32>(0.0);
  var dk5 = vec4<f32>(0.0);
  var dk6 = vec4<f32>(0.0);
  var dk7 = vec4<f32>(0.0);
  var dv0 = vec4<f32>(0.0);
  var dv1 = vec4<f32>(0.0);
  var dv2 = vec4<f32>(0.0);
  var dv3 = vec4<f32>(0.0);
  var dv4 = vec4<f32>(0.0);
  var dv5 = vec4<f32>(0.0);
  var dv6 = vec4<f32>(0.0);
  var dv7 = vec4<f32>(0.0);
  // The bounds depend on the workgroup: Mesa would compile a loop up to a parameter anew for every
  // dispatch, with the parameter's value in it.
  let begin = wid.y * n;
  for (var i = begin; i < begin + n; i++) {
    let at = i + 7u * begin;
    let total = 1.4426950408889634 * staged(logsumexp, i);
    let mean = staged(delta, i);
    let q0 = staged(q, at);
    let q1 = staged(q, at + n);
    let q2 = staged(q, at + 2u * n);
    let q3 = staged(q, at + 3u * n);
    let q4 = staged(q, at + 4u * n);
    let q5 = staged(q, at + 5u * n);
    let q6 = staged(q, at + 6u * n);
    let q7 = staged(q, at + 7u * n);
    let s0 = ((k0 * q0.x + k1 * q1.x) + (k2 * q2.x + k3 * q3.x)) +
      ((k4 * q4.x + k5 * q5.x) + (k6 * q6.x + k7 * q7.x));
    let s1 = ((k0 * q0.y + k1 * q1.y) + (k2 * q2.y + k3 * q3.y)) +
      ((k4 * q4.y + k5 * q5.y) + (k6 * q6.y + k7 * q7.y));
    let s2 = ((k0 * q0.z + k1 * q1.z) + (k2 * q2.z + k3 * q3.z)) +
      ((k4 * q4.z + k5 * q5.z) + (k6 * q6.z + k7 * q7.z));
    let s3 = ((k0 * q0.w + k1 * q1.w) + (k2 * q2.w + k3 * q3.w)) +
      ((k4 * q4.w + k5 * q5.w) + (k6 * q6.w + k7 * q7.w));
    let p0 = exp2(s0 - total.x);
    let p1 = exp2(s1 - total.y);
    let p2 = exp2(s2 - total.z);
    let p3 = exp2(s3 - total.w);
    let g0 = staged(dy, at);
    let g1 = staged(dy, at + n);
    let g2 = staged(dy, at + 2u * n);
    let g3 = staged(dy, at + 3u * n);
    let g4 = staged(dy, at + 4u * n);
    let g5 = staged(dy, at + 5u * n);
    let g6 = staged(dy, at + 6u * n);
    let g7 = staged(dy, at + 7u * n);
    dv0 += (p0 * g0.x + p1 * g0.y) + (p2 * g0.z + p3 * g0.w);
    dv1 += (p0 * g1.x + p1 * g1.y) + (p2 * g1.z + p3 * g1.w);
    dv2 += (p0 * g2.x + p1 * g2.y) + (p2 * g2.z + p3 * g2.w);
    dv3 += (p0 * g3.x + p1 * g3.y) + (p2 * g3.z + p3 * g3.w);
    dv4 += (p0 * g4.x + p1 * g4.y) + (p2 * g4.z + p3 * g4.w);
    dv5 += (p0 * g5.x + p1 * g5.y) + (p2 * g5.z + p3 * g5.w);
    dv6 += (p0 * g6.x + p1 * g6.y) + (p2 * g6.z + p3 * g6.w);
    dv7 += (p0 * g7.x + p1 * g7.y) + (p2 * g7.z + p3 * g7.w);
    let dp0 = ((v0 * g0.x + v1 * g1.x) + (v2 * g2.x + v3 * g3.x)) +
      ((v4 * g4.x + v5 * g5.x) + (v6 * g6.x + v7 * g7.x));
    let dp1 = ((v0 * g0.y + v1 * g1.y) + (v2 * g2.y + v3 * g3.y)) +
      ((v4 * g4.y + v5 * g5.y) + (v6 * g6.y + v7 * g7.y));
    let dp2 = ((v0 * g0.z + v1 * g1.z) + (v2 * g2.z + v3 * g3.z)) +
      ((v4 * g4.z + v5 * g5.z) + (v6 * g6.z + v7 * g7.z));
    let dp3 = ((v0 * g0.w + v1 * g1.w) + (v2 * g2.w + v3 * g3.w)) +
      ((v4 * g4.w + v5 * g5.w) + (v6 * g6.w + v7 * g7.w));
    let ds0 = p0 * (dp0 - mean.x);
    let ds1 = p1 * (dp1 - mean.y);
    let ds2 = p2 * (dp2 - mean.z);
    let ds3 = p3 * (dp3 - mean.w);
    dk0 += (ds0 * q0.x + ds1 * q0.y) + (ds2 * q0.z + ds3 * q0.w);
    dk1 += (ds0 * q1.x + ds1 * q1.y) + (ds2 * q1.z + ds3 * q1.w);
    dk2 += (ds0 * q2.x + ds1 * q2.y) + (ds2 * q2.z + ds3 * q2.w);
    dk3 += (ds0 * q3.x + ds1 * q3.y) + (ds2 * q3.z + ds3 * q3.w);
    dk4 += (ds0 * q4.x + ds1 * q4.y) + (ds2 * q4.z + ds3 * q4.w);
    dk5 += (ds0 * q5.x + ds1 * q5.y) + (ds2 * q5.z + ds3 * q5.w);
    dk6 += (ds0 * q6.x + ds1 * q6.y) + (ds2 * q6.z + ds3 * q6.w);
    dk7 += (ds0 * q7.x + ds1 * q7.y) + (ds2 * q7.z + ds3 * q7.w);
  }
  dk[own] = Stored(params.scale * dk0);
  dk[own + n] = Stored(params.scale * dk1);
  dk[own + 2u * n] = Stored(params.scale * dk2);
  dk[own + 3u * n] = Stored(params.scale * dk3);
  dk[own + 4u * n] = Stored(params.scale * dk4);
  dk[own + 5u * n] = Stored(params.scale * dk5);
  dk[own + 6u * n] = Stored(params.scale * dk6);
  dk[own + 7u * n] = Stored(params.scale * dk7);
  dv[own] = Stored(dv0);
  dv[own + n] = Stored(dv1);
  dv[own + 2u * n] = Stored(dv2);
  dv[own + 3u * n] = Stored(dv3);
  dv[own + 4u * n] = Stored(dv4);
  dv[own + 5u * n] = Stored(dv5);
  dv[own + 6u * n] = Stored(dv6);
  dv[own + 7u * n] = Stored(dv7);
}
