// Equation: M[xi,t,co] = sum over ci of U[xi,co,ci] * V[xi,t,ci] for each position xi and tile t
// Source: Winograd F(4×4, 3×3), see kernels/lib/winograd.wgsl.
// Bindings:
//   u: f32 [36, co_panels, ci16, 16] as vec4, ci16 being ci rounded up to 16
//   v: f32 [36, v_plane] as vec4, a plane being [groups, ci, 16] and padding
//   m: f32 [36, m_plane] as vec4, a plane being [groups, co, 16] and padding
// Grid: x: blocks of 64 tiles; y: blocks of 32 output channels; z: positions. A workgroup of 8×8,
//   8 tiles by 4 channels an invocation.
// Numerics: f32; sums of 16 products join the running sum.
// Shapes: any; co_panels even.
// Writes: every output element but the padding.

struct Params {
  groups: u32,
  v_plane: u32,
  m_plane: u32,
  ci: u32,
  ci16: u32,
  co: u32,
  co_panels: u32,
}

const DEPTH: u32 = 16;
const WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> u: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> m: array<vec4<f32>>;

// By input channel: 16 vec4s of 4 tiles, 8 of 4 output channels.
var<workgroup> tiles: array<vec4<f32>, 256>;
var<workgroup> weights: array<vec4<f32>, 128>;

fn load_tiles(lane: u32, plane: u32, first_group: u32, first_ci: u32) {
  for (var i = lane; i < 4 * 4 * DEPTH; i += WORKGROUP) {
    let group = first_group + i / (4 * DEPTH);
    let c = i / 4 % DEPTH;
    var value = vec4(0.0);
    if (group < params.groups && first_ci + c < params.ci) {
      value = v[plane + (group * params.ci + first_ci + c) * 4 + i % 4];
    }
    tiles[c * 16 + i / (4 * DEPTH) * 4 + i % 4] = value;
  }
}

/// Channels past the last are zeros in u, too.
fn load_weights(lane: u32, first_panel: u32, first_ci: u32) {
  for (var i = lane; i < 2 * 4 * DEPTH; i += WORKGROUP) {
    let panel = i / (4 * DEPTH);
    let c = i / 4 % DEPTH;
    let at = ((first_panel + panel) * params.ci16 + first_ci + c) * 4 + i % 4;
    weights[c * 8 + panel * 4 + i % 4] = u[at];
  }
}

/// Eight tiles of a channel, as two vec4s eight apart.
fn store(a: vec4<f32>, b: vec4<f32>, plane: u32, group: u32, co: u32, quad: u32) {
  if (co >= params.co) {
    return;
  }
  if (group < params.groups) {
    m[plane + (group * params.co + co) * 4 + quad] = a;
  }
  if (group + 2 < params.groups) {
    m[plane + ((group + 2) * params.co + co) * 4 + quad] = b;
  }
}

@compute @workgroup_size(8, 8)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let first_group = wid.x * 4;
  let first_panel = wid.z * params.co_panels + wid.y * 2;
  var a0 = vec4(0.0);
  var a1 = vec4(0.0);
  var a2 = vec4(0.0);
  var a3 = vec4(0.0);
  var b0 = vec4(0.0);
  var b1 = vec4(0.0);
  var b2 = vec4(0.0);
  var b3 = vec4(0.0);
  for (var first = 0u; first < params.ci; first += DEPTH) {
    load_tiles(lane, wid.z * params.v_plane, first_group, first);
    load_weights(lane, first_panel, first);
    workgroupBarrier();
    var c0 = vec4(0.0);
    var c1 = vec4(0.0);
    var c2 = vec4(0.0);
    var c3 = vec4(0.0);
    var d0 = vec4(0.0);
    var d1 = vec4(0.0);
    var d2 = vec4(0.0);
    var d3 = vec4(0.0);
    for (var k = 0u; k < DEPTH; k++) {
      let w = weights[k * 8 + lid.y];
      let s = tiles[k * 16 + lid.x];
      let t = tiles[k * 16 + 8 + lid.x];
      c0 += w.x * s;
      c1 += w.y * s;
      c2 += w.z * s;
      c3 += w.w * s;
      d0 += w.x * t;
      d1 += w.y * t;
      d2 += w.z * t;
      d3 += w.w * t;
    }
    a0 += c0;
    a1 += c1;
    a2 += c2;
    a3 += c3;
    b0 += d0;
    b1 += d1;
    b2 += d2;
    b3 += d3;
    workgroupBarrier();
  }
  let plane = wid.z * params.m_plane;
  let group = first_group + lid.x / 4;
  let quad = lid.x % 4;
  let co = wid.y * 32 + lid.y * 4;
  store(a0, b0, plane, group, co, quad);
  store(a1, b1, plane, group, co + 1, quad);
  store(a2, b2, plane, group, co + 2, quad);
  store(a3, b3, plane, group, co + 3, quad);
}
