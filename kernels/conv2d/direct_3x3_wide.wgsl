// Equation: y[n,co,oy,ox] = bias[co] + channel[n,co] + extra[n,co,oy,ox]
//   + sum over ci, kh, kw of weight[co,ci,kh,kw] * x[n, ci, oy + kh - 1, ox + kw - 1]
// Source: torch.nn.functional.conv2d with a 3×3 kernel, stride 1 and padding 1; with the weights
//   packed flipped and transposed also its input gradient.
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   x: f32 [N,Ci,H,W] staged
//   panels: staged, packed by pack_panels.wgsl, a panel being the biases and weights of 8
//     output channels, [8] and [ci,3,3,8] floats
//   extra: f32 [N,Co,H,W] staged, a residual; any if unused
//   channel: f32 [N,Co]; any if unused
//   y: [N,Co,H,W], f32 or f16, as vec4
// Grid: x: panels, one after the other so that they find the pixels in the cache; y: one
//   invocation per 32 pixels of a row. One kernel row at a time: the loop's machine code then fits
//   the processor's instruction cache (docs/software_vulkan.md).
// Numerics: f32; the three products of a kernel row are summed before they join the running sum,
//   so that the error is about 2^-24 * sqrt(3 * Ci / 4 + 2) relative.
// Shapes: W a multiple of 32.
// Writes: every output element.

struct Params {
  batch: u32,
  h: u32,
  w4: u32,
  ci: u32,
  co: u32,
  panel_size: u32,
  has_extra: u32,
  has_channel: u32,
}

/// 32 pixels of a row, or sums of so many of one output channel.
struct Row {
  a: vec4<f32>,
  b: vec4<f32>,
  c: vec4<f32>,
  d: vec4<f32>,
  e: vec4<f32>,
  f: vec4<f32>,
  g: vec4<f32>,
  h: vec4<f32>,
}

/// A row and its neighbours.
struct Pixels {
  row: Row,
  before: f32,
  after: f32,
}

override WORKGROUP: u32 = 32;
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var panels: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var extra: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var<storage, read> channel: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<Stored>;

/// Row iy of a plane, zeros outside.
fn load(plane: u32, iy: i32, column: u32) -> Pixels {
  let inside = iy >= 0 && iy < i32(params.h);
  let at = plane + u32(clamp(iy, 0, i32(params.h) - 1)) * params.w4 + column;
  // 8 texels from a multiple of 8 on lie in one row of the texture: found once, not eight times.
  let tx = at & 2047;
  let ty = at >> 11;
  let before = select(0.0, staged(x, max(at, 1) - 1).w, inside && column > 0);
  let after = select(0.0, staged(x, at + 8).x, inside && column + 8 < params.w4);
  return Pixels(
    Row(
      select(vec4(0.0), textureLoad(x, vec2(tx, ty)), inside),
      select(vec4(0.0), textureLoad(x, vec2(tx + 1, ty)), inside),
      select(vec4(0.0), textureLoad(x, vec2(tx + 2, ty)), inside),
      select(vec4(0.0), textureLoad(x, vec2(tx + 3, ty)), inside),
      select(vec4(0.0), textureLoad(x, vec2(tx + 4, ty)), inside),
      select(vec4(0.0), textureLoad(x, vec2(tx + 5, ty)), inside),
      select(vec4(0.0), textureLoad(x, vec2(tx + 6, ty)), inside),
      select(vec4(0.0), textureLoad(x, vec2(tx + 7, ty)), inside),
    ),
    before,
    after,
  );
}

/// Adds a kernel row of one input and one output channel.
fn add_products(sums: ptr<function, Row>, left: f32, middle: f32, right: f32, p: Pixels) {
  let r = p.row;
  (*sums).a += left * vec4(p.before, r.a.xyz) + middle * r.a + right * vec4(r.a.yzw, r.b.x);
  (*sums).b += left * vec4(r.a.w, r.b.xyz) + middle * r.b + right * vec4(r.b.yzw, r.c.x);
  (*sums).c += left * vec4(r.b.w, r.c.xyz) + middle * r.c + right * vec4(r.c.yzw, r.d.x);
  (*sums).d += left * vec4(r.c.w, r.d.xyz) + middle * r.d + right * vec4(r.d.yzw, r.e.x);
  (*sums).e += left * vec4(r.d.w, r.e.xyz) + middle * r.e + right * vec4(r.e.yzw, r.f.x);
  (*sums).f += left * vec4(r.e.w, r.f.xyz) + middle * r.f + right * vec4(r.f.yzw, r.g.x);
  (*sums).g += left * vec4(r.f.w, r.g.xyz) + middle * r.g + right * vec4(r.g.yzw, r.h.x);
  (*sums).h += left * vec4(r.g.w, r.h.xyz) + middle * r.h + right * vec4(r.h.yzw, p.after);
}

