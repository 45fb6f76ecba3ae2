// Equation: sums[n] = (sum of b, sum of p * t, sum of p, sum of t) over the elements of image n,
//   p = sigmoid(z), b = max(z, 0) - z * t + log(1 + exp(-|z|))
// Source: torch.nn.functional.binary_cross_entropy_with_logits (b) and the three sums of a soft
//   Dice (Milletari et al. 2016, arXiv:1606.04797).
// Bindings:
//   logits, target_values: f32 [N, per_image]
//   sums: f32 [N, 4], a vec4 an image
// Grid: a workgroup an image.
// Numerics: f32; a chain a lane, then the lanes as a tree. exp never overflows: its argument is
//   at most 0.
// Shapes: per_image below 65,535 * WORKGROUP.
// Writes: every output element.

struct Params {
  per_image: u32,
}

override WORKGROUP: u32 = 64; // a power of two

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> target_values: array<f32>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4<f32>>;

var<workgroup> partial: array<vec4<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  var sum = vec4<f32>(0.0);
  for (var i = lane; i < params.per_image; i += WORKGROUP) {
    let z = logits[wid.x * params.per_image + i];
    let t = target_values[wid.x * params.per_image + i];
    let e = exp(-abs(z));
    let p = select(e, 1.0, z >= 0.0) / (1.0 + e);
    sum += vec4<f32>(max(z, 0.0) - z * t + log(1.0 + e), p * t, p, t);
  }
  partial[lane] = sum;
  for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      partial[lane] += partial[lane + half];
    }
  }
  if (lane == 0u) {
    sums[wid.x] = partial[0];
  }
}
