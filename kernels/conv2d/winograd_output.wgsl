// Equation: y[n,co] = (A^T M A)[tile] + bias[co] + channel[n,co] + extra[n,co], a tile of 4×4
//   pixels from the 36 positions of M
// Source: Winograd F(4×4, 3×3), see kernels/lib/winograd.wgsl.
// Joins: kernels/lib/products_stored.wgsl
// Joins: kernels/lib/winograd.wgsl
// Joins: kernels/lib/stores.wgsl
// Bindings:
//   m: f32 [36, plane] as vec4, a plane being [groups, channels, 16] and padding, a group
//     being 4 quads of 4 tiles in a row
//   extra: [N,channels,H,W] as y; any if unused
//   bias: f32 [channels]; channel: f32 [N,channels]; any if unused
//   y: [N,channels,H,W], f32 or f16, as vec4
// Grid: x: one invocation per quad of the images from first_image on; y: channels.
// Numerics: f32.
// Shapes: W a multiple of 4.
// Writes: every output element of its images.

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
  has_bias: u32,
  has_channel: u32,
  has_extra: u32,
}

override WORKGROUP: u32 = 32;
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> channel: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<Stored>;

fn load_column(column: u32, at: u32) -> Four {
  let size = params.plane;
  let first = at + column * size;
  return transform_output(
    Six(
      product_at(first),
      product_at(first + 6 * size),
      product_at(first + 12 * size),
      product_at(first + 18 * size),
      product_at(first + 24 * size),
      product_at(first + 30 * size),
    ),
  );
}

fn put(at: u32, value: Stored) {
  y[at] = value;
}

fn store_pixels(lane: u32, inside: bool, sum: vec4<f32>, at: u32) {
  var v = sum;
  if (params.has_extra != 0) {
    v += extra_at(at);
  }
  put_all(lane, inside, at, Stored(v));
}

fn store_row(lane: u32, inside: bool, m: Six, plane: u32, oy: u32, column: u32, add: f32) {
  let o = transform_output(m);
  let at = plane + oy * params.w4 + column;
  let row = inside && oy < params.h;
  let left = params.w4 - column;
  store_pixels(lane, row, vec4(o.v0.x, o.v1.x, o.v2.x, o.v3.x) + add, at);
  store_pixels(lane, row && left > 1, vec4(o.v0.y, o.v1.y, o.v2.y, o.v3.y) + add, at + 1);
  store_pixels(lane, row && left > 2, vec4(o.v0.z, o.v1.z, o.v2.z, o.v3.z) + add, at + 2);
  store_pixels(lane, row && left > 3, vec4(o.v0.w, o.v1.w, o.v2.w, o.v3.w) + add, at + 3);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let own = wid.x * WORKGROUP + lane;
  let inside = own < params.quads;
  let quad = min(own, params.quads - 1);
  let column = quad % params.quads_x * 4;
  let oy = quad / params.quads_x % params.quads_y * 4;
  let n = quad / (params.quads_x * params.quads_y) + params.first_image;
  let at = (quad / 4 * params.channels + wid.y) * 4 + quad % 4;
  let h0 = load_column(0, at);
  let h1 = load_column(1, at);
  let h2 = load_column(2, at);
  let h3 = load_column(3, at);
  let h4 = load_column(4, at);
  let h5 = load_column(5, at);
  var add = 0.0;
  if (params.has_bias != 0) {
    add += bias[wid.y];
  }
  if (params.has_channel != 0) {
    add += channel[n * params.channels + wid.y];
  }
  let plane = (n * params.channels + wid.y) * params.h * params.w4;
  let m0 = Six(h0.v0, h1.v0, h2.v0, h3.v0, h4.v0, h5.v0);
  store_row(lane, inside, m0, plane, oy, column, add);
  let m1 = Six(h0.v1, h1.v1, h2.v1, h3.v1, h4.v1, h5.v1);
  store_row(lane, inside, m1, plane, oy + 1, column, add);
  let m2 = Six(h0.v2, h1.v2, h2.v2, h3.v2, h4.v2, h5.v2);
  store_row(lane, inside, m2, plane, oy + 2, column, add);
  let m3 = Six(h0.v3, h1.v3, h2.v3, h3.v3, h4.v3, h5.v3);
  store_row(lane, inside, m3, plane, oy + 3, column, add);
}
