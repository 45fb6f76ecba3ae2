// Equation: dw[i] = sum over c of partial[c*slice + i]
// Source: second step of the weight gradients, which sum over chunks of pixels first.
// Bindings:
//   partial: f32 [chunks, slice], read as vec4
//   dw: f32 [count], the weight's gradient, as vec4 (buffers are padded to 16 bytes; with zeros)
// Grid: one invocation per 4 elements, folded over x and y.
// Numerics: f32; sums of 16 neighbours, then a sum of those sums.
// Shapes: slice a multiple of 4; chunks below 60,000.
// Writes: every output element.

struct Params {
  count: u32,
  slice4: u32,
  chunks: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dw: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  if (i * 4 >= params.count) {
    return;
  }
  var sum = vec4(0.0);
  var block = vec4(0.0);
  for (var c = 0u; c < params.chunks; c++) {
    block += partial[c * params.slice4 + i];
    if (c % 16 == 15) {
      sum += block;
      block = vec4(0.0);
    }
  }
  let inside = vec4(i * 4) + vec4(0u, 1u, 2u, 3u) < vec4(params.count);
  dw[i] = select(vec4(0.0), sum + block, inside);
}
