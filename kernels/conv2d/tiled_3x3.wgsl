// Equation: y[n,co,oy,ox] = bias[co] + channel[n,co] + residual[n,co,oy,ox]
//   + sum over ci, kh, kw of weight[co,ci,kh,kw] * x[n, ci, oy + kh - 1, ox + kw - 1];
//   transposed (the input gradient): weight[ci,co,2-kh,2-kw] in its place
// Source: torch.nn.functional.conv2d with a 3×3 kernel, stride 1 and padding 1.
// Joins: kernels/lib/taps_3x3.wgsl
// Joins: kernels/lib/read_x_vec4.wgsl
// Joins: kernels/lib/pixels_as_stored.wgsl
// Joins: kernels/lib/tile_4x2.wgsl
// Bindings:
//   x: [N,Ci,H,W], f32 or f16, as vec4; weight: f32 [Co,Ci,3,3], transposed [Ci,Co,3,3]
//   bias: f32 [Co]; channel: f32 [N,Co]; any buffer where not used
//   residual, y: [N,Co,H,W], both f32 or both f16, as vec4; residual any buffer where not used
// Grid: x: blocks of 4 * GROUPS output channels, one after the other so that they find the pixels
//   in the cache; y: tiles of 4 * COLUMNS × HEIGHT pixels; z: images. A workgroup of GROUPS times
//   as many invocations as there are segments in a tile, 4 pixels wide and ROWS high; each has a
//   segment of 4 output channels.
// Numerics: f32; the 36 products of four input channels join the running sum together.
// Shapes: W a multiple of 4; a multiple of 16 segments in a tile.
// Writes: every output element.

struct Params {
  ci: u32,
  h: u32,
  w4: u32,
  co: u32,
  co_step: u32,
  ci_step: u32,
  transposed: u32,
  has_bias: u32,
  has_channel: u32,
  has_residual: u32,
}

override COLUMNS: u32 = 8;
override HEIGHT: u32 = 8;
override GROUPS: u32 = 8;
override SEGMENTS: u32 = COLUMNS * HEIGHT / ROWS;
override WORKGROUP: u32 = SEGMENTS * GROUPS;
// Input channels that workgroup memory holds at a time, and their pixels with those around the
// tile: a row above and below, a vec4 left and right.
const DEPTH: u32 = 4;
override PITCH: u32 = COLUMNS + 2;
override PLANE: u32 = PITCH * (HEIGHT + 2);
override PIXELS: u32 = DEPTH * PLANE;
override KERNELS: u32 = DEPTH * GROUPS;
// Input times output channels whose nine weights each are loaded at a time.
override SPAN: u32 = WORKGROUP / 9;
alias Stored = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> channel: array<f32>;
@group(0) @binding(5) var<storage, read> residual: array<Stored>;
@group(0) @binding(6) var<storage, read_write> y: array<Stored>;

var<workgroup> pixels: array<vec4<f32>, PIXELS>;
// By input channel and group; four output channels a vector.
var<workgroup> kernels: array<array<vec4<f32>, 9>, KERNELS>;

/// The pixels of input channels from `first` on, zeros around the image.
fn load_pixels(lane: u32, n: u32, first: u32, top: i32, left: i32) {
  for (var i = lane; i < PIXELS; i += WORKGROUP) {
    let ci = first + i / PLANE;
    let iy = top + i32(i % PLANE / PITCH);
    let column = left + i32(i % PITCH);
    var v = vec4(0.0);
    // As u32 what lies above or left of the image is large.
    if (ci < params.ci && u32(iy) < params.h && u32(column) < params.w4) {
      let row = n * params.ci + ci;
      v = pixels_at(row, ci, (row * params.h + u32(iy)) * params.w4 + u32(column));
    }
    pixels[i] = v;
  }
}

/// The weights of input channels from `first` on for the workgroup's output channels.
fn load_kernels(lane: u32, first: u32, first_co: u32) {
  let tap = lane % 9;
  if (lane >= 9 * SPAN) {
    return;
  }
  for (var i = lane / 9; i < 4 * KERNELS; i += SPAN) {
    let c = i % DEPTH;
    let o = i / DEPTH;
    let ci = first + c;
    let co = first_co + o;
    var v = 0.0;
    if (ci < params.ci && co < params.co) {
      v = weight[co * params.co_step + ci * params.ci_step + tap];
    }
    kernels[c * GROUPS + o / 4][select(tap, 8 - tap, params.transposed != 0)][o % 4] = v;
  }
}

/// Four pixels in workgroup memory, with their neighbours.
fn taps_at(at: u32) -> Taps {
  let v = pixels[at];
  return Taps(vec4(pixels[at - 1].w, v.xyz), v, vec4(v.yzw, pixels[at + 1].x));
}

fn store(v: vec4<f32>, n: u32, co: u32, oy: u32, column: u32) {
  if (co >= params.co || oy >= params.h || column >= params.w4) {
    return;
  }
  let row = n * params.co + co;
  let at = (row * params.h + oy) * params.w4 + column;
  var sum = v;
  if (params.has_bias != 0) {
    sum += bias[co];
  }
  if (params.has_channel != 0) {
    sum += channel[row];
  }
  if (params.has_residual != 0) {
    sum += vec4<f32>(residual[at]);
  }
  y[at] = Stored(sum);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  // 16 segments of two groups in a row of 32 invocations: fewer reads that meet in a bank.
  let segment = lane % 16 + lane / (16 * GROUPS) * 16;
  let group = lane / 16 % GROUPS;
  let across = (params.w4 + COLUMNS - 1) / COLUMNS;
  let first_column = wid.y % across * COLUMNS;
  let first_row = wid.y / across * HEIGHT;
  let column = segment % COLUMNS;
  let row = segment / COLUMNS * ROWS;
  let first_co = wid.x * 4 * GROUPS;
  var sums = no_sums();
  for (var first = 0u; first < params.ci; first += DEPTH) {
    load_pixels(lane, wid.z, first, i32(first_row) - 1, i32(first_column) - 1);
    load_kernels(lane, first, first_co);
    workgroupBarrier();
    var block = no_sums();
    for (var c = 0u; c < DEPTH; c++) {
      add_products(&block, c * PLANE + row * PITCH + column + 1, c * GROUPS + group);
    }
    add_sums(&sums, block);
    workgroupBarrier();
  }
  store_sums(sums, wid.z, first_co + group * 4, first_row + row, first_column + column);
}
