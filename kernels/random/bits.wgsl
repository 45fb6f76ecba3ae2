// Equation: bits[4 i .. 4 i + 3] = philox4x32_10(counter[i], key)
// Source: Salmon, Moraes, Dror, Shaw, SC 2011. Exists so that the generator itself can be pinned
//   to the published vectors on the device.
// Joins: kernels/lib/philox.wgsl
// Bindings:
//   counters: u32 [n, 4]
//   key: u32 [2]
//   bits: u32 [n, 4]
// Grid: one invocation per counter, folded over x and y.
// Numerics: integers, exact.
// Shapes: any n.
// Writes: every output element.

struct Params {
  count: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> counters: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> key: array<u32>;
@group(0) @binding(3) var<storage, read_write> bits: array<vec4<u32>>;

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
  bits[i] = philox_4x32(counters[i], vec2<u32>(key[0], key[1]));
}
