// Equation: z = sqrt(-2 ln u1) (cos 2 pi u2, sin 2 pi u2), u = (bits >> 8 + 1/2) / 2^24
//   with bits = philox4x32_10(counter (block, step, image, stream), key = seed)
// Source: Box & Muller 1958; Philox of Salmon et al., SC 2011; polynomials of Cephes' sinf, cosf
//   and logf.
// Joins: kernels/lib/philox.wgsl
// Bindings:
//   rng: u32 [4]: seed low, seed high, step, unused
//   images: u32 [n]: what each image is called, so that its noise depends neither on its place in
//     the batch nor on who computes it
//   z: f32 [n, ...], per_image elements an image
// Grid: one invocation per 4 elements of an image, folded over x and y.
// Numerics: u1 is neither 0 nor 1, so 0 < |z| <= 5.9; 24 random bits a uniform number. WGSL's own
//   sine and logarithm may be off by 5e-4 and 5e-7, and on some devices are. So the arguments are
//   reduced exactly, in integers, and polynomials follow: 5e-8 relative, on every device.
// Shapes: per_image is any number; the last block of an image may be cut.
// Writes: every output element.

struct Params {
  count: u32,
  blocks: u32,
  per_image: u32,
  stream: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rng: array<u32>;
@group(0) @binding(2) var<storage, read> images: array<u32>;
@group(0) @binding(3) var<storage, read_write> z: array<f32>;

// ln((k + 1/2) / 2^24), k < 2^24
fn log_uniform(k: u32) -> f32 {
  let m = 2u * k + 1u;
  let high = firstLeadingBit(m);
  // The power of two next to m, so that f = m / 2^e - 1 is in [sqrt(1/2) - 1, sqrt(2) - 1).
  let e = high + u32(f32(m) >= 1.41421354 * f32(1u << high));
  let f = f32(i32(m) - i32(1u << e)) * bitcast<f32>((127u - e) << 23u);
  var p = 7.0376836292e-2;
  p = p * f - 1.1514610310e-1;
  p = p * f + 1.1676998740e-1;
  p = p * f - 1.2420140846e-1;
  p = p * f + 1.4249322787e-1;
  p = p * f - 1.6668057665e-1;
  p = p * f + 2.0000714765e-1;
  p = p * f - 2.4999993993e-1;
  p = p * f + 3.3333331174e-1;
  let n = f32(i32(e) - 25);
  let f2 = f * f;
  return n * 0.693359375 + (f + (f * f2 * p - 0.5 * f2 - n * 2.12194440e-4));
}

// (cos, sin) of 2 pi (k + 1/2) / 2^24, k < 2^24
fn unit_vector(k: u32) -> vec2<f32> {
  let quadrant = (k + 0x200000u) >> 22u;
  let x = (f32(i32(k) - i32(quadrant << 22u)) + 0.5) * 3.7450702829239286e-7;
  let x2 = x * x;
  let s = x + x * x2 * (-1.6666654611e-1 + x2 * (8.3321608736e-3 - x2 * 1.9515295891e-4));
  let c = 1.0 - 0.5 * x2 +
    x2 * x2 * (4.166664568298827e-2 + x2 * (-1.388731625493765e-3 + x2 * 2.443315711809948e-5));
  let v = select(vec2<f32>(c, s), vec2<f32>(-s, c), (quadrant & 1u) == 1u);
  return select(v, -v, (quadrant & 2u) == 2u);
}

fn normal_pair(bits: vec2<u32>) -> vec2<f32> {
  return sqrt(-2.0 * log_uniform(bits.x >> 8u)) * unit_vector(bits.y >> 8u);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  if (i >= params.count) {
    return;
  }
  let image = i / params.blocks;
  let block = i % params.blocks;
  let counter = vec4<u32>(block, rng[2], images[image], params.stream);
  let bits = philox_4x32(counter, vec2<u32>(rng[0], rng[1]));
  let v = vec4<f32>(normal_pair(bits.xy), normal_pair(bits.zw));
  let start = image * params.per_image + 4u * block;
  let rest = params.per_image - 4u * block;
  z[start] = v.x;
  if (rest > 1u) {
    z[start + 1u] = v.y;
  }
  if (rest > 2u) {
    z[start + 2u] = v.z;
  }
  if (rest > 3u) {
    z[start + 3u] = v.w;
  }
}
