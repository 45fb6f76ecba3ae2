// Equation: means[n, g] = (sum of weight[c] * sums[n, c, 0], sum of weight[c] * sums[n, c, 1]) / m
//   over the channels c of group g, m = (C / G) * H * W
// Source: derivative of torch.nn.GroupNorm: what all elements of a group share.
// Bindings:
//   sums: f32 [N, C, 2], (sum(g), sum(g * xhat)) of backward_sums.wgsl
//   weight: f32 [C]
//   means: f32 [N, G, 2]
// Grid: one invocation a group (n, g).
// Numerics: f32, in the order of the channels.
// Shapes: C / G at most 65,535 (loop iterations).
// Writes: every output element.

struct Params {
  rows: u32,
  channels: u32,
  group_channels: u32,
  factor: f32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> means: array<vec2<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = id.x;
  if (row >= params.rows) {
    return;
  }
  var sum = vec2<f32>(0.0);
  for (var k = 0u; k < params.group_channels; k++) {
    let r = row * params.group_channels + k;
    sum += weight[r % params.channels] * sums[r];
  }
  means[row] = params.factor * sum;
}
