// Equation: y[d, i] = sum over j of p[i, j] * v[d, j], p[i, j] = exp(s[i, j] - logsumexp[i]),
//   s[i, j] = scale * sum over d of q[d, i] * k[d, j], logsumexp[i] = log(sum over j of exp(s[i, j]))
// Source: Vaswani et al. 2017, arXiv:1706.03762; online softmax: Milakov and Gimelshein 2018,
//   arXiv:1805.02867; no T x T matrix: Dao et al. 2022, arXiv:2205.14135.
// Bindings:
//   q, k, v: f32 [heads, HEAD_DIM, stride], a head of an image after the other, read as vec4 along
//     the tokens; tokens from `tokens` to the row's end are padding
//   y: f32, the shape of q
//   logsumexp: f32 [heads, stride]
// Grid: an invocation takes 4 queries of a head; heads along y.
// Numerics: f32; the running maximum is taken off before exp; keys four at a time as a tree, one
//   chain of tokens / 4.
// Shapes: stride a multiple of 4; HEAD_DIM as specialised.
// Writes: every output element.

struct Params {
  tokens: u32,
  stride4: u32,
  head_dim: u32,
  scale: f32,
}

override WORKGROUP: u32 = 64;
const HEAD_DIM: u32 = 8u; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> logsumexp: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = wid.x * WORKGROUP + lane;
  if (i >= params.stride4) {
    return;
  }
  // Known to the compiler, so that it unrolls, up to 16; beyond, unrolling takes many seconds.
  let head_dim = select(params.head_dim, HEAD_DIM, HEAD_DIM <= 16u);
  let head = wid.y * head_dim * params.stride4;
  var query: array<vec4<f32>, HEAD_DIM>;
  var sum: array<vec4<f32>, HEAD_DIM>;
  for (var d = 0u; d < head_dim; d++) {
    query[d] = params.scale * q[head + d * params.stride4 + i];
    sum[d] = vec4<f32>(0.0);
  }
  var most = vec4<f32>(-1e30);
  var total = vec4<f32>(0.0);
  for (var j = 0u; j < params.stride4; j++) {
    // Scores of the queries (components) with four keys.
    var s0 = vec4<f32>(0.0);
    var s1 = vec4<f32>(0.0);
    var s2 = vec4<f32>(0.0);
    var s3 = vec4<f32>(0.0);
    for (var d = 0u; d < head_dim; d++) {
      let key = k[head + d * params.stride4 + j];
      s0 += query[d] * key.x;
      s1 += query[d] * key.y;
      s2 += query[d] * key.z;
      s3 += query[d] * key.w;
    }
    let past_end = vec4<f32>(4u * j + vec4<u32>(0u, 1u, 2u, 3u) >= vec4<u32>(params.tokens));
    let drop = -1e30 * past_end;
    s0 += drop.x;
    s1 += drop.y;
    s2 += drop.z;
    s3 += drop.w;
    let next = max(most, max(max(s0, s1), max(s2, s3)));
    let decay = exp(most - next);
    let p0 = exp(s0 - next);
    let p1 = exp(s1 - next);
    let p2 = exp(s2 - next);
    let p3 = exp(s3 - next);
    most = next;
    total = total * decay + ((p0 + p1) + (p2 + p3));
    for (var d = 0u; d < head_dim; d++) {
      let value = v[head + d * params.stride4 + j];
      sum[d] = sum[d] * decay + ((p0 * value.x + p1 * value.y) + (p2 * value.z + p3 * value.w));
    }
  }
  let share = 1.0 / total;
  for (var d = 0u; d < head_dim; d++) {
    y[head + d * params.stride4 + i] = sum[d] * share;
  }
  logsumexp[wid.y * params.stride4 + i] = most + log(total);
}
