// Equation: dw[co,ci] = G^T x[:,co,ci] G
// Source: weight gradient of Winograd F(4×4, 3×3), see kernels/lib/winograd.wgsl.
// Joins: kernels/lib/read_x_vec4.wgsl
// Joins: kernels/lib/winograd.wgsl
// Bindings:
//   x: f32 [36, co16, ci16] as vec4, the sums over all slices of what the products make
//   dw: f32 [Co,Ci,3,3]
// Grid: one invocation per output channel and 4 input channels.
// Numerics: f32.
// Shapes: any.
// Writes: every output element.

struct Params {
  ci: u32,
  co: u32,
  ci_blocks: u32,
  co_blocks: u32,
}

override WORKGROUP: u32 = 32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

/// Position xi of 4 input channels.
fn position(xi: u32, at: u32) -> vec4<f32> {
  return x_at(xi * params.co_blocks * 16 * params.ci_blocks * 4 + at);
}

fn column(c: u32, at: u32) -> Three {
  return transform_weight_gradient(
    Six(
      position(c, at),
      position(c + 6, at),
      position(c + 12, at),
      position(c + 18, at),
      position(c + 24, at),
      position(c + 30, at),
    ),
  );
}

fn store_weight(v: vec4<f32>, co: u32, ci: u32, t: u32) {
  let at = (co * params.ci + ci) * 9 + t;
  dw[at] = v.x;
  if (ci + 1 < params.ci) {
    dw[at + 9] = v.y;
  }
  if (ci + 2 < params.ci) {
    dw[at + 18] = v.z;
  }
  if (ci + 3 < params.ci) {
    dw[at + 27] = v.w;
  }
}

fn store_row(row: Six, co: u32, ci: u32, kh: u32) {
  let w = transform_weight_gradient(row);
  store_weight(w.v0, co, ci, kh * 3);
  store_weight(w.v1, co, ci, kh * 3 + 1);
  store_weight(w.v2, co, ci, kh * 3 + 2);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = wid.x * WORKGROUP + lane;
  let row4 = (params.ci + 3) / 4;
  let ci = index % row4 * 4;
  let co = index / row4;
  if (co >= params.co) {
    return;
  }
  let at = co * params.ci_blocks * 4 + ci / 4;
  let h0 = column(0, at);
  let h1 = column(1, at);
  let h2 = column(2, at);
  let h3 = column(3, at);
  let h4 = column(4, at);
  let h5 = column(5, at);
  store_row(Six(h0.v0, h1.v0, h2.v0, h3.v0, h4.v0, h5.v0), co, ci, 0);
  store_row(Six(h0.v1, h1.v1, h2.v1, h3.v1, h4.v1, h5.v1), co, ci, 1);
  store_row(Six(h0.v2, h1.v2, h2.v2, h3.v2, h4.v2, h5.v2), co, ci, 2);
}
