// Equation: norm = hyper[11] * sqrt(sum of partials),
//   clipped = hyper, but clipped[11] = hyper[11] * min(1, most / (norm + 1e-6))
// Source: torch.nn.utils.clip_grad_norm_, second half; hyper is that of adamw/update.wgsl, whose
//   element 11 multiplies the gradient.
// Joins: kernels/lib/summed.wgsl
// Joins: kernels/lib/reduce.wgsl
// Bindings:
//   partials: f32, `count` numbers of partial.wgsl
//   hyper: f32 [12]
//   clipped: f32 [12]
//   norm: f32 [1], the norm before clipping
// Grid: one workgroup.
// Numerics: f32; a chain a lane, then the lanes as a tree.
// Shapes: count at most 65,535.
// Writes: every output element.

struct Params {
  count: u32,
  most: f32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read> hyper: array<f32>;
@group(0) @binding(3) var<storage, read_write> clipped: array<f32>;
@group(0) @binding(4) var<storage, read_write> norm: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < params.count; i += WORKGROUP) {
    sum += partials[i];
  }
  let all = reduce(lane, sum);
  if (lane == 0u) {
    let total = abs(hyper[11]) * sqrt(all);
    norm[0] = total;
    for (var i = 0u; i < 11u; i++) {
      clipped[i] = hyper[i];
    }
    clipped[11] = hyper[11] * min(1.0, params.most / (total + 1e-6));
  }
}
