// Equation: partial[n,co] = sum over the pixels of dy[n,co]
// Source: gradient of the bias of a convolution; sum_partials.wgsl adds up the batch.
// Bindings:
//   dy: f32 [N,Co,area]
//   partial: f32 [N, slice], a slice being [Co] and padding
// Grid: one invocation per image and channel.
// Numerics: f32; sums of 64 neighbours, then a sum of those sums.
// Shapes: area below 65,000 (a loop iteration each, see the limit of Mesa 22).
// Writes: every output element.

struct Params {
  batch: u32,
  co: u32,
  area: u32,
  slice: u32,
}

override WORKGROUP: u32 = 8;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  if (index >= params.batch * params.co) {
    return;
  }
  let plane = index * params.area;
  var sum = 0.0;
  var block = 0.0;
  for (var i = 0u; i < params.area; i++) {
    block += dy[plane + i];
    if (i % 64 == 63) {
      sum += block;
      block = 0.0;
    }
  }
  partial[index / params.co * params.slice + index % params.co] = sum + block;
}
