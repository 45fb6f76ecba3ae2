// Equation: P[slice,xi,co,ci] = sum over the tiles t of the slice of D[xi,t,co] * V[xi,t,ci]
// Source: weight gradient of Winograd F(4×4, 3×3), see kernels/lib/winograd.wgsl.
// Bindings:
//   v: f32 [36, v_plane] as vec4, a plane being [groups, ci, 16] and padding
//   d: f32 [36, d_plane] as vec4, a plane being [groups, co, 16] and padding
//   partial: f32 [slices, 36, co32, ci32], co32 and ci32 being co and ci rounded up to 32
// Grid: x: blocks of 32 output channels times blocks of 32 input channels; y: positions; z: slices
//   of `step` groups. A workgroup of 8×8, 4 output by 4 input channels an invocation, eight apart.
// Numerics: f32; sums of 32 tiles join the running sum.
// Shapes: any; channels past the last are zeros.
// Writes: every output element of its slices.

struct Params {
  groups: u32,
  v_plane: u32,
  d_plane: u32,
  ci: u32,
  co: u32,
  ci_blocks: u32,
  co_blocks: u32,
  step: u32,
  first_slice: u32,
}

const WORKGROUP: u32 = 64;
// Vec4s of a channel's tiles at a time: of two groups, and one more so that neighbours do not read
// from the same bank.
const DEPTH: u32 = 8;
const PITCH: u32 = 9;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> d: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> partial: array<f32>;

var<workgroup> inputs: array<vec4<f32>, 288>;
var<workgroup> gradients: array<vec4<f32>, 288>;

/// Two groups' tiles of 32 channels each, zeros past the last group and channel.
fn load(lane: u32, xi: u32, group: u32, end: u32, first_ci: u32, first_co: u32) {
  for (var i = lane; i < 32 * DEPTH; i += WORKGROUP) {
    // As they lie in memory: 4 vec4s of a channel, then those of the next.
    let c = i / 4 % 32;
    let g = group + i / 128;
    let ci = first_ci + c;
    let co = first_co + c;
    var x = vec4(0.0);
    var e = vec4(0.0);
    if (g < end && ci < params.ci) {
      x = v[xi * params.v_plane + (g * params.ci + ci) * 4 + i % 4];
    }
    if (g < end && co < params.co) {
      e = d[xi * params.d_plane + (g * params.co + co) * 4 + i % 4];
    }
    let at = c * PITCH + i / 128 * 4 + i % 4;
    inputs[at] = x;
    gradients[at] = e;
  }
}

/// Of one output channel: a number for each of four input channels.
fn products(e: vec4<f32>, x0: vec4<f32>, x1: vec4<f32>, x2: vec4<f32>, x3: vec4<f32>) -> vec4<f32> {
  return vec4(dot(e, x0), dot(e, x1), dot(e, x2), dot(e, x3));
}

fn store(sum: vec4<f32>, at: u32) {
  partial[at] = sum.x;
  partial[at + 8] = sum.y;
  partial[at + 16] = sum.z;
  partial[at + 24] = sum.w;
}

@compute @workgroup_size(8, 8)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let first_ci = wid.x % params.ci_blocks * 32;
  let first_co = wid.x / params.ci_blocks * 32;
  let begin = wid.z * params.step;
  let end = min(begin + params.step, params.groups);
  var s0 = vec4(0.0);
  var s1 = vec4(0.0);
  var s2 = vec4(0.0);
  var s3 = vec4(0.0);
  for (var group = begin; group < end; group += 2) {
    load(lane, wid.y, group, end, first_ci, first_co);
    workgroupBarrier();
    var b0 = vec4(0.0);
    var b1 = vec4(0.0);
    var b2 = vec4(0.0);
    var b3 = vec4(0.0);
    for (var k = 0u; k < DEPTH; k++) {
      let x0 = inputs[lid.x * PITCH + k];
      let x1 = inputs[(lid.x + 8) * PITCH + k];
      let x2 = inputs[(lid.x + 16) * PITCH + k];
      let x3 = inputs[(lid.x + 24) * PITCH + k];
      b0 += products(gradients[lid.y * PITCH + k], x0, x1, x2, x3);
      b1 += products(gradients[(lid.y + 8) * PITCH + k], x0, x1, x2, x3);
      b2 += products(gradients[(lid.y + 16) * PITCH + k], x0, x1, x2, x3);
      b3 += products(gradients[(lid.y + 24) * PITCH + k], x0, x1, x2, x3);
    }
    s0 += b0;
    s1 += b1;
    s2 += b2;
    s3 += b3;
    workgroupBarrier();
  }
  let row = params.ci_blocks * 32;
  let plane = (params.first_slice + wid.z) * 36 + wid.y;
  let at = (plane * params.co_blocks * 32 + first_co + lid.y) * row + first_ci + lid.x;
  store(s0, at);
  store(s1, at + 8 * row);
  store(s2, at + 16 * row);
  store(s3, at + 24 * row);
}
