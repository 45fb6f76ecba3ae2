// Equation: y[i] = scale_a * a[i] + scale_b * b[i]
// Source: elementwise; residual connections of ResnetBlock2D and sums of gradients.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/stores.wgsl
// Bindings:
//   a, b: f32 or f16 tensors of one shape, staged
//   y: f32 or f16, the same shape
// Grid: one invocation per 4 elements, folded over x and y.
// Numerics: two products and one sum, f32.
// Shapes: any; the last vec4 may reach into the padding of the buffers.
// Writes: every output element.

struct Params {
  count4: u32,
  scale_a: f32,
  scale_b: f32,
}

override WORKGROUP: u32 = 64;
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var a: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var b: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> y: array<Stored>;

fn put(at: u32, value: Stored) {
  y[at] = value;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  let sum = params.scale_a * staged(a, i) + params.scale_b * staged(b, i);
  put_all(lane, i < params.count4, i, Stored(sum));
}
