// Equation: loss = factor * sum of partials
// Source: torch.nn.functional.mse_loss, second half: factor is 1 / the number of elements.
// Bindings:
//   partials: f32, `count` numbers of partial.wgsl
//   loss: f32 [1]
// Grid: one workgroup.
// Numerics: a chain a lane, then the lanes as a tree.
// Shapes: count at most 65,535.
// Writes: every output element.

struct Params {
  count: u32,
  factor: f32,
}

override WORKGROUP: u32 = 64; // a power of two from 8 on

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;

var<workgroup> lanes: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < params.count; i += WORKGROUP) {
    sum += partials[i];
  }
  lanes[lane] = sum;
  // A tree down to 8 lanes; the first one sums those, as barriers are dear on software Vulkan.
  for (var half = WORKGROUP / 2u; half >= 8u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      lanes[lane] += lanes[lane + half];
    }
  }
  workgroupBarrier();
  if (lane == 0u) {
    var all = lanes[0];
    for (var k = 1u; k < 8u; k++) {
      all += lanes[k];
    }
    loss[0] = params.factor * all;
  }
}
