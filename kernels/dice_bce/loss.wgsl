// Equation: loss = sum over n of (s.x / count + (1 - (2 * s.y + 1) / (s.z + s.w + 1)) / images),
//   s = sums[n] = (sum of b, sum of p * t, sum of p, sum of t)
// Source: mean binary cross entropy plus the mean over images of 1 - soft Dice, smoothed by 1, as
//   in MONAI's DiceCELoss with sigmoid, smooth_nr = smooth_dr = 1.
// Bindings:
//   sums: f32 [images, 4], a vec4 an image
//   loss: f32 [1]
// Grid: one invocation.
// Numerics: f32, a chain over the images.
// Shapes: at most 65,535 images.
// Writes: every output element.

struct Params {
  images: u32,
  inverse_count: f32,
  inverse_images: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;

@compute @workgroup_size(1)
fn main() {
  var all = 0.0;
  for (var n = 0u; n < params.images; n++) {
    let s = sums[n];
    let dice = (2.0 * s.y + 1.0) / (s.z + s.w + 1.0);
    all += s.x * params.inverse_count + (1.0 - dice) * params.inverse_images;
  }
  loss[0] = all;
}
