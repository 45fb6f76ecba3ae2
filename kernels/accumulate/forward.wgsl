// Equation: sum' = keep sum + weight g; keep = 0 starts anew, whatever sum held (also NaN)
// Source: gradient accumulation over micro-batches.
// Bindings:
//   g: f32 [n]
//   control: f32 [2]: keep (0 or 1), weight (1 / micro-batches)
//   sum: f32 [n], updated in place, read as vec4
// Grid: one invocation per 4 elements, folded over x and y.
// Numerics: f32.
// Shapes: any; padding is updated along with the rest.
// Writes: every output element.

struct Params {
  count4: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> control: array<f32>;
@group(0) @binding(3) var<storage, read_write> sum: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  if (i >= params.count4) {
    return;
  }
  let add = control[1] * g[i];
  if (control[0] != 0.0) {
    sum[i] = sum[i] + add;
  } else {
    sum[i] = add;
  }
}
