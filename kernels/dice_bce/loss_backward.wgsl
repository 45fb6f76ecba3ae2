// Equation: dsums[n] = dloss * (1 / count, -2 / (images * D), u, u), D = s.z + s.w + 1,
//   u = (2 * s.y + 1) / (images * D^2), s = sums[n]
// Source: derivative of loss.wgsl by its sums.
// Bindings:
//   sums: f32 [images, 4], a vec4 an image
//   dloss: f32 [1]
//   dsums: f32 [images, 4], a vec4 an image
// Grid: one invocation an image, along x.
// Numerics: f32.
// Shapes: any number of images.
// Writes: every output element.

struct Params {
  images: u32,
  inverse_count: f32,
  inverse_images: f32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dloss: array<f32>;
@group(0) @binding(3) var<storage, read_write> dsums: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let n = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  if (n >= params.images) {
    return;
  }
  let s = sums[n];
  let inverse = 1.0 / (s.z + s.w + 1.0);
  let u = (2.0 * s.y + 1.0) * inverse * inverse * params.inverse_images;
  dsums[n] = dloss[0] *
    vec4<f32>(params.inverse_count, -2.0 * inverse * params.inverse_images, u, u);
}
