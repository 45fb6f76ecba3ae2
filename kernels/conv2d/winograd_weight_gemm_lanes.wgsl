// Equation: P[slice,xi,co,ci] = sum over the tiles t of the slice of D[xi,t,co] * V[xi,t,ci]
// Source: weight gradient of Winograd F(4×4, 3×3), see kernels/lib/winograd.wgsl.
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/eight_lanes.wgsl
// Joins: kernels/lib/lane_texels.wgsl
// Joins: kernels/lib/lane_dots.wgsl
// Bindings:
//   v: f32 [36, v_plane] staged, a plane being [groups, ci, 16] and padding
//   d: f32 [36, d_plane] staged, a plane being [groups, co, 16] and padding
//   partial: f32 [slices, 36, co32, ci16] as vec4, co32 and ci16 being co and ci rounded up to 32
//     and 16
// Grid: x: blocks of 32 output channels times blocks of 16 input channels, with subgroups of 16 two
//   at a time; y: positions. A workgroup is a subgroup. Eight invocations have a block: each reads
//   an eighth of the input channels' tiles for all, and takes every eighth output channel.
// Numerics: f32; products of 16 tiles are summed first, then those of the chunk.
// Shapes: any; channels past the last repeat it and are ignored later.
// Writes: every output element of one slice.

struct Params {
  groups: u32,
  v_plane: u32,
  d_plane: u32,
  ci: u32,
  co: u32,
  ci_blocks: u32,
  co_blocks: u32,
  slice: u32,
}

override WORKGROUP: u32 = 8;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var v: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var d: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4<f32>>;

fn load_gradient(at: u32) -> Texels {
  return Texels(staged(d, at), staged(d, at + 1), staged(d, at + 2), staged(d, at + 3));
}

/// Of an input channel, the last one again past that.
fn load_tiles(plane: u32, at: u32) -> vec4<f32> {
  return staged(v, plane + min(at, params.ci * 4 - 1));
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_invocation_id) place: u32,
) {
  enter(place);
  let slot = lane % 8;
  let block = wid.x * EIGHTS + lane / 8;
  let co = block % params.co_blocks * 32 + slot;
  let ci = block / params.co_blocks * 16;
  let xi = wid.y;
  let last_co = params.co - 1;
  var s0 = Sums();
  var s1 = Sums();
  var s2 = Sums();
  var s3 = Sums();
  for (var group = 0u; group < params.groups; group++) {
    let from_d = xi * params.d_plane + group * params.co * 4;
    let g = Gradients(
      load_gradient(from_d + min(co, last_co) * 4),
      load_gradient(from_d + min(co + 8, last_co) * 4),
      load_gradient(from_d + min(co + 16, last_co) * 4),
      load_gradient(from_d + min(co + 24, last_co) * 4),
    );
    let from_v = xi * params.v_plane + group * params.ci * 4;
    let at = ci * 4 + slot;
    add_dots(&s0, g, load_tiles(from_v, at), load_tiles(from_v, at + 8));
    add_dots(&s1, g, load_tiles(from_v, at + 16), load_tiles(from_v, at + 24));
    add_dots(&s2, g, load_tiles(from_v, at + 32), load_tiles(from_v, at + 40));
    add_dots(&s3, g, load_tiles(from_v, at + 48), load_tiles(from_v, at + 56));
  }
  if (block < params.ci_blocks * params.co_blocks) {
    let row4 = params.ci_blocks * 4;
    let plane = params.slice * 36 + xi;
    let to = (plane * params.co_blocks * 32 + co) * row4 + ci / 4;
    store(to, row4, s0, s1, s2, s3);
  }
}