fn filled(v: f32) -> Row {
  return Row(vec4(v), vec4(v), vec4(v), vec4(v), vec4(v), vec4(v), vec4(v), vec4(v));
}

fn store_pixels(sums: vec4<f32>, at: u32) {
  var sum = sums;
  if (params.has_extra != 0) {
    sum += staged(extra, at);
  }
  y[at] = Stored(sum);
}

fn store(sums: Row, n: u32, co: u32, oy: u32, column: u32) {
  if (co >= params.co) {
    return;
  }
  let add = select(0.0, channel[n * params.co + co], params.has_channel != 0);
  let at = ((n * params.co + co) * params.h + oy) * params.w4 + column;
  store_pixels(sums.a + add, at);
  store_pixels(sums.b + add, at + 1);
  store_pixels(sums.c + add, at + 2);
  store_pixels(sums.d + add, at + 3);
  store_pixels(sums.e + add, at + 4);
  store_pixels(sums.f + add, at + 5);
  store_pixels(sums.g + add, at + 6);
  store_pixels(sums.h + add, at + 7);
}

/// Row i of four.
fn chosen(i: u32, s0: Row, s1: Row, s2: Row, s3: Row) -> Row {
  let odd = (i & 1) != 0;
  let two = (i & 2) != 0;
  return Row(
    select(select(s0.a, s1.a, odd), select(s2.a, s3.a, odd), two),
    select(select(s0.b, s1.b, odd), select(s2.b, s3.b, odd), two),
    select(select(s0.c, s1.c, odd), select(s2.c, s3.c, odd), two),
    select(select(s0.d, s1.d, odd), select(s2.d, s3.d, odd), two),
    select(select(s0.e, s1.e, odd), select(s2.e, s3.e, odd), two),
    select(select(s0.f, s1.f, odd), select(s2.f, s3.f, odd), two),
    select(select(s0.g, s1.g, odd), select(s2.g, s3.g, odd), two),
    select(select(s0.h, s1.h, odd), select(s2.h, s3.h, odd), two),
  );
}

/// Of four channels. A loop, for a store is much code.
fn store_four(s0: Row, s1: Row, s2: Row, s3: Row, n: u32, first: u32, oy: u32, column: u32) {
  for (var i = 0u; i < 4; i++) {
    store(chosen(i, s0, s1, s2, s3), n, first + i, oy, column);
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = wid.y * WORKGROUP + lane;
  let strips = params.w4 / 8;
  let column = index % strips * 8;
  let oy = index / strips % params.h;
  let n = index / (strips * params.h);
  if (n >= params.batch) {
    return;
  }
  var at = wid.x * params.panel_size;
  let bias_low = staged(panels, at);
  let bias_high = staged(panels, at + 1);
  at += 2;
  var s0 = filled(bias_low.x);
  var s1 = filled(bias_low.y);
  var s2 = filled(bias_low.z);
  var s3 = filled(bias_low.w);
  var s4 = filled(bias_high.x);
  var s5 = filled(bias_high.y);
  var s6 = filled(bias_high.z);
  var s7 = filled(bias_high.w);

  var plane = n * params.ci * params.h * params.w4;
  var ky = 0;
  for (var k = 0u; k < params.ci * 3; k++) {
    let p = load(plane, i32(oy) + ky - 1, column);
    {
      let left = staged(panels, at);
      let middle = staged(panels, at + 2);
      let right = staged(panels, at + 4);
      add_products(&s0, left.x, middle.x, right.x, p);
      add_products(&s1, left.y, middle.y, right.y, p);
      add_products(&s2, left.z, middle.z, right.z, p);
      add_products(&s3, left.w, middle.w, right.w, p);
    }
    {
      let left = staged(panels, at + 1);
      let middle = staged(panels, at + 3);
      let right = staged(panels, at + 5);
      add_products(&s4, left.x, middle.x, right.x, p);
      add_products(&s5, left.y, middle.y, right.y, p);
      add_products(&s6, left.z, middle.z, right.z, p);
      add_products(&s7, left.w, middle.w, right.w, p);
    }
    let is_last = ky == 2;
    plane += select(0, params.h * params.w4, is_last);
    ky = select(ky + 1, 0, is_last);
    at += 6;
  }
  let co = wid.x * 8;
  store_four(s0, s1, s2, s3, n, co, oy, column);
  store_four(s4, s5, s6, s7, n, co + 4, oy, column);
}
