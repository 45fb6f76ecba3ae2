// Equation: dx[n, c, i, j] = sum of dy[n, c, 2 i + (0, 1), 2 j + (0, 1)]
// Source: transpose of nearest-neighbour upsampling by 2.
// Joins: kernels/lib/read_dy_scalar.wgsl
// Bindings:
//   dy: [N, C, 2 H, 2 W], f32 or f16
//   dx: [N, C, H, W], f32 or f16
// Grid: one invocation per pixel of dx, folded over x and y.
// Numerics: sums of four, by pairs.
// Shapes: any; for widths that are no multiple of 4.
// Writes: every output element.

struct Params {
  count: u32,
  width: u32,
}

override WORKGROUP: u32 = 64;
alias Stored = f32; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read_write> dx: array<Stored>;

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
  // Row r of dx starts at 4 r W in dy: two rows, each twice as long.
  let first = 2u * (i + (i / params.width) * params.width);
  let second = first + 2u * params.width;
  let a = dy_at(first) + dy_at(second);
  let b = dy_at(first + 1u) + dy_at(second + 1u);
  dx[i] = Stored(a + b);
}
