// Equation: dv[d, j] = sum over i of p[i, j] * dy[d, i];
//   dk[d, j] = scale * sum over i of ds[i, j] * q[d, i],
//   ds[i, j] = p[i, j] * (dp[i, j] - delta[i]), dp[i, j] = sum over d of dy[d, i] * v[d, j],
//   p[i, j] = exp(s[i, j] - logsumexp[i])
// Source: as backward_key_value.wgsl, for heads of 8 channels.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/head_8.wgsl
// Joins: kernels/lib/head_8_staged.wgsl
// Joins: kernels/lib/walk_8.wgsl
// Joins: kernels/lib/head_8_backward.wgsl
// Joins: kernels/lib/dy_8_staged.wgsl
// Joins: kernels/lib/key_gradients_8.wgsl
// Bindings:
//   q, k, v, dy: f32 or f16 [heads, 8, tokens], staged
//   logsumexp, delta: f32 [heads, tokens], staged; delta of backward_delta.wgsl
//   dk, dv: f32 or f16, the shape of k
// Grid: an invocation takes 8 keys of a head along x, in two fours, a head along y; of an odd
//   number of fours the last is taken twice. What it reads of the others costs as much as the
//   products of one four.
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
  let j = (wid.x * WORKGROUP + lane) * 2;
  // Invocations past the last key help to walk; what they make of it is not stored.
  let next = min(j + 1, n - 1);
  let own = wid.y * 8 * n;
  let own0 = load(own + j);
  let own1 = load(own + next);
  var dk0 = Head();
  var dk1 = Head();
  var dv0 = Head();
  var dv1 = Head();
  // The bounds depend on the workgroup: Mesa would compile a loop up to a parameter anew for every
  // dispatch, with the parameter's value in it.
  let begin = wid.y * n;
  for (var i = begin; i < begin + n; i++) {
    let at = i + 7 * begin;
    let others = Queries(
      walk(q, at, n, lane),
      walk(dy, at, n, lane),
      LOG2_E * staged(logsumexp, i),
      staged(delta, i),
    );
    add_queries(&dk0, &dv0, own0, others);
    add_queries(&dk1, &dv1, own1, others);
  }
  if (j >= n) {
    return;
  }
  store_dk(scaled(dk0, params.scale), own + j);
  store_dk(scaled(dk1, params.scale), own + next);
  store_dv(dv0, own + j);
  store_dv(dv1, own + next);
}
