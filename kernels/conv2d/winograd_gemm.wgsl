// Equation: M[xi,t,co] = sum over ci of U[xi,co,ci] * V[xi,t,ci] for each position xi and tile t
// Source: Winograd F(4×4, 3×3), see kernels/lib/winograd.wgsl.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/gemm_tile.wgsl
// Bindings:
//   u: f32 [36, co_panels, ci4, 16] staged; position xi of block p is unit xi*co_panels + p
//   v: f32 [36, v_plane] staged, a plane being [groups, ci, 16] and padding
//   m: f32 [36, m_plane] as vec4, a plane being [groups, co, 16] and padding
// Grid: x: one invocation per group of 16 tiles; y: units.
// Numerics: f32; four products are summed before they join the running sum.
// Shapes: any.
// Writes: every output element.

struct Params {
  groups: u32,
  v_plane: u32,
  m_plane: u32,
  ci: u32,
  ci4: u32,
  co: u32,
  co_panels: u32,
}

override WORKGROUP: u32 = 32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var u: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var v: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> m: array<vec4<f32>>;

/// 4 tiles of 4 channels.
fn column(at: u32, step1: u32, step2: u32, step3: u32) -> Four {
  return Four(
    staged(v, at),
    staged(v, at + step1),
    staged(v, at + step2),
    staged(v, at + step3),
  );
}

/// Of 4 output channels by 4 input channels.
fn weights(at: u32) -> Four {
  return Four(staged(u, at), staged(u, at + 4), staged(u, at + 8), staged(u, at + 12));
}

fn store_channel(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, at: u32, co: u32) {
  if (co >= params.co) {
    return;
  }
  let first = at + co * 4;
  m[first] = a;
  m[first + 1] = b;
  m[first + 2] = c;
  m[first + 3] = d;
}

fn store(t: Tile, at: u32, co: u32) {
  store_channel(t.a0, t.b0, t.c0, t.d0, at, co);
  store_channel(t.a1, t.b1, t.c1, t.d1, at, co + 1);
  store_channel(t.a2, t.b2, t.c2, t.d2, at, co + 2);
  store_channel(t.a3, t.b3, t.c3, t.d3, at, co + 3);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let group = wid.x * WORKGROUP + lane;
  if (group >= params.groups) {
    return;
  }
  let unit = wid.y;
  let xi = unit / params.co_panels;
  let co = unit % params.co_panels * 16;
  var t0 = Tile();
  var t1 = Tile();
  var t2 = Tile();
  var t3 = Tile();
  var at = wid.y * params.ci4 * 4;
  var source = xi * params.v_plane + group * params.ci * 4;
  for (var ci = 0u; ci < params.ci; ci += 4) {
    // Channels past the last have weights of zero.
    let last = params.ci - 1 - ci;
    let step1 = min(1, last) * 4;
    let step2 = min(2, last) * 4;
    let step3 = min(3, last) * 4;
    let a = column(source, step1, step2, step3);
    let b = column(source + 1, step1, step2, step3);
    let c = column(source + 2, step1, step2, step3);
    let d = column(source + 3, step1, step2, step3);
    add_products(&t0, weights(at), a, b, c, d);
    add_products(&t1, weights(at + 1), a, b, c, d);
    add_products(&t2, weights(at + 2), a, b, c, d);
    add_products(&t3, weights(at + 3), a, b, c, d);
    source += 16;
    at += 16;
  }
  let target_group = xi * params.m_plane + group * params.co * 4;
  store(t0, target_group, co);
  store(t1, target_group, co + 4);
  store(t2, target_group, co + 8);
  store(t3, target_group, co + 12);
}
