// Equation: partial[chunk,co,k] = sum over the rows (n, oy) of the chunk, and ox, of
//   dy[n,co,oy,ox] * x[n, ci, oy*stride + kh - top, ox*stride + kw - left],
//   k = (ci*Kh + kh)*Kw + kw
// Source: gradient of the cross-correlation in direct_any.wgsl; sum_slices.wgsl adds up.
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   x: f32 [N,Ci,H,W] staged; dy: f32 [N,Co,Ho,Wo] staged
//   partial: f32 [chunks, slice], a slice being [Co,Ci*Kh*Kw] and padding
// Grid: one invocation per kernel position k, 8 output channels and chunk.
// Numerics: f32; a sum for each row, then a sum of rows, then one of chunks, so that the error
//   grows with the root of a row's length and not with that of N*Ho*Wo.
// Shapes: any; rows_per_chunk * (Wo + 1) below 65,000 (loop iterations, see the limit of Mesa 22).
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
  rows_per_chunk: u32,
  chunks: u32,
  slice: u32,
}

override WORKGROUP: u32 = 32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var dy: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> partial: array<f32>;

fn store(sum: f32, chunk: u32, co: u32, k: u32) {
  if (co < params.co) {
    partial[chunk * params.slice + co * params.ci * params.kh * params.kw + k] = sum;
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  let length = params.ci * params.kh * params.kw;
  let k = index % length;
  let blocks = (params.co + 7) / 8;
  let co = index / length % blocks * 8;
  let chunk = index / (length * blocks);
  if (chunk >= params.chunks) {
    return;
  }
  let kw = k % params.kw;
  let kh = k / params.kw % params.kh;
  let ci = k / (params.kw * params.kh);
  let area = params.ho * params.wo;
  let last = params.co - 1;
  // Output channels past the last compute it once more and store nothing.
  let p0 = co * area;
  let p1 = min(co + 1, last) * area;
  let p2 = min(co + 2, last) * area;
  let p3 = min(co + 3, last) * area;
  let p4 = min(co + 4, last) * area;
  let p5 = min(co + 5, last) * area;
  let p6 = min(co + 6, last) * area;
  let p7 = min(co + 7, last) * area;
  var low = vec4(0.0);
  var high = vec4(0.0);
  let first = chunk * params.rows_per_chunk;
  let end = min(first + params.rows_per_chunk, params.batch * params.ho);
  for (var r = first; r < end; r++) {
    let n = r / params.ho;
    let oy = r % params.ho;
    let iy = i32(oy * params.stride + kh) - params.top;
    if (iy < 0 || iy >= i32(params.h)) {
      continue;
    }
    let row = ((n * params.ci + ci) * params.h + u32(iy)) * params.w;
    let d = n * params.co * area + oy * params.wo;
    var row_low = vec4(0.0);
    var row_high = vec4(0.0);
    for (var ox = 0u; ox < params.wo; ox++) {
      let ix = i32(ox * params.stride + kw) - params.left;
      let inside = ix >= 0 && ix < i32(params.w);
      let loaded = staged_float(x, row + u32(clamp(ix, 0, i32(params.w) - 1)));
      let v = select(0.0, loaded, inside);
      let at = d + ox;
      row_low += v * vec4(
        staged_float(dy, at + p0),
        staged_float(dy, at + p1),
        staged_float(dy, at + p2),
        staged_float(dy, at + p3),
      );
      row_high += v * vec4(
        staged_float(dy, at + p4),
        staged_float(dy, at + p5),
        staged_float(dy, at + p6),
        staged_float(dy, at + p7),
      );
    }
    low += row_low;
    high += row_high;
  }
  store(low.x, chunk, co, k);
  store(low.y, chunk, co + 1, k);
  store(low.z, chunk, co + 2, k);
  store(low.w, chunk, co + 3, k);
  store(high.x, chunk, co + 4, k);
  store(high.y, chunk, co + 5, k);
  store(high.z, chunk, co + 6, k);
  store(high.w, chunk, co + 7, k);
}
