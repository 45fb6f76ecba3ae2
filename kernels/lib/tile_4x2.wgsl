// Library: sums of a segment of 4×2 pixels and four output channels of a 3×3 convolution, in front
// of tiled_3x3.wgsl.

const ROWS: u32 = 2;

/// Of output channels 0 to 3, in the upper and in the lower row.
struct Sums {
  u0: vec4<f32>,
  u1: vec4<f32>,
  u2: vec4<f32>,
  u3: vec4<f32>,
  l0: vec4<f32>,
  l1: vec4<f32>,
  l2: vec4<f32>,
  l3: vec4<f32>,
}

fn no_sums() -> Sums {
  let z = vec4(0.0);
  return Sums(z, z, z, z, z, z, z, z);
}

fn add_sums(to: ptr<function, Sums>, more: Sums) {
  (*to).u0 += more.u0;
  (*to).u1 += more.u1;
  (*to).u2 += more.u2;
  (*to).u3 += more.u3;
  (*to).l0 += more.l0;
  (*to).l1 += more.l1;
  (*to).l2 += more.l2;
  (*to).l3 += more.l3;
}

fn add_upper(to: ptr<function, Sums>, k: vec4<f32>, v: vec4<f32>) {
  (*to).u0 += k.x * v;
  (*to).u1 += k.y * v;
  (*to).u2 += k.z * v;
  (*to).u3 += k.w * v;
}

fn add_lower(to: ptr<function, Sums>, k: vec4<f32>, v: vec4<f32>) {
  (*to).l0 += k.x * v;
  (*to).l1 += k.y * v;
  (*to).l2 += k.z * v;
  (*to).l3 += k.w * v;
}

/// One row of the kernels, on the rows of pixels that the two rows of sums meet with it.
fn add_row(
  to: ptr<function, Sums>,
  left: vec4<f32>,
  middle: vec4<f32>,
  right: vec4<f32>,
  upper: Taps,
  lower: Taps,
) {
  add_upper(to, left, upper.left);
  add_lower(to, left, lower.left);
  add_upper(to, middle, upper.middle);
  add_lower(to, middle, lower.middle);
  add_upper(to, right, upper.right);
  add_lower(to, right, lower.right);
}

/// Those of one input channel: pixels from the row above the segment on, kernels of a group.
fn add_products(to: ptr<function, Sums>, at: u32, group: u32) {
  let r0 = taps_at(at);
  let r1 = taps_at(at + PITCH);
  let r2 = taps_at(at + 2 * PITCH);
  let r3 = taps_at(at + 3 * PITCH);
  add_row(to, kernels[group][0], kernels[group][1], kernels[group][2], r0, r1);
  add_row(to, kernels[group][3], kernels[group][4], kernels[group][5], r1, r2);
  add_row(to, kernels[group][6], kernels[group][7], kernels[group][8], r2, r3);
}

fn store_sums(s: Sums, n: u32, co: u32, oy: u32, column: u32) {
  store(s.u0, n, co, oy, column);
  store(s.u1, n, co + 1, oy, column);
  store(s.u2, n, co + 2, oy, column);
  store(s.u3, n, co + 3, oy, column);
  store(s.l0, n, co, oy + 1, column);
  store(s.l1, n, co + 1, oy + 1, column);
  store(s.l2, n, co + 2, oy + 1, column);
  store(s.l3, n, co + 3, oy + 1, column);
}
