// Equation: folded[h,g][co,ci] = (K[u,v], K[u,v-2], K[u-2,v], K[u-2,v-2]) with u = 3 - h,
//   v = 3 - g, or transposed folded[ci,co] = the rows of K[co,ci], K of pack_upsampled.wgsl
// Source: weights of the four 2×2 convolutions that make the even and odd rows and columns of a
//   convolution of an image with each pixel doubled, and of its 4×4 input gradient.
// Bindings:
//   weight: f32 [Co,Ci,3,3]
//   folded: f32 [2,2,Co,Ci,4] as vec4, transposed [Ci,Co,4,4]
// Grid: one invocation per input and output channel.
// Numerics: f32; sums of at most 4 weights.
// Shapes: any.
// Writes: every output element.

struct Params {
  count: u32,
  co: u32,
  ci: u32,
  transposed: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> folded: array<vec4<f32>>;

fn folded_row(r: vec3<f32>) -> vec4<f32> {
  return vec4(r.z, r.y + r.z, r.x + r.y, r.x);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  if (i >= params.count) {
    return;
  }
  let w = i * 9;
  let top = folded_row(vec3(weight[w], weight[w + 1], weight[w + 2]));
  let middle = folded_row(vec3(weight[w + 3], weight[w + 4], weight[w + 5]));
  let bottom = folded_row(vec3(weight[w + 6], weight[w + 7], weight[w + 8]));
  let k1 = middle + bottom;
  let k2 = top + middle;
  if (params.transposed != 0) {
    let at = (i % params.ci * params.co + i / params.ci) * 4;
    folded[at] = bottom;
    folded[at + 1] = k1;
    folded[at + 2] = k2;
    folded[at + 3] = top;
  } else {
    folded[i] = vec4(top.wy, k1.wy);
    folded[i + params.count] = vec4(top.zx, k1.zx);
    folded[i + params.count * 2] = vec4(k2.wy, bottom.wy);
    folded[i + params.count * 3] = vec4(k2.zx, bottom.zx);
  }
}
