// Equation: y[c] = sum over n of x[n, c]
// Source: torch.sum over the batch: gradient of a bias, from the sums of rows.wgsl.
// Bindings:
//   x: f32 [N, C]
//   y: f32 [C]
// Grid: one invocation a column.
// Numerics: blocks of 16 rows, blocks added up.
// Shapes: N at most 61,680 (loop iterations with those of the blocks).
// Writes: every output element.

struct Params {
  batch: u32,
  channels: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let c = id.x;
  if (c >= params.channels) {
    return;
  }
  var sum = 0.0;
  for (var begin = 0u; begin < params.batch; begin += 16u) {
    var block = 0.0;
    let end = min(begin + 16u, params.batch);
    for (var n = begin; n < end; n++) {
      block += x[n * params.channels + c];
    }
    sum += block;
  }
  y[c] = sum;
}
