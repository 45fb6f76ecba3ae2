// Equation: y[d, i] = sum over j of p[i, j] * v[d, j], p[i, j] = exp(s[i, j] - logsumexp[i]),
//   s[i, j] = scale * sum over d of q[d, i] * k[d, j],
//   logsumexp[i] = log(sum over j of exp(s[i, j]))
// Source: as forward.wgsl, for heads of 8 channels.
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   q, k, v: f32 or f16 [heads, 8, tokens], staged
//   y: f32 or f16, the shape of q
//   logsumexp: f32 [heads, tokens]
// Grid: an invocation takes 4 queries of a head along x, a head along y.
// Numerics: f32; the running maximum is taken off before exp; keys four at a time as a tree, one
//   chain of tokens / 4. Powers of 2, for log2(e) is a factor of q.
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
@group(0) @binding(4) var<storage, read_write> y: array<Stored>;
@group(0) @binding(5) var<storage, read_write> logsumexp: array<vec4<f32>>;

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
  var y0 = vec4<f32>(0.0);
  var y1 = vec4<f32>(0.0);
  var y2 = vec4<f32>(0.0);
  var y3 = vec4<f32>(0.0);
  var y4 = vec4<f32>(0.0);
  var y5 = vec4<f32>(0.0);
  var y6 = vec4<f32>(0.0);
  var y7 = vec4<f32>(0.0);
  var most = vec4<f32>(-1e30);
  var total = vec4<f32>(0.0);
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
    let next = max(most, max(max(s0, s1), max(s2, s3)));
    let decay = exp2(most - next);
    let p0 = exp2(s0 - next);
    let p1 = exp2(s1 - next);
    let p2 = exp2(s2 - next);
    let p3 = exp2(s3 - next);
    most = next;
    total = total * decay + ((p0 + p1) + (p2 + p3));
    let v0 = staged(v, at);
    let v1 = staged(v, at + n);
    let v2 = staged(v, at + 2u * n);
    let v3 = staged(v, at + 3u * n);
    let v4 = staged(v, at + 4u * n);
    let v5 = staged(v, at + 5u * n);
    let v6 = staged(v, at + 6u * n);
    let v7 = staged(v, at + 7u * n);
    y0 = y0 * decay + ((p0 * v0.x + p1 * v0.y) + (p2 * v0.z + p3 * v0.w));
    y1 = y1 * decay + ((p0 * v1.x + p1 * v1.y) + (p2 * v1.z + p3 * v1.w));
    y2 = y2 * decay + ((p0 * v2.x + p1 * v2.y) + (p2 * v2.z + p3 * v2.w));
    y3 = y3 * decay + ((p0 * v3.x + p1 * v3.y) + (p2 * v3.z + p3 * v3.w));
    y4 = y4 * decay + ((p0 * v4.x + p1 * v4.y) + (p2 * v4.z + p3 * v4.w));
    y5 = y5 * decay + ((p0 * v5.x + p1 * v5.y) + (p2 * v5.z + p3 * v5.w));
    y6 = y6 * decay + ((p0 * v6.x + p1 * v6.y) + (p2 * v6.z + p3 * v6.w));
    y7 = y7 * decay + ((p0 * v7.x + p1 * v7.y) + (p2 * v7.z + p3 * v7.w));
  }
  let share = 1.0 / total;
  y[own] = Stored(y0 * share);
  y[own + n] = Stored(y1 * share);
  y[own + 2u * n] = Stored(y2 * share);
  y[own + 3u * n] = Stored(y3 * share);
  y[own + 4u * n] = Stored(y4 * share);
  y[own + 5u * n] = Stored(y5 * share);
  y[own + 6u * n] = Stored(y6 * share);
  y[own + 7u * n] = Stored(y7 * share);
  logsumexp[wid.y * n + i] = 0.6931471805599453 * (most + log2(total));
}
