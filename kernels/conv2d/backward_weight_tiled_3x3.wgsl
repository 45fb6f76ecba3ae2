// Equation: partial[slice,co,ci,kh,kw] = sum over the pixels (n, oy, ox) of the slice of
//   dy[n,co,oy,ox] * x[n, ci, oy + kh - 1, ox + kw - 1]
// Source: gradient of tiled_3x3.wgsl; sum_slices.wgsl adds up.
// Joins: kernels/lib/taps_3x3.wgsl
// Joins: kernels/lib/read_x_vec4.wgsl
// Bindings:
//   x: [N,Ci,H,W]; dy: [N,Co,H,W]; each f32 or f16, as vec4
//   partial: f32 [slices, Co, row], a row being Ci*9 floats and padding to a multiple of 4
// Grid: x: blocks of INPUTS input channels; y: of 4 * GROUPS output channels; z: slices, each
//   a strip of 4 * COLUMNS pixels of some rows of some images. An invocation has an input and four
//   output channels.
// Numerics: f32; the sums of a row of the strip join the running sum.
// Shapes: W a multiple of 4.
// Writes: every output element but the padding.

struct Params {
  batch: u32,
  ci: u32,
  h: u32,
  w4: u32,
  co: u32,
  row: u32,
  strips: u32,
  images: u32,
  rows: u32,
  row_chunks: u32,
}

override COLUMNS: u32 = 8;
override GROUPS: u32 = 8;
override INPUTS: u32 = 16;
override WORKGROUP: u32 = GROUPS * INPUTS;
// Three rows of an input channel with a vec4 left and right. One vec4 more, so that neighbours do
// not read from the same bank; likewise of an output channel.
override PITCH: u32 = COLUMNS + 2;
override PLANE: u32 = 3 * PITCH + 1;
override PIXELS: u32 = INPUTS * PLANE;
override SPAN: u32 = COLUMNS + 1;
override GRADIENTS: u32 = 4 * GROUPS * SPAN;
alias StoredDy = vec4<f32>; // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> dy: array<StoredDy>;
@group(0) @binding(3) var<storage, read_write> partial: array<f32>;

// By input channel, of which row y of the image is in place (y + 1) % 3; by output channel.
var<workgroup> pixels: array<vec4<f32>, PIXELS>;
var<workgroup> gradients: array<vec4<f32>, GRADIENTS>;

/// Sums of a kernel row, of four output channels.
struct Row {
  left: vec4<f32>,
  middle: vec4<f32>,
  right: vec4<f32>,
}

struct Sums {
  top: Row,
  middle: Row,
  bottom: Row,
}

/// Gradients at four neighbouring pixels, each of four output channels.
struct Gradients {
  p0: vec4<f32>,
  p1: vec4<f32>,
  p2: vec4<f32>,
  p3: vec4<f32>,
}

/// Row `iy` of the image's input channels, zeros around it.
fn load_pixels(lane: u32, n: u32, first_ci: u32, iy: i32, left: i32) {
  let place = u32(iy + 1) % 3;
  for (var i = lane; i < INPUTS * PITCH; i += WORKGROUP) {
    let ci = first_ci + i / PITCH;
    let column = left + i32(i % PITCH);
    var v = vec4(0.0);
    // As u32 what lies above or left of the image is large.
    if (ci < params.ci && u32(iy) < params.h && u32(column) < params.w4) {
      v = x_at(((n * params.ci + ci) * params.h + u32(iy)) * params.w4 + u32(column));
    }
    pixels[i / PITCH * PLANE + place * PITCH + i % PITCH] = v;
  }
}

fn load_gradients(lane: u32, n: u32, first_co: u32, oy: u32, first_column: u32) {
  for (var i = lane; i < 4 * GROUPS * COLUMNS; i += WORKGROUP) {
    let co = first_co + i / COLUMNS;
    let column = first_column + i % COLUMNS;
    var v = vec4(0.0);
    if (co < params.co && column < params.w4) {
      v = vec4<f32>(dy[((n * params.co + co) * params.h + oy) * params.w4 + column]);
    }
    gradients[i / COLUMNS * SPAN + i % COLUMNS] = v;
  }
}

fn gradients_at(at: u32) -> Gradients {
  let a = gradients[at];
  let b = gradients[at + SPAN];
  let c = gradients[at + 2 * SPAN];
  let d = gradients[at + 3 * SPAN];
  return Gradients(
    vec4(a.x, b.x, c.x, d.x),
    vec4(a.y, b.y, c.y, d.y),
    vec4(a.z, b.z, c.z, d.z),
    vec4(a.w, b.w, c.w, d.w),
  );
}

