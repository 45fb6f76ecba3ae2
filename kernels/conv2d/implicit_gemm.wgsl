// Equation: y[n,co,p] = bias[co] + channel[n,co] + residual[n,co,p] + sum over k of A[co,k] B[k,p]
//   where k = (ci*Kh + kh)*Kw + kw; forward: A = weight[co,ci,kh,kw] and B the pixel
//   (oy*stride + kh - top, ox*stride + kw - left) of x[n,ci]; transposed (the input gradient):
//   A = weight[ci,co,kh,kw] and B the pixel ((oy + top - kh)/stride, (ox + left - kw)/stride)
// Source: implicit matrix multiplication, as in cuDNN (Chetlur et al. 2014, arXiv:1410.0759).
// Joins: kernels/lib/read_x_scalar.wgsl
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

// Constants, so that no position is divided by a number that only the run knows.
override KH: u32 = 3;
override KW: u32 = 3;
override STRIDE: u32 = 1;
const TILE: u32 = 64;
const DEPTH: u32 = 16;
alias Stored = f32; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> channel: array<f32>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;
@group(0) @binding(6) var<storage, read_write> y: array<Stored>;

// Both tiles by depth: 4 channels or 4 pixels a vector.
var<workgroup> tile_a: array<vec4<f32>, 256>;
var<workgroup> tile_b: array<vec4<f32>, 256>;

/// Of a pixel of the output that meets pixels of x: where its image begins, and its place there at
/// the kernel's first position.
struct Pixel {
  image: u32,
  y: i32,
  x: i32,
}

/// Of a row of both tiles: input channel, position in the kernel, and that as steps in x.
struct Depth {
  ci: u32,
  tap: u32,
  dy: i32,
  dx: i32,
}

fn depth_of(k: u32) -> Depth {
  let tap = k % (KH * KW);
  let dy = i32(tap / KW);
  let dx = i32(tap % KW);
  let sign = select(1, -1, params.transposed != 0);
  return Depth(k / (KH * KW), tap, sign * dy, sign * dx);
}

/// Of the weight that begins at `first`.
fn weight_at(first: u32, co: u32, k: Depth) -> f32 {
  if (co >= params.co || k.ci >= params.ci) {
    return 0.0;
  }
  let kernel = select(co * params.ci + k.ci, k.ci * params.co + co, params.transposed != 0);
  return weight[first + kernel * KH * KW + k.tap];
}

fn pixel_of(p: u32, top: i32, left: i32) -> Pixel {
  let area = params.ho * params.wo;
  let oy = i32(p % area / params.wo);
  let ox = i32(p % params.wo);
  let image = p / area * params.ci * params.h * params.w;
  if (p >= params.batch * area) {
    // Above the image, whatever the position in the kernel.
    return Pixel(0, -1000000, 0);
  }
  if (params.transposed != 0) {
    return Pixel(image, oy + top, ox + left);
  }
  return Pixel(image, oy * i32(STRIDE) - top, ox * i32(STRIDE) - left);
}

fn pixel_at(p: Pixel, k: Depth) -> f32 {
  var iy = p.y + k.dy;
  var ix = p.x + k.dx;
  if (iy < 0 || ix < 0 || k.ci >= params.ci) {
    return 0.0;
  }
  if (STRIDE > 1 && params.transposed != 0) {
    if (u32(iy) % STRIDE != 0 || u32(ix) % STRIDE != 0) {
      return 0.0;
    }
    iy /= i32(STRIDE);
    ix /= i32(STRIDE);
  }
  if (u32(iy) >= params.h || u32(ix) >= params.w) {
    return 0.0;
  }
  return x_at(p.image + (k.ci * params.h + u32(iy)) * params.w + u32(ix));
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
  var sum = v;
  if (params.has_bias != 0) {
    sum += bias[co];
  }
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
  let pixel0 = pixel_of(load_p, top, left);
  let pixel1 = pixel_of(load_p + 1, top, left);
  let pixel2 = pixel_of(load_p + 2, top, left);
  let pixel3 = pixel_of(load_p + 3, top, left);
  let depth = params.ci * KH * KW;
  var s0 = vec4(0.0);
  var s1 = vec4(0.0);
  var s2 = vec4(0.0);
  var s3 = vec4(0.0);
  for (var k0 = 0u; k0 < depth; k0 += DEPTH) {
    let k = depth_of(k0 + load_k);
    tile_a[lane] = vec4(
      weight_at(first_weight, load_co, k),
      weight_at(first_weight, load_co + 1, k),
      weight_at(first_weight, load_co + 2, k),
      weight_at(first_weight, load_co + 3, k),
    );
    tile_b[lane] = vec4(
      pixel_at(pixel0, k),
      pixel_at(pixel1, k),
      pixel_at(pixel2, k),
      pixel_at(pixel3, k),
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
