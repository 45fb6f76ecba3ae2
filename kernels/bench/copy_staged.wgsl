// A copy that reads a staging texture: the other peak of memory, on software drivers the higher.
//
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/stores.wgsl
//
// Equation: y = x.
// Source: STREAM's copy (McCalpin, 1995).
// Bindings:
//   params: how many vec4 there are
//   x: f32 staged
//   y: f32 as vec4
// Grid: one invocation a vec4, in rows of workgroups as gridFor lays them out.
// Numerics: exact.
// Shapes: a multiple of four floats.
// Writes: every element of y.

struct Params {
  count4: u32,
}

override WORKGROUP: u32 = 64;
alias Stored = vec4<f32>;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

fn put(at: u32, value: Stored) {
  y[at] = value;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + lane;
  put_all(lane, i < params.count4, i, staged(x, i));
}
