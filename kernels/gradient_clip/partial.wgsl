// Equation: partials[j] = sum of x^2 over the j-th run of 32 * WORKGROUP blocks of 64 elements
// Source: torch.nn.utils.clip_grad_norm_ (norm_type 2), first half.
// Joins: kernels/lib/read_x_vec4.wgsl
// Joins: kernels/lib/summed.wgsl
// Joins: kernels/lib/reduce.wgsl
// Bindings:
//   x: f32 [64 * blocks], the gradient, read as vec4
//   filled: i32 [blocks]: elements of each block that count, from its start; the rest is a gap
//     between parameters, where anything may stand
//   partials: f32, one number a workgroup
// Grid: a workgroup takes 32 * WORKGROUP blocks; at most 65,535 workgroups, along x.
// Numerics: f32; 64 terms of a block four abreast, 32 blocks in a chain, then the lanes as a tree.
// Shapes: any number of blocks.
// Writes: every output element.

struct Params {
  blocks: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> filled: array<i32>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

fn square(block: u32) -> f32 {
  if (block >= params.blocks) {
    return 0.0;
  }
  let count = vec4<i32>(filled[block]);
  var sum = vec4<f32>(0.0);
  for (var k = 0u; k < 16u; k++) {
    let value = x_at(16u * block + k);
    let place = vec4<i32>(i32(4u * k)) + vec4<i32>(0, 1, 2, 3);
    sum += select(vec4<f32>(0.0), value * value, place < count);
  }
  return (sum.x + sum.y) + (sum.z + sum.w);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  var sum = 0.0;
  for (var k = 0u; k < 32u; k++) {
    sum += square((wid.x * 32u + k) * WORKGROUP + lane);
  }
  let all = reduce(lane, sum);
  if (lane == 0u) {
    partials[wid.x] = all;
  }
}