fn summed(to: vec4<f32>, d: Gradients, v: vec4<f32>) -> vec4<f32> {
  var sum = to;
  sum += d.p0 * v.x;
  sum += d.p1 * v.y;
  sum += d.p2 * v.z;
  sum += d.p3 * v.w;
  return sum;
}

/// Four pixels v of a row, with those before and behind them.
fn add_products(to: Row, d: Gradients, before: vec4<f32>, v: vec4<f32>, behind: vec4<f32>) -> Row {
  return Row(
    summed(to.left, d, vec4(before.w, v.xyz)),
    summed(to.middle, d, v),
    summed(to.right, d, vec4(v.yzw, behind.x)),
  );
}

fn both(a: Row, b: Row) -> Row {
  return Row(a.left + b.left, a.middle + b.middle, a.right + b.right);
}

fn store(v: vec4<f32>, slice: u32, co: u32, at: u32) {
  let first = (slice * params.co + co) * params.row + at;
  partial[first] = v.x;
  if (co + 1 < params.co) {
    partial[first + params.row] = v.y;
  }
  if (co + 2 < params.co) {
    partial[first + 2 * params.row] = v.z;
  }
  if (co + 3 < params.co) {
    partial[first + 3 * params.row] = v.w;
  }
}

fn no_sums() -> Sums {
  let z = vec4(0.0);
  return Sums(Row(z, z, z), Row(z, z, z), Row(z, z, z));
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let first_ci = wid.x * INPUTS;
  let first_co = wid.y * 4 * GROUPS;
  let input = lane % INPUTS;
  let group = lane / INPUTS;
  let first_column = wid.z % params.strips * COLUMNS;
  let left = i32(first_column) - 1;
  let chunk = wid.z / params.strips;
  let first_n = chunk / params.row_chunks * params.images;
  let begin = chunk % params.row_chunks * params.rows;
  let end = min(begin + params.rows, params.h);
  var sums = no_sums();
  for (var n = first_n; n < min(first_n + params.images, params.batch); n++) {
    load_pixels(lane, n, first_ci, i32(begin) - 1, left);
    load_pixels(lane, n, first_ci, i32(begin), left);
    for (var oy = begin; oy < end; oy++) {
      load_pixels(lane, n, first_ci, i32(oy) + 1, left);
      load_gradients(lane, n, first_co, oy, first_column);
      workgroupBarrier();
      let top = input * PLANE + oy % 3 * PITCH;
      let middle = input * PLANE + (oy + 1) % 3 * PITCH;
      let bottom = input * PLANE + (oy + 2) % 3 * PITCH;
      var t = pixels[top];
      var t_next = pixels[top + 1];
      var m = pixels[middle];
      var m_next = pixels[middle + 1];
      var b = pixels[bottom];
      var b_next = pixels[bottom + 1];
      var row = no_sums();
      for (var column = 0u; column < COLUMNS; column++) {
        let d = gradients_at(group * 4 * SPAN + column);
        let t_behind = pixels[top + column + 2];
        let m_behind = pixels[middle + column + 2];
        let b_behind = pixels[bottom + column + 2];
        row.top = add_products(row.top, d, t, t_next, t_behind);
        row.middle = add_products(row.middle, d, m, m_next, m_behind);
        row.bottom = add_products(row.bottom, d, b, b_next, b_behind);
        t = t_next;
        m = m_next;
        b = b_next;
        t_next = t_behind;
        m_next = m_behind;
        b_next = b_behind;
      }
      sums = Sums(
        both(sums.top, row.top),
        both(sums.middle, row.middle),
        both(sums.bottom, row.bottom),
      );
      workgroupBarrier();
    }
  }
  let co = first_co + group * 4;
  let ci = first_ci + input;
  if (ci >= params.ci || co >= params.co) {
    return;
  }
  store(sums.top.left, wid.z, co, ci * 9);
  store(sums.top.middle, wid.z, co, ci * 9 + 1);
  store(sums.top.right, wid.z, co, ci * 9 + 2);
  store(sums.middle.left, wid.z, co, ci * 9 + 3);
  store(sums.middle.middle, wid.z, co, ci * 9 + 4);
  store(sums.middle.right, wid.z, co, ci * 9 + 5);
  store(sums.bottom.left, wid.z, co, ci * 9 + 6);
  store(sums.bottom.middle, wid.z, co, ci * 9 + 7);
  store(sums.bottom.right, wid.z, co, ci * 9 + 8);
}
