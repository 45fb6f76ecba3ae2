// Equation: dx[n,ci,iy,ix] = extra[n,ci,iy,ix]
//   + sum over co, kh, kw of weight[co,ci,kh,kw] * dy[n,co,oy,ox]
//   where oy*stride + kh - top = iy and ox*stride + kw - left = ix have whole solutions
// Source: gradient of the cross-correlation in direct_any.wgsl.
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   dy: f32 [N,Co,Ho,Wo] staged; weight: f32 [Co,Ci,Kh,Kw] staged
//   extra: f32 [N,Ci,H,W] staged, another gradient that is added; any if unused
//   dx: [N,Ci,H,W], f32 or f16
// Grid: one invocation per 4 pixels of a row that lie `stride` apart, and 8 input channels. Such
//   pixels meet the same kernel columns, so that no multiplication is wasted on stride 2.
// Numerics: f32; one running sum over co, kh, kw per output.
// Shapes: any; Co*Kh*Kw below 65,000 (a loop iteration each, see the limit of Mesa 22).
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
  has_extra: u32,
}

override WORKGROUP: u32 = 32;
alias Stored = f32; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var dy: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var weight: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var extra: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var<storage, read_write> dx: array<Stored>;

fn store_pixel(v: f32, at: u32, ix: u32) {
  if (ix >= params.w) {
    return;
  }
  var sum = v;
  if (params.has_extra != 0) {
    sum += staged_float(extra, at);
  }
  dx[at] = Stored(sum);
}

fn store(sum: vec4<f32>, n: u32, ci: u32, iy: u32, ix: u32) {
  if (ci >= params.ci) {
    return;
  }
  let at = ((n * params.ci + ci) * params.h + iy) * params.w + ix;
  let step = params.stride;
  store_pixel(sum.x, at, ix);
  store_pixel(sum.y, at + step, ix + step);
  store_pixel(sum.z, at + 2 * step, ix + 2 * step);
  store_pixel(sum.w, at + 3 * step, ix + 3 * step);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  let stride = params.stride;
  let strips = (params.w + 4 * stride - 1) / (4 * stride);
  let strip = index % strips;
  let phase = index / strips % stride;
  let ix = strip * 4 * stride + phase;
  let iy = index / (strips * stride) % params.h;
  let blocks = (params.ci + 7) / 8;
  let ci = index / (strips * stride * params.h) % blocks * 8;
  let n = index / (strips * stride * params.h * blocks);
  if (n >= params.batch) {
    return;
  }
  let area = params.kh * params.kw;
  let last = params.ci - 1;
  // Input channels past the last compute it once more and store nothing.
  let r0 = ci * area;
  let r1 = min(ci + 1, last) * area;
  let r2 = min(ci + 2, last) * area;
  let r3 = min(ci + 3, last) * area;
  let r4 = min(ci + 4, last) * area;
  let r5 = min(ci + 5, last) * area;
  let r6 = min(ci + 6, last) * area;
  let r7 = min(ci + 7, last) * area;
  var s0 = vec4(0.0);
  var s1 = vec4(0.0);
  var s2 = vec4(0.0);
  var s3 = vec4(0.0);
  var s4 = vec4(0.0);
  var s5 = vec4(0.0);
  var s6 = vec4(0.0);
  var s7 = vec4(0.0);

  let y0 = i32(iy) + params.top;
  let x0 = i32(ix) + params.left;
  let first_kh = u32(y0) % stride;
  let first_kw = u32(x0) % stride;
  var kh = first_kh;
  var kw = first_kw;
  var plane = n * params.co * params.ho * params.wo;
  var co = 0u;
  // A kernel smaller than the stride may meet these pixels nowhere.
  if (first_kh >= params.kh || first_kw >= params.kw) {
    co = params.co;
  }
  while (co < params.co) {
    let oy = (y0 - i32(kh)) / i32(stride);
    let ox = vec4((x0 - i32(kw)) / i32(stride)) + vec4(0, 1, 2, 3);
    // The divisions round towards zero, so a negative numerator must be caught before them.
    let row_inside = y0 >= i32(kh) && oy < i32(params.ho);
    let inside = (vec4(x0 - i32(kw)) + vec4(0, 1, 2, 3) * i32(stride) >= vec4(0)) &
      (ox < vec4(i32(params.wo))) & vec4(row_inside);
    let row = plane + u32(clamp(oy, 0, i32(params.ho) - 1)) * params.wo;
    let column = vec4(row) + vec4<u32>(clamp(ox, vec4(0), vec4(i32(params.wo) - 1)));
    let loaded = vec4(
      staged_float(dy, column.x),
      staged_float(dy, column.y),
      staged_float(dy, column.z),
      staged_float(dy, column.w),
    );
    let v = select(vec4(0.0), loaded, inside);
    let k = co * params.ci * area + kh * params.kw + kw;
    s0 += staged_float(weight, r0 + k) * v;
    s1 += staged_float(weight, r1 + k) * v;
    s2 += staged_float(weight, r2 + k) * v;
    s3 += staged_float(weight, r3 + k) * v;
    s4 += staged_float(weight, r4 + k) * v;
    s5 += staged_float(weight, r5 + k) * v;
    s6 += staged_float(weight, r6 + k) * v;
    s7 += staged_float(weight, r7 + k) * v;
    kw += stride;
    if (kw >= params.kw) {
      kw = first_kw;
      kh += stride;
      if (kh >= params.kh) {
        kh = first_kh;
        co++;
        plane += params.ho * params.wo;
      }
    }
  }
  store(s0, n, ci, iy, ix);
  store(s1, n, ci + 1, iy, ix);
  store(s2, n, ci + 2, iy, ix);
  store(s3, n, ci + 3, iy, ix);
  store(s4, n, ci + 4, iy, ix);
  store(s5, n, ci + 5, iy, ix);
  store(s6, n, ci + 6, iy, ix);
  store(s7, n, ci + 7, iy, ix);
}
