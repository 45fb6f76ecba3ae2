// Equation: z = sqrt(-2 ln u1) (cos 2 pi u2, sin 2 pi u2), u = (bits >> 8 + 1/2) / 2^24
//   with bits = philox4x32_10(counter (block, step, image, stream), key = seed)
// Source: Box & Muller 1958; Philox of Salmon et al., SC 2011.
// Joins: kernels/lib/philox.wgsl
// Bindings:
//   rng: u32 [4]: seed low, seed high, step, unused
//   images: u32 [n]: what each image is called, so that its noise depends neither on its place in
//     the batch nor on who computes it
//   z: f32 [n, ...], per_image elements an image
// Grid: one invocation per 4 elements of an image, folded over x and y.
// Numerics: u1 is never 0, so |z| <= 5.9; 24 random bits a uniform number. ln and the angle are
//   rounded in f32: 1e-6 relative to exact arithmetic, and the same on every run of a device.
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

fn normal_pair(bits: vec2<u32>) -> vec2<f32> {
  let u = (vec2<f32>(bits >> vec2<u32>(8u)) + 0.5) * 5.9604644775390625e-8;
  let radius = sqrt(-2.0 * log(min(u.x, 0.99999994)));
  let angle = 6.283185307179586 * u.y;
  return radius * vec2<f32>(cos(angle), sin(angle));
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
