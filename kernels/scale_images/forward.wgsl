// Equation: y[n, ...] = table[t[n]] * x[n, ...]
// Source: loss weights by timestep, as their square roots: Hang et al. 2023, arXiv:2303.09556.
// Bindings:
//   x: f32 [n, ...]
//   t: i32 [n]
//   table: f32 [timesteps]
//   y: f32 [n, ...]
// Grid: one invocation per element, folded over x and y.
// Numerics: f32, one product.
// Shapes: any; t outside the table is held to its ends.
// Writes: every output element.

struct Params {
  count: u32,
  per_image: u32,
  timesteps: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> t: array<i32>;
@group(0) @binding(3) var<storage, read> table: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

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
  let step = clamp(t[i / params.per_image], 0, i32(params.timesteps) - 1);
  y[i] = table[step] * x[i];
}
