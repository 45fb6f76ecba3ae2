// Equation: M[xi,t,co] = sum over ci of U[xi,co,ci] * V[xi,t,ci] for each position xi and tile t
// Source: Winograd F(4×4, 3×3), see kernels/lib/winograd.wgsl.
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   u: f32 [36, co_panels, ci4, 16] staged; position xi of block p is unit xi*co_panels + p
//   v: f32 [36, v_plane] staged, a plane being [groups, ci, 16] and padding
//   m: f32 [36, m_plane] as vec4, a plane being [groups, co, 16] and padding
// Grid: x: one invocation per group of 16 tiles; y: units.
// Numerics: f32; one running sum over ci.
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

/// Sums of 16 tiles of 4 output channels, a letter for each 4 tiles.
struct Tile {
  a0: vec4<f32>,
  b0: vec4<f32>,
  c0: vec4<f32>,
  d0: vec4<f32>,
  a1: vec4<f32>,
  b1: vec4<f32>,
  c1: vec4<f32>,
  d1: vec4<f32>,
  a2: vec4<f32>,
  b2: vec4<f32>,
  c2: vec4<f32>,
  d2: vec4<f32>,
  a3: vec4<f32>,
  b3: vec4<f32>,
  c3: vec4<f32>,
  d3: vec4<f32>,
}

override WORKGROUP: u32 = 32;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var u: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var v: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> m: array<vec4<f32>>;

fn add_products(
  tile: ptr<function, Tile>,
  w: vec4<f32>,
  a: vec4<f32>,
  b: vec4<f32>,
  c: vec4<f32>,
  d: vec4<f32>,
) {
  (*tile).a0 += w.x * a;
  (*tile).b0 += w.x * b;
  (*tile).c0 += w.x * c;
  (*tile).d0 += w.x * d;
  (*tile).a1 += w.y * a;
  (*tile).b1 += w.y * b;
  (*tile).c1 += w.y * c;
  (*tile).d1 += w.y * d;
  (*tile).a2 += w.z * a;
  (*tile).b2 += w.z * b;
  (*tile).c2 += w.z * c;
  (*tile).d2 += w.z * d;
  (*tile).a3 += w.w * a;
  (*tile).b3 += w.w * b;
  (*tile).c3 += w.w * c;
  (*tile).d3 += w.w * d;
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
  for (var ci = 0u; ci < params.ci; ci++) {
    let a = staged(v, source);
    let b = staged(v, source + 1);
    let c = staged(v, source + 2);
    let d = staged(v, source + 3);
    add_products(&t0, staged(u, at), a, b, c, d);
    add_products(&t1, staged(u, at + 1), a, b, c, d);
    add_products(&t2, staged(u, at + 2), a, b, c, d);
    add_products(&t3, staged(u, at + 3), a, b, c, d);
    source += 4;
    at += 4;
  }
  let target_group = xi * params.m_plane + group * params.co * 4;
  store(t0, target_group, co);
  store(t1, target_group, co + 4);
  store(t2, target_group, co + 8);
  store(t3, target_group, co + 12);
}
