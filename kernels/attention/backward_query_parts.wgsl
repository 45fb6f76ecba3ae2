// Equation: as backward_query_8.wgsl
// Source: as backward_query.wgsl, for heads of 8 channels.
// Joins: kernels/lib/head_8.wgsl
// Joins: kernels/lib/head_8_stored.wgsl
// Joins: kernels/lib/head_8_backward.wgsl
// Joins: kernels/lib/dy_8_stored.wgsl
// Joins: kernels/lib/query_gradient_8.wgsl
// Joins: kernels/lib/parts_8.wgsl
// Bindings:
//   q, k, v, dy: f32 or f16 [heads, 8, tokens], as vec4 along the tokens
//   logsumexp: f32 [heads, tokens]; delta: f32 [heads, tokens] of backward_delta.wgsl
//   dq: f32 or f16, the shape of q
// Grid: a workgroup takes 16 times 4 queries of a head along x; 16 invocations each walk over a
//   fourth of the keys. Heads along y.
// Numerics: as backward_query_8.wgsl, the parts being added at the end.
// Shapes: tokens a multiple of 4.
// Writes: every output element.

struct Params {
  stride4: u32,
  scale: f32,
}

const SUMS: u32 = 1;
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read> logsumexp: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> delta: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> dq: array<Stored>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let n = params.stride4;
  let i = wid.x * OWN + lane % OWN;
  let begin = wid.y * 8 * n;
  let size = (n + PARTS - 1) / PARTS;
  let first = lane / OWN * size;
  let query = min(i, n - 1);
  let own = load(begin + query, wid.y * n + query);
  var sum = Head();
  for (var at = first; at < min(first + size, n); at++) {
    add_keys(&sum, own, load_k(begin + at, n), load_v(begin + at, n));
  }
  parts[lane] = sum;
  workgroupBarrier();
  if (lane < OWN && i < n) {
    store(scaled(summed_parts(lane, 0), params.scale), begin + i);
  }
}
