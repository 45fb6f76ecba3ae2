// Equation: y[n,co,oy,ox] = bias[co] + channel[n,co] + extra[n,co,oy,ox]
//   + sum over ci, kh, kw of weight[co,ci,kh,kw] *
//   x[n, ci, oy*stride + kh - top, ox*stride + kw - left]
// Source: torch.nn.functional.conv2d (cross-correlation); pixels outside x count as zero.
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   x: f32 [N,Ci,H,W] staged
//   panels: staged, packed by pack_panels.wgsl, a panel being the biases and weights of 8
//     output channels, [8] and [ci,Kh,Kw,8] floats
//   extra: f32 [N,Co,Ho,Wo] staged, a residual; any if unused
//   channel: f32 [N,Co]; any if unused
//   y: [N,Co,Ho,Wo], f32 or f16
// Grid: x: panels, one after the other so that they find the pixels in the cache; y: one
//   invocation per 4 neighbouring pixels of a row.
// Numerics: f32; a sum for each input channel joins the running sum.
// Shapes: any.
// Writes: every output element.

struct Params {
  batch: u32,
  h: u32,
  w: u32,
  ho: u32,
  wo: u32,
  kh: u32,
  kw: u32,
  stride: u32,
  top: i32,
  left: i32,
  ci: u32,
  co: u32,
  panel_size: u32,
  has_extra: u32,
  has_channel: u32,
}

override WORKGROUP: u32 = 32;
alias Stored = f32; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var panels: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var extra: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var<storage, read> channel: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<Stored>;

fn store_pixel(v: f32, at: u32, ox: u32) {
  if (ox >= params.wo) {
    return;
  }
  var sum = v;
  if (params.has_extra != 0) {
    sum += staged_float(extra, at);
  }
  y[at] = Stored(sum);
}

fn store(v: vec4<f32>, n: u32, co: u32, oy: u32, ox: u32) {
  if (co >= params.co) {
    return;
  }
  let sum = v + select(0.0, channel[n * params.co + co], params.has_channel != 0);
  let at = ((n * params.co + co) * params.ho + oy) * params.wo + ox;
  store_pixel(sum.x, at, ox);
  store_pixel(sum.y, at + 1, ox + 1);
  store_pixel(sum.z, at + 2, ox + 2);
  store_pixel(sum.w, at + 3, ox + 3);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = wid.y * WORKGROUP + lane;
  let strips = (params.wo + 3) / 4;
  let ox = index % strips * 4;
  let oy = index / strips % params.ho;
  let n = index / (strips * params.ho);
  if (n >= params.batch) {
    return;
  }
  var at = wid.x * params.panel_size;
  let bias_low = staged(panels, at);
  let bias_high = staged(panels, at + 1);
  at += 2;
  var s0 = vec4(bias_low.x);
  var s1 = vec4(bias_low.y);
  var s2 = vec4(bias_low.z);
  var s3 = vec4(bias_low.w);
  var s4 = vec4(bias_high.x);
  var s5 = vec4(bias_high.y);
  var s6 = vec4(bias_high.z);
  var s7 = vec4(bias_high.w);

  let step = i32(params.stride);
  let x0 = vec4(i32(ox) * step - params.left) + vec4(0, 1, 2, 3) * step;
  let y0 = i32(oy) * step - params.top;
  let area = params.h * params.w;
  var plane = n * params.ci * area;
  for (var ci = 0u; ci < params.ci; ci++) {
    var p0 = vec4(0.0);
    var p1 = vec4(0.0);
    var p2 = vec4(0.0);
    var p3 = vec4(0.0);
    var p4 = vec4(0.0);
    var p5 = vec4(0.0);
    var p6 = vec4(0.0);
    var p7 = vec4(0.0);
    var kh = 0;
    var kw = 0;
    for (var k = 0u; k < params.kh * params.kw; k++) {
      let iy = y0 + kh;
      let ix = x0 + kw;
      let row_inside = iy >= 0 && iy < i32(params.h);
      let inside = (ix >= vec4(0)) & (ix < vec4(i32(params.w))) & vec4(row_inside);
      let row = plane + u32(clamp(iy, 0, i32(params.h) - 1)) * params.w;
      let column = vec4(row) + vec4<u32>(clamp(ix, vec4(0), vec4(i32(params.w) - 1)));
      let loaded = vec4(
        staged_float(x, column.x),
        staged_float(x, column.y),
        staged_float(x, column.z),
        staged_float(x, column.w),
      );
      let v = select(vec4(0.0), loaded, inside);
      let low = staged(panels, at);
      let high = staged(panels, at + 1);
      p0 += low.x * v;
      p1 += low.y * v;
      p2 += low.z * v;
      p3 += low.w * v;
      p4 += high.x * v;
      p5 += high.y * v;
      p6 += high.z * v;
      p7 += high.w * v;
      at += 2;
      kw++;
      if (kw == i32(params.kw)) {
        kw = 0;
        kh++;
      }
    }
    s0 += p0;
    s1 += p1;
    s2 += p2;
    s3 += p3;
    s4 += p4;
    s5 += p5;
    s6 += p6;
    s7 += p7;
    plane += area;
  }
  let co = wid.x * 8;
  store(s0, n, co, oy, ox);
  store(s1, n, co + 1, oy, ox);
  store(s2, n, co + 2, oy, ox);
  store(s3, n, co + 3, oy, ox);
  store(s4, n, co + 4, oy, ox);
  store(s5, n, co + 5, oy, ox);
  store(s6, n, co + 6, oy, ox);
  store(s7, n, co + 7, oy, ox);
}
