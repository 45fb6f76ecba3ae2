// Equation: panel[p][j] = bias[P*p + j]; panel[p][P + (ci*T + t)*P + j] =
//   weight[P*p + j, ci, t], or transposed weight[ci, P*p + j, T - 1 - t]
// Source: layout of the weights for kernels that hold P = 4*width4 output channels in registers.
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   weight: f32 [Co,Ci,T] staged, T = Kh*Kw
//   bias: f32 [Co] staged, any if not used
//   panels: f32 [panels, stride] as vec4
// Grid: one invocation per 4 floats of a panel.
// Numerics: copies.
// Shapes: any; rows beyond the weight's channels are zeros.
// Writes: every output element, padding of a panel left out.

struct Params {
  panels: u32,
  width4: u32,
  stride4: u32,
  ci: u32,
  taps: u32,
  weight_ci: u32,
  weight_co: u32,
  has_bias: u32,
  transposed: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var weight: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var bias: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> panels: array<vec4<f32>>;

fn weight_at(co: u32, ci: u32, t: u32) -> f32 {
  if (params.transposed != 0) {
    let at = (ci * params.weight_ci + co) * params.taps + params.taps - 1 - t;
    return select(0.0, staged_float(weight, at), co < params.weight_ci);
  }
  let at = (co * params.weight_ci + ci) * params.taps + t;
  return select(0.0, staged_float(weight, at), co < params.weight_co);
}

fn bias_at(co: u32) -> f32 {
  let there = params.has_bias != 0 && co < params.weight_co;
  return select(0.0, staged_float(bias, min(co, params.weight_co - 1)), there);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  let length = (params.ci * params.taps + 1) * params.width4;
  let panel = index / length;
  let row = index % length;
  if (panel >= params.panels) {
    return;
  }
  let co = (panel * params.width4 + row % params.width4) * 4;
  let at = panel * params.stride4 + row;
  if (row < params.width4) {
    panels[at] = vec4(bias_at(co), bias_at(co + 1), bias_at(co + 2), bias_at(co + 3));
    return;
  }
  let ci = (row / params.width4 - 1) / params.taps;
  let t = (row / params.width4 - 1) % params.taps;
  panels[at] = vec4(
    weight_at(co, ci, t),
    weight_at(co + 1, ci, t),
    weight_at(co + 2, ci, t),
    weight_at(co + 3, ci, t),
  );
}
