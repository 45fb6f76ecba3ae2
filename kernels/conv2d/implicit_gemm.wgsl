// Equation: y[n,co,p] = bias[co] + channel[n,co] + residual[n,co,p] + sum over k of A[co,k] B[k,p]
//   where k = (ci*Kh + kh)*Kw + kw; forward: A = weight[co,ci,kh,kw] and B the pixel
//   (oy*stride + kh - top, ox*stride + kw - left) of x[n,ci]; transposed (the input gradient):
//   A = weight[ci,co,kh,kw] and B the pixel ((oy + top - kh)/stride, (ox + left - kw)/stride)
// Source: implicit matrix multiplication, as in cuDNN (Chetlur et al. 2014, arXiv:1410.0759).
// Bindings:
//   x: [N,Ci,H,W], f32 or f16; weight: f32 [Co,Ci,Kh,Kw], transposed [Ci,Co,Kh,Kw]
//   bias: f32 [Co]; channel: f32 [N,Co]; any buffer where not used
//   residual, y: [N,Co,Ho,Wo], both f32 or both f16; residual any buffer where not used
//   With `step` 2 four such convolutions at once: part 2r + c has weights of its own, part_size
//   apart, padding less by r and c, and makes the pixels (2 oy + r, 2 ox + c) of y [N,Co,2Ho,2Wo].
// Grid: a workgroup of 16×16 per tile of 64 pixels (x, and z in rows of `wide`; of the whole
//   batch) and 64 channels (y, the parts one after the other); 4×4 outputs an invocation.
// Numerics: f32; sums of 16 products join the running sum.
// Shapes: any; tiles past the ends multiply zeros.
// Writes: every output element.

struct Params {
  batch: u32,
  ci: u32,
  h: u32,
  w: u32,
  co: u32,
  ho: u32,
  wo: u32,
  kh: u32,
  kw: u32,
  stride: u32,
  top: i32,
  left: i32,
  wide: u32,
  transposed: u32,
  has_bias: u32,
  has_channel: u32,
  has_residual: u32,
  step: u32,
  part_size: u32,
}

const TILE: u32 = 64;
const DEPTH: u32 = 16;
alias Stored = f32; // @specialize
alias StoredX = f32; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<StoredX>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> channel: array<f32>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;
@group(0) @binding(6) var<storage, read_write> y: array<Stored>;

// Both tiles by depth: 4 channels or 4 pixels a vector.
var<workgroup> tile_a: array<vec4<f32>, 256>;
var<workgroup> tile_b: array<vec4<f32>, 256>;

/// Of the weight that begins at `first`.
fn weight_at(first: u32, co: u32, k: u32) -> f32 {
  let area = params.kh * params.kw;
  if (co >= params.co || k >= params.ci * area) {
    return 0.0;
  }
  if (params.transposed != 0) {
    return weight[first + (k / area * params.co + co) * area + k % area];
  }
  return weight[first + co * params.ci * area + k];
}

/// Position along one axis of x that output position `o` meets at kernel position `k`, or -1.
fn position(o: u32, k: u32, padding: i32, size: u32) -> i32 {
  var at: i32;
  if (params.transposed != 0) {
    let scaled = i32(o) + padding - i32(k);
    at = select(-1, scaled / i32(params.stride), scaled >= 0 && scaled % i32(params.stride) == 0);
  } else {
    at = i32(o * params.stride + k) - padding;
  }
  return select(-1, at, at < i32(size));
}

fn pixel_at(top: i32, left: i32, k: u32, p: u32) -> f32 {
  let area = params.ho * params.wo;
  if (k >= params.ci * params.kh * params.kw || p >= params.batch * area) {
    return 0.0;
  }
  let ci = k / (params.kh * params.kw);
  let iy = position(p % area / params.wo, k / params.kw % params.kh, top, params.h);
  let ix = position(p % params.wo, k % params.kw, left, params.w);
  if (iy < 0 || ix < 0) {
    return 0.0;
  }
  return f32(x[((p / area * params.ci + ci) * params.h + u32(iy)) * params.w + u32(ix)]);
}

fn store_one(v: f32, part: u32, co: u32, p: u32) {
  let area = params.ho * params.wo;
  if (p >= params.batch * area) {
    return;
  }
  let n = p / area;
  let plane = (n * params.co + co) * area * params.step * params.step;
  let oy = p % area / params.wo * params.step + part / 2;
  let at = plane + (oy * params.wo + p % params.wo) * params.step + part % 2;
  var sum = v;
  if (params.has_channel != 0) {
    sum += channel[n * params.co + co];
  }
  if (params.has_residual != 0) {
    sum += f32(residual[at]);
  }
  y[at] = Stored(sum);
}

fn store(v: vec4<f32>, part: u32, co: u32, p: u32) {
  if (co >= params.co) {
    return;
  }
  let sum = v + select(0.0, bias[min(co, params.co - 1)], params.has_bias != 0);
  store_one(sum.x, part, co, p);
  store_one(sum.y, part, co, p + 1);
  store_one(sum.z, part, co, p + 2);
  store_one(sum.w, part, co, p + 3);
}

@compute @workgroup_size(16, 16)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let blocks = (params.co + TILE - 1) / TILE;
  let part = wid.y / blocks;
  let first_weight = part * params.part_size;
  let top = params.top - i32(part / 2);
  let left = params.left - i32(part % 2);
  let first_co = wid.y % blocks * TILE;
  let co = first_co + lid.y * 4;
  let p = (wid.z * params.wide + wid.x) * TILE + lid.x * 4;
  // What this invocation loads: one vector of each tile.
  let load_k = lane / 16;
  let load_co = first_co + lane % 16 * 4;
  let load_p = (wid.z * params.wide + wid.x) * TILE + lane % 16 * 4;
  let depth = params.ci * params.kh * params.kw;
  var s0 = vec4(0.0);
  var s1 = vec4(0.0);
  var s2 = vec4(0.0);
  var s3 = vec4(0.0);
  for (var k0 = 0u; k0 < depth; k0 += DEPTH) {
    let k = k0 + load_k;
    tile_a[lane] = vec4(
      weight_at(first_weight, load_co, k),
      weight_at(first_weight, load_co + 1, k),
      weight_at(first_weight, load_co + 2, k),
      weight_at(first_weight, load_co + 3, k),
    );
    tile_b[lane] = vec4(
      pixel_at(top, left, k, load_p),
      pixel_at(top, left, k, load_p + 1),
      pixel_at(top, left, k, load_p + 2),
      pixel_at(top, left, k, load_p + 3),
    );
    workgroupBarrier();
    var b0 = vec4(0.0);
    var b1 = vec4(0.0);
    var b2 = vec4(0.0);
    var b3 = vec4(0.0);
    for (var i = 0u; i < DEPTH; i++) {
      let a = tile_a[i * 16 + lid.y];
      let b = tile_b[i * 16 + lid.x];
      b0 += a.x * b;
      b1 += a.y * b;
      b2 += a.z * b;
      b3 += a.w * b;
    }
    s0 += b0;
    s1 += b1;
    s2 += b2;
    s3 += b3;
    workgroupBarrier();
  }
  store(s0, part, co, p);
  store(s1, part, co + 1, p);
  store(s2, part, co + 2, p);
  store(s3, part, co + 3, p);
}
