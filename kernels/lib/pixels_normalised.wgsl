// Library: as pixels_as_stored.wgsl, of pixels that go through group norm and SiLU as they are
// read. Zeros around the image stay zeros: padding comes after.

override GROUP_CHANNELS: u32 = 1;

@group(0) @binding(7) var<storage, read> stats: array<vec2<f32>>;
@group(0) @binding(8) var<storage, read> norm_weight: array<f32>;
@group(0) @binding(9) var<storage, read> norm_bias: array<f32>;

/// Vec4 `at` of x, in channel ci; row = n * Ci + ci.
fn pixels_at(row: u32, ci: u32, at: u32) -> vec4<f32> {
  let s = stats[row / GROUP_CHANNELS];
  let z = (x_at(at) - s.x) * (s.y * norm_weight[ci]) + norm_bias[ci];
  return z / (1.0 + exp(-z));
}
