// Equation: y[n,co,i,j] = f(bias[co] + sum over ci, a, b of weight[co,ci,a,b] *
//   x[n, ci, i + a - top, j + b - left]), f(v) = max(v, floor)
// Source: torch.nn.functional.conv2d with stride 1, then relu; pixels outside x count as zero.
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   x: f32 [N,Ci,plane] staged, pixel (r, c) of a plane at r * pitch + c
//   panels: staged, packed by pack_panels.wgsl, a panel being the biases and weights of 16 output
//     channels, [16] and [ci,taps,16] floats
//   y: f32 [N,Co,out_plane] as vec4, pixel (i, j) at i * pitch + j
// Grid: x: panels; y: one invocation per 16 elements of a plane of y.
// Numerics: f32; a running sum to which the products of two input channels are added at a time:
//   relative error about 2^-24 * sqrt(Ci taps / 12).
// Shapes: planes multiples of 4, below 2^21 elements.
// Writes: every output element; those past the last pixel of a row or plane too, by the equation
//   (with a single tap from what x has there).

struct Params {
  batch: u32,
  out_plane4: u32,
  plane4: u32,
  height: u32,
  width: u32,
  pitch: u32,
  taps: u32,
  window_width: u32,
  top: u32,
  left: u32,
  ci: u32,
  co: u32,
  panel_size: u32,
  floor: f32,
}

/// 16 neighbouring elements of a plane.
struct Strip {
  a: vec4<f32>,
  b: vec4<f32>,
  c: vec4<f32>,
  d: vec4<f32>,
}

/// Which of them lie in the image.
struct Mask {
  a: vec4<bool>,
  b: vec4<bool>,
  c: vec4<bool>,
  d: vec4<bool>,
}

/// Sums of a strip of 4 output channels.
struct Tile {
  s0: Strip,
  s1: Strip,
  s2: Strip,
  s3: Strip,
}

override WORKGROUP: u32 = 8;
/// Windows of several taps; with a single one no pixel is ever shifted or outside.
const SHIFTED = true; // @specialize
/// An even number of channels.
const EVEN = false; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var panels: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

fn at_least_0(i: i32) -> u32 {
  return u32(max(i, 0));
}

/// The strip that starts `shift` floats (0 to 3) after vec4 `at`; 0 outside the image.
fn shifted(at: i32, shift: u32, mask: Mask) -> Strip {
  let t0 = staged(x, at_least_0(at));
  let t1 = staged(x, at_least_0(at + 1));
  let t2 = staged(x, at_least_0(at + 2));
  let t3 = staged(x, at_least_0(at + 3));
  let t4 = staged(x, at_least_0(at + 4));
  let two = vec4((shift & 2) != 0);
  let u0 = select(t0, vec4(t0.zw, t1.xy), two);
  let u1 = select(t1, vec4(t1.zw, t2.xy), two);
  let u2 = select(t2, vec4(t2.zw, t3.xy), two);
  let u3 = select(t3, vec4(t3.zw, t4.xy), two);
  let u4 = select(t4.x, t4.z, two.x);
  let one = vec4((shift & 1) != 0);
  let zero = vec4(0.0);
  return Strip(
    select(zero, select(u0, vec4(u0.yzw, u1.x), one), mask.a),
    select(zero, select(u1, vec4(u1.yzw, u2.x), one), mask.b),
    select(zero, select(u2, vec4(u2.yzw, u3.x), one), mask.c),
    select(zero, select(u3, vec4(u3.yzw, u4), one), mask.d),
  );
}

fn strip(at: i32, shift: u32, mask: Mask) -> Strip {
  if (SHIFTED) {
    return shifted(at, shift, mask);
  }
  let i = u32(at);
  return Strip(staged(x, i), staged(x, i + 1), staged(x, i + 2), staged(x, i + 3));
}

fn add_products(tile: ptr<function, Tile>, v: vec4<f32>, p: Strip, w: vec4<f32>, q: Strip) {
  (*tile).s0.a += v.x * p.a + w.x * q.a;
  (*tile).s0.b += v.x * p.b + w.x * q.b;
  (*tile).s0.c += v.x * p.c + w.x * q.c;
  (*tile).s0.d += v.x * p.d + w.x * q.d;
  (*tile).s1.a += v.y * p.a + w.y * q.a;
  (*tile).s1.b += v.y * p.b + w.y * q.b;
  (*tile).s1.c += v.y * p.c + w.y * q.c;
  (*tile).s1.d += v.y * p.d + w.y * q.d;
  (*tile).s2.a += v.z * p.a + w.z * q.a;
  (*tile).s2.b += v.z * p.b + w.z * q.b;
  (*tile).s2.c += v.z * p.c + w.z * q.c;
  (*tile).s2.d += v.z * p.d + w.z * q.d;
  (*tile).s3.a += v.w * p.a + w.w * q.a;
  (*tile).s3.b += v.w * p.b + w.w * q.b;
  (*tile).s3.c += v.w * p.c + w.w * q.c;
  (*tile).s3.d += v.w * p.d + w.w * q.d;
}

