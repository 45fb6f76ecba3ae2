// Equation: U[xi] = (G w G^T)[xi] for each of the 36 positions xi, w = x[co,ci], or transposed
//   x[ci,co] with the kernel flipped
// Source: Winograd F(4×4, 3×3), see kernels/lib/winograd.wgsl.
// Joins: kernels/lib/read_x_scalar.wgsl
// Joins: kernels/lib/winograd.wgsl
// Bindings:
//   x: f32 [weight_co,weight_ci,3,3], the weight
//   u: f32 [36, co_panels, ci4, 16] as vec4, ci4 being ci rounded up to what products take together
// Grid: one invocation per 4 output channels and input channel.
// Numerics: f32.
// Shapes: any; channels past the last are zeros.
// Writes: every output element.

struct Params {
  weight_ci: u32,
  weight_co: u32,
  ci4: u32,
  co_panels: u32,
  transposed: u32,
}

override WORKGROUP: u32 = 32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> u: array<vec4<f32>>;

// Selections, not a branch: Mesa would compile a branch on a parameter anew at every dispatch.
fn weight_at(co: u32, ci: u32, t: u32) -> f32 {
  let flipped = params.transposed != 0;
  let row = select(co, ci, flipped);
  let column = select(ci, co, flipped);
  let at = (row * params.weight_ci + column) * 9 + select(t, 8 - t, flipped);
  let inside = row < params.weight_co && column < params.weight_ci;
  return select(0.0, x_at(at), inside);
}

/// One kernel position of 4 output channels.
fn weights(co: u32, ci: u32, t: u32) -> vec4<f32> {
  return vec4(
    weight_at(co, ci, t),
    weight_at(co + 1, ci, t),
    weight_at(co + 2, ci, t),
    weight_at(co + 3, ci, t),
  );
}

fn column(co: u32, ci: u32, kw: u32) -> Six {
  return transform_weight(
    Three(weights(co, ci, kw), weights(co, ci, kw + 3), weights(co, ci, kw + 6)),
  );
}

fn store_row(at: u32, row: u32, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>) {
  let size = params.co_panels * params.ci4 * 4;
  let z = transform_weight(Three(a, b, c));
  let first = at + row * 6 * size;
  u[first] = z.v0;
  u[first + size] = z.v1;
  u[first + 2 * size] = z.v2;
  u[first + 3 * size] = z.v3;
  u[first + 4 * size] = z.v4;
  u[first + 5 * size] = z.v5;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = wid.x * WORKGROUP + lane;
  let co = index % (params.co_panels * 4) * 4;
  let ci = index / (params.co_panels * 4);
  if (ci >= params.ci4) {
    return;
  }
  let a = column(co, ci, 0);
  let b = column(co, ci, 1);
  let c = column(co, ci, 2);
  let at = (co / 16 * params.ci4 + ci) * 4 + co / 4 % 4;
  store_row(at, 0, a.v0, b.v0, c.v0);
  store_row(at, 1, a.v1, b.v1, c.v1);
  store_row(at, 2, a.v2, b.v2, c.v2);
  store_row(at, 3, a.v3, b.v3, c.v3);
  store_row(at, 4, a.v4, b.v4, c.v4);
  store_row(at, 5, a.v5, b.v5, c.v5);
}
