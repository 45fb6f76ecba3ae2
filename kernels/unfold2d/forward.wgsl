// Equation: y[n, (c, a, b), i out_pitch + j] = x[n, c, i S + a - top, j S + b - left], 0 outside x;
//   0 for elements past out_pixels
// Source: torch.nn.functional.unfold (im2col).
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   x: f32 [N, C, plane] staged, pixel (r, c) of a plane at r * pitch + c
//   y: f32 [N, C Kh Kw, out_plane] as vec4
// Grid: one invocation per 4 pixels of a row of y, folded over x and y.
// Numerics: copies.
// Shapes: out_plane a multiple of 4, at least out_pixels.
// Writes: every output element.

struct Params {
  count4: u32,
  height: u32,
  width: u32,
  pitch: u32,
  plane: u32,
  out_pixels: u32,
  out_pitch: u32,
  out_plane4: u32,
  window_height: u32,
  window_width: u32,
  stride: u32,
  top: u32,
  left: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let at = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  if (at >= params.count4) {
    return;
  }
  let row = at / params.out_plane4;
  let pixel = at % params.out_plane4 * 4 + vec4(0u, 1u, 2u, 3u);
  let taps = params.window_height * params.window_width;
  let source = row / taps * params.plane;
  let tap = row % taps;
  // Below 0 wraps to what is larger than any side.
  let r = pixel / params.out_pitch * params.stride + tap / params.window_width - params.top;
  let c = pixel % params.out_pitch * params.stride + tap % params.window_width - params.left;
  let inside = (pixel < vec4(params.out_pixels)) & (r < vec4(params.height)) &
    (c < vec4(params.width));
  let at_x = source + select(vec4(0u), r * params.pitch + c, inside);
  let v = vec4(
    staged_float(x, at_x.x),
    staged_float(x, at_x.y),
    staged_float(x, at_x.z),
    staged_float(x, at_x.w),
  );
  y[at] = select(vec4(0.0), v, inside);
}
