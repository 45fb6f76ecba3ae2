// Equation: x' = x inside the region, level[0] known + level[1] z outside
// Source: Lugmayr et al. 2022 (RePaint), arXiv:2201.09865 eq. 8; diffusers' inpainting pipelines.
// Bindings:
//   known: f32 [n, ...], the image to keep
//   region: f32 [n, ...], above 1/2 where x is kept
//   noise: f32 [n, ...], z
//   level: f32 [2]: sqrt(alpha_bar) and sqrt(1 - alpha_bar) of the noise level that x is at
//   x: f32 [n, ...], updated in place
// Grid: one invocation per element, folded over x and y.
// Numerics: f32. At level (1, 0) the result is the known image to the last bit: z is finite.
// Shapes: any.
// Writes: every output element.

struct Params {
  count: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> known: array<f32>;
@group(0) @binding(2) var<storage, read> region: array<f32>;
@group(0) @binding(3) var<storage, read> noise: array<f32>;
@group(0) @binding(4) var<storage, read> level: array<f32>;
@group(0) @binding(5) var<storage, read_write> x: array<f32>;

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
  if (region[i] <= 0.5) {
    x[i] = level[0] * known[i] + level[1] * noise[i];
  }
}
