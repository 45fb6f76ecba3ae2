// Equation: y[d, i] = sum over j of p[i, j] * v[d, j], p[i, j] = exp(s[i, j] - logsumexp[i]),
//   s[i, j] = scale * sum over d of q[d, i] * k[d, j],
//   logsumexp[i] = log(sum over j of exp(s[i, j]))
// Source: Vaswani et al. 2017, arXiv:1706.03762; online softmax: Milakov and Gimelshein 2018,
//   arXiv:1805.02867; no T x T matrix: Dao et al. 2022, arXiv:2205.14135.
// Joins: kernels/lib/read_qkv_vec4.wgsl
// Bindings:
//   q, k, v: f32 [heads, head_dim, stride], a head of an image after the other, read as vec4 along
//     the tokens; tokens from `tokens` to the row's end are padding
//   y: f32, the shape of q
//   logsumexp: f32 [heads, stride]
// Grid: an invocation takes 4 queries of a head; heads along y.
// Numerics: f32; the running maximum is taken off before exp; keys eight at a time as a tree, one
//   chain of stride / 8, kept in y: private arrays of any length would take seconds to compile.
// Shapes: stride a multiple of 8.
// Writes: every output element.

struct Params {
  tokens: u32,
  stride4: u32,
  head_dim: u32,
  scale: f32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> logsumexp: array<vec4<f32>>;

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
  let head = wid.y * params.head_dim * n;
  let size = params.head_dim * n;
  for (var row = 0u; row < size; row += n) {
    y[head + row + i] = vec4<f32>(0.0);
  }
  var most = vec4<f32>(-1e30);
  var total = vec4<f32>(0.0);
  for (var j = 0u; j < n; j += 2u) {
    // Scores of the queries (components) with eight keys.
    var s0 = vec4<f32>(0.0);
    var s1 = vec4<f32>(0.0);
    var s2 = vec4<f32>(0.0);
    var s3 = vec4<f32>(0.0);
    var s4 = vec4<f32>(0.0);
    var s5 = vec4<f32>(0.0);
    var s6 = vec4<f32>(0.0);
    var s7 = vec4<f32>(0.0);
    for (var row = head; row < head + size; row += n) {
      let query = params.scale * q_at(row + i);
      let a = k_at(row + j);
      let b = k_at(row + j + 1u);
      s0 += query * a.x;
      s1 += query * a.y;
      s2 += query * a.z;
      s3 += query * a.w;
      s4 += query * b.x;
      s5 += query * b.y;
      s6 += query * b.z;
      s7 += query * b.w;
    }
    if (4u * j + 8u > params.tokens) {
      let place = 4u * j + vec4<u32>(0u, 1u, 2u, 3u);
      let a = select(vec4<f32>(0.0), vec4<f32>(-1e30), place >= vec4<u32>(params.tokens));
      let b = select(vec4<f32>(0.0), vec4<f32>(-1e30), place + 4u >= vec4<u32>(params.tokens));
      s0 += a.x;
      s1 += a.y;
      s2 += a.z;
      s3 += a.w;
      s4 += b.x;
      s5 += b.y;
      s6 += b.z;
      s7 += b.w;
    }
    let next = max(
      max(most, max(max(s0, s1), max(s2, s3))),
      max(max(s4, s5), max(s6, s7)),
    );
    let decay = exp(most - next);
    s0 = exp(s0 - next);
    s1 = exp(s1 - next);
    s2 = exp(s2 - next);
    s3 = exp(s3 - next);
    s4 = exp(s4 - next);
    s5 = exp(s5 - next);
    s6 = exp(s6 - next);
    s7 = exp(s7 - next);
    most = next;
    total = total * decay + (((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)));
    for (var row = head; row < head + size; row += n) {
      let a = v_at(row + j);
      let b = v_at(row + j + 1u);
      let sum = ((s0 * a.x + s1 * a.y) + (s2 * a.z + s3 * a.w)) +
        ((s4 * b.x + s5 * b.y) + (s6 * b.z + s7 * b.w));
      y[row + i] = y[row + i] * decay + sum;
    }
  }
  let share = 1.0 / total;
  for (var row = 0u; row < size; row += n) {
    y[head + row + i] *= share;
  }
  logsumexp[wid.y * n + i] = most + log(total);
}
