// Equation: y[n, c, i, j] = x[n, c, i / 2, j / 2]
// Source: torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest").
// Joins: kernels/lib/read_x_scalar.wgsl
// Bindings:
//   x: [N, C, H, W], f32 or f16
//   y: [N, C, 2 H, 2 W], f32 or f16
// Grid: one invocation per pixel of x, folded over x and y.
// Numerics: copies.
// Shapes: any; for widths that are no multiple of 4.
// Writes: every output element.

struct Params {
  count: u32,
  width: u32,
}

override WORKGROUP: u32 = 64;
alias Stored = f32; // @specialize

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
  let first = 2u * (i + (i / params.width) * params.width);
  let second = first + 2u * params.width;
  y[first] = Stored(v);
  y[first + 1u] = Stored(v);
  y[second] = Stored(v);
  y[second + 1u] = Stored(v);
}
