// Equation: M[xi,t,co] = sum over ci of U[xi,co,ci] * V[xi,t,ci] for each position xi and tile t
// Source: Winograd F(4×4, 3×3), see kernels/lib/winograd.wgsl.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/eight_lanes.wgsl
// Joins: kernels/lib/stores.wgsl
// Bindings:
//   u: f32 [36, co_panels, ci8, 16] staged; position xi of block p is unit xi*co_panels + p
//   v: f32 [36, v_plane] staged, a plane being [groups, ci, 16] and padding
//   m: f32 [36, m_plane] as vec4, a plane being [groups, co, 16] and padding
// Grid: x: pairs of panels; y: pairs of groups of 16 tiles, with subgroups of 16 two at a time; z:
//   positions. A workgroup is a subgroup. Eight invocations have a pair of groups, of which each
//   reads 4 of the 32 tiles for all, and takes 4 of the 32 output channels.
// Numerics: f32; eight products are summed before they join the running sum.
// Shapes: any.
// Writes: every output element.

struct Params {
  groups: u32,
  v_plane: u32,
  m_plane: u32,
  ci: u32,
  ci8: u32,
  co: u32,
  co_panels: u32,
}

/// Of 8 input channels, 4 tiles or the weights of 4 output channels.
struct Channels {
  v0: vec4<f32>,
  v1: vec4<f32>,
  v2: vec4<f32>,
  v3: vec4<f32>,
  v4: vec4<f32>,
  v5: vec4<f32>,
  v6: vec4<f32>,
  v7: vec4<f32>,
}

/// Of 4 output channels, the sums of 4 tiles.
struct Sums {
  s0: vec4<f32>,
  s1: vec4<f32>,
  s2: vec4<f32>,
  s3: vec4<f32>,
}

override WORKGROUP: u32 = 8;
alias Stored = vec4<f32>;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var u: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var v: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> m: array<vec4<f32>>;

fn load_tiles(at: u32, last: u32) -> Channels {
  return Channels(
    staged(v, at),
    staged(v, at + min(1, last) * 4),
    staged(v, at + min(2, last) * 4),
    staged(v, at + min(3, last) * 4),
    staged(v, at + min(4, last) * 4),
    staged(v, at + min(5, last) * 4),
    staged(v, at + min(6, last) * 4),
    staged(v, at + min(7, last) * 4),
  );
}

fn load_weights(at: u32) -> Channels {
  return Channels(
    staged(u, at),
    staged(u, at + 4),
    staged(u, at + 8),
    staged(u, at + 12),
    staged(u, at + 16),
    staged(u, at + 20),
    staged(u, at + 24),
    staged(u, at + 28),
  );
}

/// The tiles of one lane, for all.
fn tiles_0(c: Channels) -> Channels {
  return Channels(
    of_lane_0(c.v0),
    of_lane_0(c.v1),
    of_lane_0(c.v2),
    of_lane_0(c.v3),
    of_lane_0(c.v4),
    of_lane_0(c.v5),
    of_lane_0(c.v6),
    of_lane_0(c.v7),
  );
}

fn tiles_1(c: Channels) -> Channels {
  return Channels(
    of_lane_1(c.v0),
    of_lane_1(c.v1),
    of_lane_1(c.v2),
    of_lane_1(c.v3),
    of_lane_1(c.v4),
    of_lane_1(c.v5),
    of_lane_1(c.v6),
    of_lane_1(c.v7),
  );
}

fn tiles_2(c: Channels) -> Channels {
  return Channels(
    of_lane_2(c.v0),
    of_lane_2(c.v1),
    of_lane_2(c.v2),
    of_lane_2(c.v3),
    of_lane_2(c.v4),
    of_lane_2(c.v5),
    of_lane_2(c.v6),
    of_lane_2(c.v7),
  );
}

fn tiles_3(c: Channels) -> Channels {
  return Channels(
    of_lane_3(c.v0),
    of_lane_3(c.v1),
    of_lane_3(c.v2),
    of_lane_3(c.v3),
    of_lane_3(c.v4),
    of_lane_3(c.v5),
    of_lane_3(c.v6),
    of_lane_3(c.v7),
  );
}

fn tiles_4(c: Channels) -> Channels {
  return Channels(
    of_lane_4(c.v0),
    of_lane_4(c.v1),
    of_lane_4(c.v2),
    of_lane_4(c.v3),
    of_lane_4(c.v4),
    of_lane_4(c.v5),
    of_lane_4(c.v6),
    of_lane_4(c.v7),
  );
}

fn tiles_5(c: Channels) -> Channels {
  return Channels(
    of_lane_5(c.v0),
    of_lane_5(c.v1),
    of_lane_5(c.v2),
    of_lane_5(c.v3),
    of_lane_5(c.v4),
    of_lane_5(c.v5),
    of_lane_5(c.v6),
    of_lane_5(c.v7),
  );
}

