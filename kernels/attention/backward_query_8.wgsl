// Equation: dq[d, i] = scale * sum over j of ds[i, j] * k[d, j],
//   ds[i, j] = p[i, j] * (dp[i, j] - delta[i]), dp[i, j] = sum over d of dy[d, i] * v[d, j],
//   p[i, j] = exp(s[i, j] - logsumexp[i])
// Source: as backward_query.wgsl, for heads of 8 channels.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/head_8.wgsl
// Joins: kernels/lib/head_8_staged.wgsl
// Joins: kernels/lib/walk_8.wgsl
// Joins: kernels/lib/head_8_backward.wgsl
// Joins: kernels/lib/dy_8_staged.wgsl
// Joins: kernels/lib/query_gradient_8.wgsl
// Bindings:
//   q, k, v, dy: f32 or f16 [heads, 8, tokens], staged
//   logsumexp: f32 [heads, tokens]; delta: f32 [heads, tokens] of backward_delta.wgsl
//   dq: f32 or f16, the shape of q
// Grid: an invocation takes 8 queries of a head along x, in two fours, a head along y; of an odd
//   number of fours the last is taken twice. What it reads of the others costs as much as the
//   products of one four.
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
@group(0) @binding(5) var<storage, read> logsumexp: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> delta: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> dq: array<Stored>;

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
  let own0 = load(begin + i, wid.y * n + i);
  let own1 = load(begin + next, wid.y * n + next);
  var dq0 = Head();
  var dq1 = Head();
  for (var at = begin; at < begin + n; at++) {
    let keys = walk(k, at, n, lane);
    let values = walk(v, at, n, lane);
    add_keys(&dq0, own0, keys, values);
    add_keys(&dq1, own1, keys, values);
  }
  if (i >= n) {
    return;
  }
  store(scaled(dq0, params.scale), begin + i);
  store(scaled(dq1, params.scale), begin + next);
}
