// Equation: y[n, c, i, j] = max over a, b of x[n, c, i S - P + a, j S - P + b], inside x only
// Source: torch.nn.functional.max_pool2d.
// Joins: kernels/lib/staged.wgsl
// Bindings:
//   x: f32 [N, C, plane] staged, pixel (r, c) of a plane at r * pitch + c
//   y: f32 [N, C, out_plane], the first Ho Wo of each plane being pixels, the rest 0
// Grid: one invocation per element of y, folded over x and y.
// Numerics: exact.
// Shapes: any; padding at most half the window, so that no window is empty.
// Writes: every output element.

struct Params {
  count: u32,
  height: u32,
  width: u32,
  pitch: u32,
  plane: u32,
  out_pixels: u32,
  out_width: u32,
  out_plane: u32,
  window_height: u32,
  window_width: u32,
  stride: u32,
  padding: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let at = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  if (at >= params.count) {
    return;
  }
  let plane = at / params.out_plane * params.plane;
  let pixel = at % params.out_plane;
  if (pixel >= params.out_pixels) {
    y[at] = 0.0;
    return;
  }
  // Unsigned: the padding is added to what it is compared with instead of taken away.
  let top = pixel / params.out_width * params.stride;
  let left = pixel % params.out_width * params.stride;
  let first_row = max(top, params.padding) - params.padding;
  let first_column = max(left, params.padding) - params.padding;
  let last_row = min(top + params.window_height - params.padding, params.height);
  let last_column = min(left + params.window_width - params.padding, params.width);
  var best = staged_float(x, plane + first_row * params.pitch + first_column);
  for (var r = first_row; r < last_row; r++) {
    let start = plane + r * params.pitch;
    for (var c = first_column; c < last_column; c++) {
      best = max(best, staged_float(x, start + c));
    }
  }
  y[at] = best;
}