fn filled(v: f32) -> Strip {
  let r = vec4(v);
  return Strip(r, r, r, r);
}

fn tile(v: vec4<f32>) -> Tile {
  return Tile(filled(v.x), filled(v.y), filled(v.z), filled(v.w));
}

fn store_vec4(v: vec4<f32>, plane: u32, pixel: u32) {
  if (pixel < params.out_plane4) {
    y[plane + pixel] = max(v, vec4(params.floor));
  }
}

fn store_strip(s: Strip, n: u32, co: u32, pixel: u32) {
  if (co >= params.co) {
    return;
  }
  let plane = (n * params.co + co) * params.out_plane4;
  store_vec4(s.a, plane, pixel);
  store_vec4(s.b, plane, pixel + 1);
  store_vec4(s.c, plane, pixel + 2);
  store_vec4(s.d, plane, pixel + 3);
}

fn store(t: Tile, n: u32, co: u32, pixel: u32) {
  store_strip(t.s0, n, co, pixel);
  store_strip(t.s1, n, co + 1, pixel);
  store_strip(t.s2, n, co + 2, pixel);
  store_strip(t.s3, n, co + 3, pixel);
}

/// Rows of elements; a division in floats, which is exact for planes of this size and fast.
fn rows(element: vec4<u32>) -> vec4<u32> {
  return vec4<u32>((vec4<f32>(element) + 0.5) / f32(params.pitch));
}

fn inside(element: vec4<u32>, row: vec4<u32>, down: u32, right: u32) -> vec4<bool> {
  // Below 0 wraps to what is larger than any side.
  let r = row + down;
  let c = element - row * params.pitch + right;
  return (r < vec4(params.height)) & (c < vec4(params.width));
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = wid.y * WORKGROUP + lane;
  let strips = (params.out_plane4 + 3) / 4;
  let pixel = index % strips * 4;
  let n = index / strips;
  if (n >= params.batch) {
    return;
  }
  let element = pixel * 4 + vec4(0u, 1u, 2u, 3u);
  let row_a = rows(element);
  let row_b = rows(element + 4);
  let row_c = rows(element + 8);
  let row_d = rows(element + 12);
  let panel = wid.x * params.panel_size;
  var t0 = tile(staged(panels, panel));
  var t1 = tile(staged(panels, panel + 1));
  var t2 = tile(staged(panels, panel + 2));
  var t3 = tile(staged(panels, panel + 3));
  let first = i32(n * params.ci * params.plane4 + pixel);
  let step = params.taps * 4;
  // From wid.z, which is 0: bounds that are plain parameters would be compiled in, each anew.
  for (var tap = wid.z; tap < wid.z + params.taps; tap++) {
    let down = tap / params.window_width - params.top;
    let right = tap % params.window_width - params.left;
    let mask = Mask(
      inside(element, row_a, down, right),
      inside(element + 4, row_b, down, right),
      inside(element + 8, row_c, down, right),
      inside(element + 12, row_d, down, right),
    );
    let shift = i32(down * params.pitch + right);
    var source = first + (shift >> 2);
    var at = panel + 4 + tap * 4;
    for (var ci = 0u; ci < params.ci; ci += 2) {
      // A last odd channel is taken twice, the second time with weights of 0.
      let both = EVEN || ci + 1 < params.ci;
      let there = vec4(select(0.0, 1.0, both));
      let other = at + select(0u, step, both);
      let p = strip(source, u32(shift & 3), mask);
      let q = strip(source + select(0, i32(params.plane4), both), u32(shift & 3), mask);
      add_products(&t0, staged(panels, at), p, staged(panels, other) * there, q);
      add_products(&t1, staged(panels, at + 1), p, staged(panels, other + 1) * there, q);
      add_products(&t2, staged(panels, at + 2), p, staged(panels, other + 2) * there, q);
      add_products(&t3, staged(panels, at + 3), p, staged(panels, other + 3) * there, q);
      source += 2 * i32(params.plane4);
      at += 2 * step;
    }
  }
  let co = wid.x * 16;
  store(t0, n, co, pixel);
  store(t1, n, co + 4, pixel);
  store(t2, n, co + 8, pixel);
  store(t3, n, co + 12, pixel);
}
