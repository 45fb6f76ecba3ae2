// Equation: dbias[c] = sum over n of sums[n, c, 0]; dweight[c] = sum over n of sums[n, c, 1]
// Source: derivative of torch.nn.GroupNorm by its affine parameters.
// Bindings:
//   sums: f32 [N, C, 2], (sum(g), sum(g * xhat)) of backward_sums.wgsl
//   dweight, dbias: f32 [C]
// Grid: one invocation a channel.
// Numerics: f32, in the order of the batch.
// Shapes: N at most 65,535 (loop iterations).
// Writes: every output element.

struct Params {
  batch: u32,
  channels: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(3) var<storage, read_write> dbias: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let c = id.x;
  if (c >= params.channels) {
    return;
  }
  var sum = vec2<f32>(0.0);
  for (var n = 0u; n < params.batch; n++) {
    sum += sums[n * params.channels + c];
  }
  dbias[c] = sum.x;
  dweight[c] = sum.y;
}
