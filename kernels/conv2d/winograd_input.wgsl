// Equation: V[xi] = (B^T d B)[xi] for each of the 36 positions xi, d being the 6×6 pixels of x that
//   a tile of 4×4 output pixels meets
// Source: Winograd F(4×4, 3×3), see kernels/lib/winograd.wgsl.
// Joins: kernels/lib/read_x_vec4.wgsl
// Joins: kernels/lib/winograd.wgsl
// Joins: kernels/lib/stores.wgsl
// Bindings:
//   x: [N,channels,H,W], f32 or f16, read as vec4
//   v: f32 [36, plane] as vec4, a plane being [groups, channels, 16] and padding, a group
//     being 4 quads of 4 tiles in a row
// Grid: x: one invocation per quad of the images from first_image on; y: channels.
// Numerics: f32.
// Shapes: W a multiple of 4; padding 1; pixels outside are zeros.
// Writes: every output element of whole groups.

struct Params {
  h: u32,
  w4: u32,
  quads_x: u32,
  quads_y: u32,
  quads: u32,
  groups: u32,
  channels: u32,
  plane: u32,
  first_image: u32,
}

override WORKGROUP: u32 = 32;
alias Stored = vec4<f32>;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> v: array<vec4<f32>>;

/// B^T along a row of the four tiles' pixels.
fn load_row(plane: u32, iy: i32, column: u32, used: bool) -> Six {
  let inside = used && iy >= 0 && iy < i32(params.h);
  let at = plane + u32(clamp(iy, 0, i32(params.h) - 1)) * params.w4 + column;
  let left = select(0.0, x_at(max(at, 1) - 1).w, inside && column > 0);
  let a = select(vec4(0.0), x_at(at), inside);
  let b = select(vec4(0.0), x_at(at + 1), inside && column + 1 < params.w4);
  let c = select(vec4(0.0), x_at(at + 2), inside && column + 2 < params.w4);
  let d = select(vec4(0.0), x_at(at + 3), inside && column + 3 < params.w4);
  let right = select(0.0, x_at(at + 4).x, inside && column + 4 < params.w4);
  return transform_input(
    Six(
      vec4(left, a.w, b.w, c.w),
      vec4(a.x, b.x, c.x, d.x),
      vec4(a.y, b.y, c.y, d.y),
      vec4(a.z, b.z, c.z, d.z),
      vec4(a.w, b.w, c.w, d.w),
      vec4(b.x, c.x, d.x, right),
    ),
  );
}

fn put(at: u32, value: Stored) {
  v[at] = value;
}

fn store_column(lane: u32, inside: bool, column: u32, at: u32, d: Six) {
  let size = params.plane;
  let z = transform_input(d);
  let first = at + column * size;
  put_all(lane, inside, first, z.v0);
  put_all(lane, inside, first + 6 * size, z.v1);
  put_all(lane, inside, first + 12 * size, z.v2);
  put_all(lane, inside, first + 18 * size, z.v3);
  put_all(lane, inside, first + 24 * size, z.v4);
  put_all(lane, inside, first + 30 * size, z.v5);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let quad = wid.x * WORKGROUP + lane;
  let inside = quad < params.groups * 4;
  // Quads past the last fill up the last group with zeros.
  let used = quad < params.quads;
  let column = quad % params.quads_x * 4;
  let top = i32(quad / params.quads_x % params.quads_y * 4) - 1;
  let n = min(quad, params.quads - 1) / (params.quads_x * params.quads_y) + params.first_image;
  let plane = (n * params.channels + wid.y) * params.h * params.w4;
  let h0 = load_row(plane, top, column, used);
  let h1 = load_row(plane, top + 1, column, used);
  let h2 = load_row(plane, top + 2, column, used);
  let h3 = load_row(plane, top + 3, column, used);
  let h4 = load_row(plane, top + 4, column, used);
  let h5 = load_row(plane, top + 5, column, used);
  let at = (quad / 4 * params.channels + wid.y) * 4 + quad % 4;
  store_column(lane, inside, 0, at, Six(h0.v0, h1.v0, h2.v0, h3.v0, h4.v0, h5.v0));
  store_column(lane, inside, 1, at, Six(h0.v1, h1.v1, h2.v1, h3.v1, h4.v1, h5.v1));
  store_column(lane, inside, 2, at, Six(h0.v2, h1.v2, h2.v2, h3.v2, h4.v2, h5.v2));
  store_column(lane, inside, 3, at, Six(h0.v3, h1.v3, h2.v3, h3.v3, h4.v3, h5.v3));
  store_column(lane, inside, 4, at, Six(h0.v4, h1.v4, h2.v4, h3.v4, h4.v4, h5.v4));
  store_column(lane, inside, 5, at, Six(h0.v5, h1.v5, h2.v5, h3.v5, h4.v5, h5.v5));
}
