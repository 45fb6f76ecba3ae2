// Equation: y[i] = x[i], of another float type
// Source: elementwise.
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   x: f32 or f16 tensor, staged
//   y: f32 or f16, the same shape
// Grid: one invocation per 4 elements, folded over x and y.
// Numerics: exact to f32; to f16 rounded to nearest.
// Shapes: any; the last vec4 may reach into the padding of the buffers.
// Writes: every output element.

struct Params {
  count4: u32,
}

override WORKGROUP: u32 = 64;
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var<storage, read_write> y: array<Stored>;

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
  y[i] = Stored(staged(x, i));
}
