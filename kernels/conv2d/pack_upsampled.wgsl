// Equation: panel[p][h][8] biases, then panel[p][h][(ci*8 + j)*2 + s] = K[8p + j, ci, 3 - h - 2s]
//   for output rows 2i + h; transposed [8] zeros, then panel[p][(co*8 + j)*4 + u] =
//   K[co, 8p + j, u]; K[co,ci,u,v] = sum over kh in {2 - u, 3 - u}, kw in {2 - v, 3 - v} of
//   weight[co,ci,kh,kw]
// Source: a 3×3 convolution of an image with each pixel doubled meets each pixel of the small
//   image once, with the sum of the weights that fall on it: the transpose of a 4×4 convolution,
//   stride 2.
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   weight: f32 [Co,Ci,3,3] staged
//   bias: f32 [Co] staged, any if not used
//   panels: f32 [panels, rows] as vec4, a vec4 being the four v of a row of K
// Grid: x: one invocation per vec4 of a panel; y: panels, of each the two h one after the other.
// Numerics: f32; sums of at most 4 weights.
// Shapes: any; what stands for channels beyond the weight's is not used.
// Writes: every output element.

struct Params {
  rows: u32,
  shift: u32,
  weight_ci: u32,
  has_bias: u32,
  transposed: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var weight: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var bias: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> panels: array<vec4<f32>>;

fn bias_at(co: u32) -> f32 {
  return select(0.0, staged_float(bias, co), params.has_bias != 0);
}

/// Row kh of the kernel that begins at `at`, zeros where it is not there.
fn kernel_row(at: u32, kh: u32, there: bool) -> vec3<f32> {
  let first = at + select(0, kh, there) * 3;
  let row = vec3(
    staged_float(weight, first),
    staged_float(weight, first + 1),
    staged_float(weight, first + 2),
  );
  return select(vec3(0.0), row, there);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = wid.x * WORKGROUP + lane;
  if (row >= params.rows) {
    return;
  }
  // Selections, not a branch: Mesa would compile a branch on a parameter anew at every dispatch.
  let transposed = params.transposed != 0;
  let first = select(wid.y / 2, wid.y, transposed) * 8;
  let at = wid.y * params.rows + row;
  if (row < 2) {
    let co = first + row * 4;
    panels[at] = vec4(bias_at(co), bias_at(co + 1), bias_at(co + 2), bias_at(co + 3));
    return;
  }
  let k = row - 2;
  let part = k & ((1u << params.shift) - 1);
  let own = first + ((k >> params.shift) & 7);
  let other = k >> (params.shift + 3);
  let co = select(own, other, transposed);
  let ci = select(other, own, transposed);
  let u = select(3 - (wid.y & 1) - 2 * part, part, transposed);
  let begin = (co * params.weight_ci + ci) * 9;
  let r = kernel_row(begin, 3 - u, u > 0) + kernel_row(begin, 2 - min(u, 2), u < 3);
  panels[at] = vec4(r.z, r.y + r.z, r.x + r.y, r.x);
}
