// Equation: dlogits[i] = d.x * (p - t) + (d.y * t + d.z) * p * (1 - p), p = sigmoid(z),
//   d = dsums[n] of element i's image n
// Source: derivative of sums.wgsl by its logits; the sum of t does not depend on them.
// Bindings:
//   logits, target_values: f32 [N, per_image]
//   dsums: f32 [N, 4], a vec4 an image
//   dlogits: f32 [N, per_image]
// Grid: one invocation an element, folded over x and y.
// Numerics: f32; exp never overflows: its argument is at most 0.
// Shapes: any.
// Writes: every output element.

struct Params {
  count: u32,
  per_image: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> target_values: array<f32>;
@group(0) @binding(3) var<storage, read> dsums: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>;

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
  let z = logits[i];
  let t = target_values[i];
  let e = exp(-abs(z));
  let p = select(e, 1.0, z >= 0.0) / (1.0 + e);
  let d = dsums[i / params.per_image];
  dlogits[i] = d.x * (p - t) + (d.y * t + d.z) * (e / ((1.0 + e) * (1.0 + e)));
}
