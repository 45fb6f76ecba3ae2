// Equation: panel[p][j] = bias[P*p + j]; panel[p][P + (ci*T + t)*P + j] =
//   weight[P*p + j, ci, t], or transposed weight[ci, P*p + j, T - 1 - t]
// Source: layout of the weights for kernels that hold P = 4 << shift output channels in registers.
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   weight: f32 [Co,Ci,T] staged, T = Kh*Kw
//   bias: f32 [Co] staged, any if not used
//   panels: f32 [panels, rows] as vec4, rows = (1 + Ci*T) * P/4
// Grid: x: one invocation per 4 floats of a panel; y: panels. One integer division each: they are
//   done lane by lane on software Vulkan.
// Numerics: copies.
// Shapes: any; channels beyond the weight's are zeros.
// Writes: every output element.

struct Params {
  rows: u32,
  shift: u32,
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

fn bias_at(co: u32) -> f32 {
  let there = params.has_bias != 0 && co < params.weight_co;
  return select(0.0, staged_float(bias, min(co, params.weight_co - 1)), there);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = wid.x * WORKGROUP + lane;
  if (row >= params.rows) {
    return;
  }
  let width4 = 1u << params.shift;
  let co = ((wid.y << params.shift) + (row & (width4 - 1))) * 4;
  let at = wid.y * params.rows + row;
  if (row < width4) {
    panels[at] = vec4(bias_at(co), bias_at(co + 1), bias_at(co + 2), bias_at(co + 3));
    return;
  }
  let k = (row >> params.shift) - 1;
  let ci = k / params.taps;
  let tap = k - ci * params.taps;
  // Selections, not a branch: Mesa would compile a branch on a parameter anew at every dispatch.
  let transposed = params.transposed != 0;
  let length = params.weight_ci * params.taps;
  let across = ci * length + (co + 1) * params.taps - 1 - tap;
  let first = select(co * length + k, across, transposed);
  let step = select(length, params.taps, transposed);
  let channels = select(params.weight_co, params.weight_ci, transposed);
  let inside = ci < select(params.weight_ci, params.weight_co, transposed);
  panels[at] = vec4(
    select(0.0, staged_float(weight, first), inside && co < channels),
    select(0.0, staged_float(weight, first + step), inside && co + 1 < channels),
    select(0.0, staged_float(weight, first + 2 * step), inside && co + 2 < channels),
    select(0.0, staged_float(weight, first + 3 * step), inside && co + 3 < channels),
  );
}
