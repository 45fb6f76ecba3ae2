// Equation: y[d, i] = sum over j of p[i, j] * v[d, j], p[i, j] = exp(s[i, j] - logsumexp[i]),
//   s[i, j] = scale * sum over d of q[d, i] * k[d, j],
//   logsumexp[i] = log(sum over j of exp(s[i, j]))
// Source: as forward.wgsl, for heads of 8 channels.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/head_8.wgsl
// Joins: kernels/lib/head_8_staged.wgsl
// Joins: kernels/lib/softmax_8.wgsl
// Joins: kernels/lib/walk_8.wgsl
// Bindings:
//   q, k, v: f32 or f16 [heads, 8, tokens], staged
//   y: f32 or f16, the shape of q
//   logsumexp: f32 [heads, tokens]
// Grid: an invocation takes 8 queries of a head along x, in two fours, a head along y; of an odd
//   number of fours the last is taken twice. What it reads of the others costs as much as the
//   products of one four.
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
@group(0) @binding(4) var<storage, read_write> y: array<Stored>;
@group(0) @binding(5) var<storage, read_write> logsumexp: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let n = params.stride4;
  let i = (wid.x * WORKGROUP + lane) * 2;
  // Invocations past the last query help to walk; what they make of it is not stored.
  let next = min(i + 1, n - 1);
  let begin = wid.y * 8 * n;
  let q0 = scaled(load_q(begin + i, n), LOG2_E * params.scale);
  let q1 = scaled(load_q(begin + next, n), LOG2_E * params.scale);
  var s0 = no_keys();
  var s1 = no_keys();
  for (var at = begin; at < begin + n; at++) {
    let keys = walk(k, at, n, lane);
    let values = walk(v, at, n, lane);
    add_keys(&s0, q0, keys, values);
    add_keys(&s1, q1, keys, values);
  }
  if (i >= n) {
    return;
  }
  store(s0, begin + i, wid.y * n + i);
  store(s1, begin + next, wid.y * n + next);
}
