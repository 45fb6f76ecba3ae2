// Equation: e = u + scale (c - u), with c, u the conditional and unconditional halves of a batch
// Source: Ho & Salimans 2022, arXiv:2207.12598; the original project's form of it.
// Bindings:
//   both: f32 [2 n, ...]: c for the first n images, then u
//   strength: f32 [1]
//   e: f32 [n, ...]
// Grid: one invocation per output element, folded over x and y.
// Numerics: f32, in the order written; scale 1 gives u + (c - u), as the original.
// Shapes: any.
// Writes: every output element.

struct Params {
  count: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> both: array<f32>;
@group(0) @binding(2) var<storage, read> strength: array<f32>;
@group(0) @binding(3) var<storage, read_write> e: array<f32>;

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
  let u = both[params.count + i];
  e[i] = u + strength[0] * (both[i] - u);
}
