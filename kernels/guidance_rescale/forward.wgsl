// Equation: y = e (amount sigma_c / sigma_e + 1 - amount), with the standard deviations over an
//   image of the conditional output c and of the guided one e
// Source: Lin et al. 2024, arXiv:2305.08891 section 3.4; diffusers' rescale_noise_cfg.
// Bindings:
//   e: f32 [n, ...], what guidance made of both outputs
//   both_stats: f32 [m, 1, 2], mean and 1 / sigma of the model's outputs; the first n are c's
//   e_stats: f32 [n, 1, 2], the same of e
//   amount: f32 [1]: 0 leaves e as it is, 1 gives it c's standard deviation
//   y: f32 [n, ...]
// Grid: one invocation per element, folded over x and y.
// Numerics: f32. Biased deviations: their quotient is that of PyTorch's unbiased ones.
// Shapes: any.
// Writes: every output element.

struct Params {
  count: u32,
  per_image: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> e: array<f32>;
@group(0) @binding(2) var<storage, read> both_stats: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> e_stats: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> amount: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

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
  let image = i / params.per_image;
  let quotient = e_stats[image].y / both_stats[image].y;
  y[i] = e[i] * (amount[0] * quotient + (1.0 - amount[0]));
}
