// Equation: means[n, g] = (sum of weight[c] * sums[n, c, 0], sum of weight[c] * sums[n, c, 1]) / m
//   over the channels c of group g, m = (C / G) * H * W;
//   dbias[c] = sum over n of sums[n, c, 0]; dweight[c] = sum over n of sums[n, c, 1]
// Source: derivative of torch.nn.GroupNorm: what all elements of a group share, and by its affine
//   parameters.
// Bindings:
//   sums: f32 [N, C, 2], (sum(g), sum(g * xhat)) of backward_sums.wgsl
//   weight: f32 [C]
//   means: f32 [N, G, 2]
//   dweight, dbias: f32 [C]
// Grid: one invocation a group (n, g), and a channel: as many as the more of the two.
// Numerics: f32, in the order of the channels and of the batch.
// Shapes: C / G and N at most 65,535 (loop iterations).
// Writes: every output element.

struct Params {
  groups: u32,
  batch: u32,
  channels: u32,
  group_channels: u32,
  factor: f32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> means: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(5) var<storage, read_write> dbias: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.x;
  if (i < params.groups) {
    var sum = vec2<f32>(0.0);
    for (var k = 0u; k < params.group_channels; k++) {
      let row = i * params.group_channels + k;
      sum += weight[row % params.channels] * sums[row];
    }
    means[i] = params.factor * sum;
  }
  if (i < params.channels) {
    var sum = vec2<f32>(0.0);
    for (var n = 0u; n < params.batch; n++) {
      sum += sums[n * params.channels + i];
    }
    dbias[i] = sum.x;
    dweight[i] = sum.y;
  }
}
