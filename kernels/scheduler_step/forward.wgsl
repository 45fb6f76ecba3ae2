// Equation: x0 = clamp(kx x + ke e, -clip, clip), eps = lx x + le e,
//   x' = a x + b x0 + c eps + d previous + s z, previous' = x0
//   for a model output e; the coefficients say which scheduler this is and how far it is.
// Source: DDPM: Ho et al. 2020 eq. 7; DDIM: Song et al. 2021 eq. 12; DPM-Solver++ 2M: Lu et al.
//   2022 algorithm 2; as in diffusers scheduling_{ddpm,ddim,dpmsolver_multistep}.py.
// Bindings:
//   e: f32 [n, ...], the model output
//   noise: f32 [n, ...], z
//   k: f32 [12]: kx, ke, clip, lx, le, a, b, c, d, s, and two unused
//   x, previous: f32 [n, ...], updated in place
// Grid: one invocation per element, folded over x and y.
// Numerics: f32; coefficients are rounded once from float64.
// Shapes: any.
// Writes: every output element.

struct Params {
  count: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> e: array<f32>;
@group(0) @binding(2) var<storage, read> noise: array<f32>;
@group(0) @binding(3) var<storage, read> k: array<f32>;
@group(0) @binding(4) var<storage, read_write> x: array<f32>;
@group(0) @binding(5) var<storage, read_write> previous: array<f32>;

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
  let x0 = clamp(k[0] * x[i] + k[1] * e[i], -k[2], k[2]);
  let eps = k[3] * x[i] + k[4] * e[i];
  let mean = k[5] * x[i] + k[6] * x0 + k[7] * eps + k[8] * previous[i];
  x[i] = mean + k[9] * noise[i];
  previous[i] = x0;
}
