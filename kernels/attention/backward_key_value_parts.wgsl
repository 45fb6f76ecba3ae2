// Equation: as backward_key_value_8.wgsl
// Source: as backward_key_value.wgsl, for heads of 8 channels.
// Joins: kernels/lib/head_8.wgsl
// Joins: kernels/lib/head_8_stored.wgsl
// Joins: kernels/lib/head_8_backward.wgsl
// Joins: kernels/lib/dy_8_stored.wgsl
// Joins: kernels/lib/key_gradients_8.wgsl
// Joins: kernels/lib/parts_8.wgsl
// Bindings:
//   q, k, v, dy: f32 or f16 [heads, 8, tokens], as vec4 along the tokens
//   logsumexp, delta: f32 [heads, tokens]; delta of backward_delta.wgsl
//   dk, dv: f32 or f16, the shape of k
// Grid: a workgroup takes 16 times 4 keys of a head along x; 16 invocations each walk over a fourth
//   of the queries. Heads along y.
// Numerics: as backward_key_value_8.wgsl, the parts being added at the end.
// Shapes: tokens a multiple of 4.
// Writes: every output element.

struct Params {
  stride4: u32,
  scale: f32,
}

const SUMS: u32 = 2;
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read> logsumexp: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> delta: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> dk: array<Stored>;
@group(0) @binding(8) var<storage, read_write> dv: array<Stored>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let n = params.stride4;
  let j = wid.x * OWN + lane % OWN;
  let begin = wid.y * 8 * n;
  let size = (n + PARTS - 1) / PARTS;
  let first = lane / OWN * size;
  let own = load(begin + min(j, n - 1));
  var key_sum = Head();
  var value_sum = Head();
  for (var i = first; i < min(first + size, n); i++) {
    let token = wid.y * n + i;
    let others = Queries(
      load_q(begin + i, n),
      load_dy(begin + i, n),
      LOG2_E * logsumexp[token],
      delta[token],
    );
    add_queries(&key_sum, &value_sum, own, others);
  }
  parts[lane] = key_sum;
  parts[64 + lane] = value_sum;
  workgroupBarrier();
  if (lane < OWN && j < n) {
    store_dk(scaled(summed_parts(lane, 0), params.scale), begin + j);
    store_dv(summed_parts(lane, 1), begin + j);
  }
}