fn tiles_6(c: Channels) -> Channels {
  return Channels(
    of_lane_6(c.v0),
    of_lane_6(c.v1),
    of_lane_6(c.v2),
    of_lane_6(c.v3),
    of_lane_6(c.v4),
    of_lane_6(c.v5),
    of_lane_6(c.v6),
    of_lane_6(c.v7),
  );
}

fn tiles_7(c: Channels) -> Channels {
  return Channels(
    of_lane_7(c.v0),
    of_lane_7(c.v1),
    of_lane_7(c.v2),
    of_lane_7(c.v3),
    of_lane_7(c.v4),
    of_lane_7(c.v5),
    of_lane_7(c.v6),
    of_lane_7(c.v7),
  );
}

fn add_products(s: ptr<function, Sums>, w: Channels, t: Channels) {
  (*s).s0 += ((w.v0.x * t.v0 + w.v1.x * t.v1) + (w.v2.x * t.v2 + w.v3.x * t.v3)) +
    ((w.v4.x * t.v4 + w.v5.x * t.v5) + (w.v6.x * t.v6 + w.v7.x * t.v7));
  (*s).s1 += ((w.v0.y * t.v0 + w.v1.y * t.v1) + (w.v2.y * t.v2 + w.v3.y * t.v3)) +
    ((w.v4.y * t.v4 + w.v5.y * t.v5) + (w.v6.y * t.v6 + w.v7.y * t.v7));
  (*s).s2 += ((w.v0.z * t.v0 + w.v1.z * t.v1) + (w.v2.z * t.v2 + w.v3.z * t.v3)) +
    ((w.v4.z * t.v4 + w.v5.z * t.v5) + (w.v6.z * t.v6 + w.v7.z * t.v7));
  (*s).s3 += ((w.v0.w * t.v0 + w.v1.w * t.v1) + (w.v2.w * t.v2 + w.v3.w * t.v3)) +
    ((w.v4.w * t.v4 + w.v5.w * t.v5) + (w.v6.w * t.v6 + w.v7.w * t.v7));
}

fn put(at: u32, value: Stored) {
  m[at] = value;
}

fn store(lane: u32, inside: bool, s: Sums, at: u32, co: u32) {
  put_all(lane, inside && co < params.co, at, s.s0);
  put_all(lane, inside && co + 1 < params.co, at + 4, s.s1);
  put_all(lane, inside && co + 2 < params.co, at + 8, s.s2);
  put_all(lane, inside && co + 3 < params.co, at + 12, s.s3);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_invocation_id) place: u32,
) {
  enter(place);
  let xi = wid.z;
  let slot = lane % 8;
  let pair = wid.y * EIGHTS + lane / 8;
  // What comes of reading past the last panel and the last group is not stored.
  let panel = wid.x * 2 + slot / 4;
  let group = pair * 2 + slot / 4;
  var at = (xi * params.co_panels + panel) * params.ci8 * 4 + lane % 4;
  var source = xi * params.v_plane + group * params.ci * 4 + lane % 4;
  var s0 = Sums();
  var s1 = Sums();
  var s2 = Sums();
  var s3 = Sums();
  var s4 = Sums();
  var s5 = Sums();
  var s6 = Sums();
  var s7 = Sums();
  for (var ci = 0u; ci < params.ci; ci += 8) {
    // Channels past the last have weights of zero.
    let t = load_tiles(source, params.ci - 1 - ci);
    let w = load_weights(at);
    add_products(&s0, w, tiles_0(t));
    add_products(&s1, w, tiles_1(t));
    add_products(&s2, w, tiles_2(t));
    add_products(&s3, w, tiles_3(t));
    add_products(&s4, w, tiles_4(t));
    add_products(&s5, w, tiles_5(t));
    add_products(&s6, w, tiles_6(t));
    add_products(&s7, w, tiles_7(t));
    source += 32;
    at += 32;
  }
  let co = wid.x * 32 + slot * 4;
  let first = xi * params.m_plane + (pair * 2 * params.co + co) * 4;
  let has_first = pair * 2 < params.groups;
  store(lane, has_first, s0, first, co);
  store(lane, has_first, s1, first + 1, co);
  store(lane, has_first, s2, first + 2, co);
  store(lane, has_first, s3, first + 3, co);
  let has_second = pair * 2 + 1 < params.groups;
  let second = first + params.co * 4;
  store(lane, has_second, s4, second, co);
  store(lane, has_second, s5, second + 1, co);
  store(lane, has_second, s6, second + 2, co);
  store(lane, has_second, s7, second + 3, co);
}
