// Equation: y[n, c, i, j] = x[n, c, i / 2, j / 2]
// Source: torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest").
// Joins: kernels/lib/read_x_vec4.wgsl
// Bindings:
//   x: [N, C, H, W], f32 or f16, read as vec4
//   y: [N, C, 2 H, 2 W], f32 or f16, written as vec4
// Grid: one invocation per 4 pixels of x, folded over x and y.
// Numerics: copies.
// Shapes: W a multiple of 4.
// Writes: every output element.

struct Params {
  count: u32,
  width4: u32,
}

override WORKGROUP: u32 = 64;
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> y: array<Stored>;

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
  let v = x_at(i);
  // Row r of x starts at 4 r W in y: two rows, each twice as long.
  let first = 2u * (i + (i / params.width4) * params.width4);
  let second = first + 2u * params.width4;
  y[first] = Stored(v.xxyy);
  y[first + 1u] = Stored(v.zzww);
  y[second] = Stored(v.xxyy);
  y[second + 1u] = Stored(v.zzww);
}
