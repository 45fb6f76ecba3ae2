// Equation: partial[slice,co,k] = sum over the pixels p of the slice of dy[co,p] * B[k,p] where
//   k = (ci*Kh + kh)*Kw + kw and B is the pixel (oy*stride + kh - top, ox*stride + kw - left) of x
// Source: gradient of implicit_gemm.wgsl; sum_slices.wgsl adds up.
// Joins: kernels/lib/read_x_scalar.wgsl
// Bindings:
//   x: [N,Ci,H,W]; dy: [N,Co,Ho,Wo]; each f32 or f16
//   partial: f32 [slices, Co, row], a row being Ci*Kh*Kw floats and padding to a multiple of 4
// Grid: a workgroup of 16×16 per tile of 64 kernel positions (x), 64 channels (y) and slice (z);
//   4×4 outputs an invocation.
// Numerics: f32; sums of 16 pixels join the running sum of the slice.
// Shapes: any; tiles past the ends multiply zeros.
// Writes: every output element but the padding.

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
  row: u32,
  pixels: u32,
}

// Constants, so that no position is divided by a number that only the run knows.
override KH: u32 = 3;
override KW: u32 = 3;
override STRIDE: u32 = 1;
const TILE: u32 = 64;
const DEPTH: u32 = 16;
alias StoredDy = f32; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> dy: array<StoredDy>;
@group(0) @binding(3) var<storage, read_write> partial: array<f32>;

// Both tiles by pixel: 4 channels or 4 kernel positions a vector.
var<workgroup> tile_a: array<vec4<f32>, 256>;
var<workgroup> tile_b: array<vec4<f32>, 256>;

/// A pixel of dy: its image, its place there, and the place in x of the kernel's first position.
struct Pixel {
  inside: bool,
  n: u32,
  at: u32,
  y: i32,
  x: i32,
}

/// A column of the second tile: an input channel and a place in the kernel.
struct Position {
  inside: bool,
  ci: u32,
  dy: i32,
  dx: i32,
}

fn pixel_of(p: u32, end: u32) -> Pixel {
  let area = params.ho * params.wo;
  let n = p / area;
  let at = p - n * area;
  let oy = at / params.wo;
  let ox = at - oy * params.wo;
  let y = i32(oy * STRIDE) - params.top;
  let x = i32(ox * STRIDE) - params.left;
  return Pixel(p < end, n, at, y, x);
}

fn position_of(k: u32) -> Position {
  let tap = k % (KH * KW);
  let ci = k / (KH * KW);
  return Position(ci < params.ci, ci, i32(tap / KW), i32(tap % KW));
}

fn gradient_at(co: u32, p: Pixel) -> f32 {
  if (co >= params.co || !p.inside) {
    return 0.0;
  }
  return f32(dy[(p.n * params.co + co) * params.ho * params.wo + p.at]);
}

fn pixel_at(k: Position, p: Pixel) -> f32 {
  // As u32 what lies above or left of the image is large.
  let iy = u32(p.y + k.dy);
  let ix = u32(p.x + k.dx);
  if (!k.inside || !p.inside || iy >= params.h || ix >= params.w) {
    return 0.0;
  }
  return x_at(((p.n * params.ci + k.ci) * params.h + iy) * params.w + ix);
}

fn store(v: vec4<f32>, slice: u32, co: u32, k: u32) {
  let length = params.ci * KH * KW;
  if (co >= params.co) {
    return;
  }
  let at = (slice * params.co + co) * params.row + k;
  if (k < length) {
    partial[at] = v.x;
  }
  if (k + 1 < length) {
    partial[at + 1] = v.y;
  }
  if (k + 2 < length) {
    partial[at + 2] = v.z;
  }
  if (k + 3 < length) {
    partial[at + 3] = v.w;
  }
}

@compute @workgroup_size(16, 16)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let co = wid.y * TILE + lid.y * 4;
  let k = wid.x * TILE + lid.x * 4;
  // What this invocation loads: one vector of each tile, so that neighbours read neighbours.
  let load_p = lane % 16;
  let load_co = wid.y * TILE + lane / 16 * 4;
  let load_k = wid.x * TILE + lane / 16 * 4;
  let position0 = position_of(load_k);
  let position1 = position_of(load_k + 1);
  let position2 = position_of(load_k + 2);
  let position3 = position_of(load_k + 3);
  let first = wid.z * params.pixels;
  let end = min(first + params.pixels, params.batch * params.ho * params.wo);
  var s0 = vec4(0.0);
  var s1 = vec4(0.0);
  var s2 = vec4(0.0);
  var s3 = vec4(0.0);
  for (var p0 = first; p0 < end; p0 += DEPTH) {
    let p = pixel_of(p0 + load_p, end);
    tile_a[load_p * 16 + lane / 16] = vec4(
      gradient_at(load_co, p),
      gradient_at(load_co + 1, p),
      gradient_at(load_co + 2, p),
      gradient_at(load_co + 3, p),
    );
    tile_b[load_p * 16 + lane / 16] = vec4(
      pixel_at(position0, p),
      pixel_at(position1, p),
      pixel_at(position2, p),
      pixel_at(position3, p),
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
  store(s0, wid.z, co, k);
  store(s1, wid.z, co + 1, k);
  store(s2, wid.z, co + 2, k);
  store(s3, wid.z, co + 3, k);
}
