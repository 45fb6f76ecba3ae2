// Equation: y[n,co,oy,ox] = bias[co]
//   + sum over ci, kh, kw of weight[co,ci,kh,kw] *
//   x[n, ci, oy*stride + kh - top, ox*stride + kw - left]
// Source: torch.nn.functional.conv2d (cross-correlation); pixels outside x count as zero.
// Bindings:
//   x: f32 [N,Ci,H,W]; weight: f32 [Co,Ci,Kh,Kw]; bias: f32 [Co], any buffer if has_bias is 0
//   y: f32 [N,Co,Ho,Wo]
// Grid: one invocation per 4 neighbouring pixels of a row and 8 output channels.
// Numerics: f32; one running sum over ci, kh, kw per output, products of one kernel position added
//   in order: relative error about 2^-24 * sqrt(Ci*Kh*Kw) / 2.
// Shapes: any; Ci*Kh*Kw below 65,000 (a loop iteration each, see the limit of Mesa 22).
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
  has_bias: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

fn bias_of(co: u32) -> f32 {
  return select(0.0, bias[min(co, params.co - 1)], params.has_bias != 0);
}

fn store(sum: vec4<f32>, n: u32, co: u32, oy: u32, ox: u32) {
  if (co >= params.co) {
    return;
  }
  let at = ((n * params.co + co) * params.ho + oy) * params.wo + ox;
  y[at] = sum.x;
  if (ox + 1 < params.wo) {
    y[at + 1] = sum.y;
  }
  if (ox + 2 < params.wo) {
    y[at + 2] = sum.z;
  }
  if (ox + 3 < params.wo) {
    y[at + 3] = sum.w;
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  let strips = (params.wo + 3) / 4;
  let ox = index % strips * 4;
  let oy = index / strips % params.ho;
  let blocks = (params.co + 7) / 8;
  let co = index / (strips * params.ho) % blocks * 8;
  let n = index / (strips * params.ho * blocks);
  if (n >= params.batch) {
    return;
  }
  let last = params.co - 1;
  let length = params.ci * params.kh * params.kw;
  // Output channels past the last compute it once more and store nothing.
  let r0 = co * length;
  let r1 = min(co + 1, last) * length;
  let r2 = min(co + 2, last) * length;
  let r3 = min(co + 3, last) * length;
  let r4 = min(co + 4, last) * length;
  let r5 = min(co + 5, last) * length;
  let r6 = min(co + 6, last) * length;
  let r7 = min(co + 7, last) * length;
  var s0 = vec4(bias_of(co));
  var s1 = vec4(bias_of(co + 1));
  var s2 = vec4(bias_of(co + 2));
  var s3 = vec4(bias_of(co + 3));
  var s4 = vec4(bias_of(co + 4));
  var s5 = vec4(bias_of(co + 5));
  var s6 = vec4(bias_of(co + 6));
  var s7 = vec4(bias_of(co + 7));

  let iy0 = i32(oy * params.stride) - params.top;
  let ix0 = vec4(i32(ox * params.stride) - params.left) +
    vec4(0, 1, 2, 3) * i32(params.stride);
  var plane = n * params.ci * params.h * params.w;
  var kh = 0u;
  var kw = 0u;
  for (var k = 0u; k < length; k++) {
    let iy = iy0 + i32(kh);
    let ix = ix0 + i32(kw);
    let inside = (ix >= vec4(0)) & (ix < vec4(i32(params.w))) &
      vec4(iy >= 0 && iy < i32(params.h));
    let row = plane + u32(clamp(iy, 0, i32(params.h) - 1)) * params.w;
    let column = vec4(row) + vec4<u32>(clamp(ix, vec4(0), vec4(i32(params.w) - 1)));
    let loaded = vec4(x[column.x], x[column.y], x[column.z], x[column.w]);
    let v = select(vec4(0.0), loaded, inside);
    s0 += weight[r0 + k] * v;
    s1 += weight[r1 + k] * v;
    s2 += weight[r2 + k] * v;
    s3 += weight[r3 + k] * v;
    s4 += weight[r4 + k] * v;
    s5 += weight[r5 + k] * v;
    s6 += weight[r6 + k] * v;
    s7 += weight[r7 + k] * v;
    kw++;
    if (kw == params.kw) {
      kw = 0;
      kh++;
      if (kh == params.kh) {
        kh = 0;
        plane += params.h * params.w;
      }
    }
  }
  store(s0, n, co, oy, ox);
  store(s1, n, co + 1, oy, ox);
  store(s2, n, co + 2, oy, ox);
  store(s3, n, co + 3, oy, ox);
  store(s4, n, co + 4, oy, ox);
  store(s5, n, co + 5, oy, ox);
  store(s6, n, co + 6, oy, ox);
  store(s7, n, co + 7, oy, ox);
}
