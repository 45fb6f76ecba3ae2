// Equation: dw[co,ci,kh,kw] = sum over u in {2 - kh, 3 - kh}, v in {2 - kw, 3 - kw} of
//   dk[co,ci,u,v]
// Source: gradient of K, as pack_upsampled.wgsl defines it, by the weight.
// Bindings:
//   dk: f32 [Co,Ci,4,4] as vec4, or transposed [Ci,Co,4,4]
//   dw: f32 [Co,Ci,3,3]
// Grid: one invocation per input and output channel.
// Numerics: f32; sums of 4.
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
@group(0) @binding(1) var<storage, read> dk: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

fn store(r: vec4<f32>, at: u32) {
  dw[at] = r.w + r.z;
  dw[at + 1] = r.z + r.y;
  dw[at + 2] = r.y + r.x;
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
  let across = i % params.ci * params.co + i / params.ci;
  let at = select(i, across, params.transposed != 0) * 4;
  let k0 = dk[at];
  let k1 = dk[at + 1];
  let k2 = dk[at + 2];
  let k3 = dk[at + 3];
  store(k3 + k2, i * 9);
  store(k2 + k1, i * 9 + 3);
  store(k1 + k0, i * 9 + 6);
}
