// Library: as tile_4x2.wgsl, one row of four pixels: more invocations where there is little work.

const ROWS: u32 = 1;

/// Of output channels 0 to 3.
struct Sums {
  s0: vec4<f32>,
  s1: vec4<f32>,
  s2: vec4<f32>,
  s3: vec4<f32>,
}

fn no_sums() -> Sums {
  let z = vec4(0.0);
  return Sums(z, z, z, z);
}

fn add_sums(to: ptr<function, Sums>, more: Sums) {
  (*to).s0 += more.s0;
  (*to).s1 += more.s1;
  (*to).s2 += more.s2;
  (*to).s3 += more.s3;
}

fn add_one(to: ptr<function, Sums>, k: vec4<f32>, v: vec4<f32>) {
  (*to).s0 += k.x * v;
  (*to).s1 += k.y * v;
  (*to).s2 += k.z * v;
  (*to).s3 += k.w * v;
}

/// Those of one input channel: pixels from the row above the segment on, kernels of a group.
fn add_products(to: ptr<function, Sums>, at: u32, group: u32) {
  for (var row = 0u; row < 3; row++) {
    let taps = taps_at(at + row * PITCH);
    add_one(to, kernels[group][3 * row], taps.left);
    add_one(to, kernels[group][3 * row + 1], taps.middle);
    add_one(to, kernels[group][3 * row + 2], taps.right);
  }
}

fn store_sums(s: Sums, n: u32, co: u32, oy: u32, column: u32) {
  store(s.s0, n, co, oy, column);
  store(s.s1, n, co + 1, oy, column);
  store(s.s2, n, co + 2, oy, column);
  store(s.s3, n, co + 3, oy, column);
}
