// Equation: as forward_8.wgsl
// Source: as forward.wgsl, for heads of 8 channels; softmax of parts of the keys merged as in Dao
//   2023, arXiv:2307.08691, section 3.1.
// Joins: kernels/lib/head_8.wgsl
// Joins: kernels/lib/head_8_stored.wgsl
// Joins: kernels/lib/softmax_8.wgsl
// Bindings:
//   q, k, v: f32 or f16 [heads, 8, tokens], as vec4 along the tokens
//   y: f32 or f16, the shape of q
//   logsumexp: f32 [heads, tokens]
// Grid: a workgroup takes 16 times 4 queries of a head along x; 16 invocations each walk over a
//   fourth of the keys. Heads along y.
// Numerics: as forward_8.wgsl, the parts being merged at the end.
// Shapes: tokens a multiple of 4.
// Writes: every output element.

struct Params {
  stride4: u32,
  scale: f32,
}

const OWN: u32 = 16;
const PARTS: u32 = 4;
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(4) var<storage, read_write> y: array<Stored>;
@group(0) @binding(5) var<storage, read_write> logsumexp: array<vec4<f32>>;

var<workgroup> parts: array<Softmax, 64>;

fn merged(a: Softmax, b: Softmax) -> Softmax {
  let most = max(a.most, b.most);
  let f = exp2(a.most - most);
  let g = exp2(b.most - most);
  return Softmax(
    most,
    a.total * f + b.total * g,
    Head(
      a.y.c0 * f + b.y.c0 * g,
      a.y.c1 * f + b.y.c1 * g,
      a.y.c2 * f + b.y.c2 * g,
      a.y.c3 * f + b.y.c3 * g,
      a.y.c4 * f + b.y.c4 * g,
      a.y.c5 * f + b.y.c5 * g,
      a.y.c6 * f + b.y.c6 * g,
      a.y.c7 * f + b.y.c7 * g,
    ),
  );
}

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
  // Invocations past the last query help nobody, but must reach the barrier.
  let query = scaled(load_q(begin + min(i, n - 1), n), LOG2_E * params.scale);
  var s = no_keys();
  for (var at = first; at < min(first + size, n); at++) {
    add_keys(&s, query, load_k(begin + at, n), load_v(begin + at, n));
  }
  parts[lane] = s;
  workgroupBarrier();
  if (lane >= OWN || i >= n) {
    return;
  }
  for (var part = 1u; part < PARTS; part++) {
    s = merged(s, parts[part * OWN + lane]);
  }
  store(s, begin + i, wid.y * n + i);
}
