// Library: 8×2 pixels of the gradient of an image by its doubled one's, for kernels that bind dx;
// joined after sixteen.wgsl, stores.wgsl and a library with Texels.

/// What eight pixels of a row of dx, four in a and four in b, meet in a row of dy, by v.
struct Row {
  a0: vec4<f32>,
  a1: vec4<f32>,
  a2: vec4<f32>,
  a3: vec4<f32>,
  b0: vec4<f32>,
  b1: vec4<f32>,
  b2: vec4<f32>,
  b3: vec4<f32>,
}

/// Sums of 8×2 pixels of one channel.
struct Tile {
  a0: vec4<f32>,
  b0: vec4<f32>,
  a1: vec4<f32>,
  b1: vec4<f32>,
}

fn row_of(e: Sixteen) -> Row {
  return Row(
    vec4(e.before, e.p.yw, e.q.y),
    vec4(e.p.xz, e.q.xz),
    vec4(e.p.yw, e.q.yw),
    vec4(e.p.z, e.q.xz, e.s.x),
    vec4(e.q.w, e.s.yw, e.t.y),
    vec4(e.s.xz, e.t.xz),
    vec4(e.s.yw, e.t.yw),
    vec4(e.s.z, e.t.xz, e.after),
  );
}

fn products_a(k: vec4<f32>, r: Row) -> vec4<f32> {
  return (k.x * r.a0 + k.y * r.a1) + (k.z * r.a2 + k.w * r.a3);
}

fn products_b(k: vec4<f32>, r: Row) -> vec4<f32> {
  return (k.x * r.b0 + k.y * r.b1) + (k.z * r.b2 + k.w * r.b3);
}

fn add_products(
  tile: ptr<function, Tile>,
  k: Texels,
  r0: Row,
  r1: Row,
  r2: Row,
  r3: Row,
  r4: Row,
  r5: Row,
) {
  (*tile).a0 += (products_a(k.a, r0) + products_a(k.b, r1)) +
    (products_a(k.c, r2) + products_a(k.d, r3));
  (*tile).b0 += (products_b(k.a, r0) + products_b(k.b, r1)) +
    (products_b(k.c, r2) + products_b(k.d, r3));
  (*tile).a1 += (products_a(k.a, r2) + products_a(k.b, r3)) +
    (products_a(k.c, r4) + products_a(k.d, r5));
  (*tile).b1 += (products_b(k.a, r2) + products_b(k.b, r3)) +
    (products_b(k.c, r4) + products_b(k.d, r5));
}

fn put(at: u32, value: Stored) {
  dx[at] = value;
}

fn store(lane: u32, tile: Tile, n: u32, ci: u32, row: u32, column: u32) {
  let is_one = n < params.batch && ci < params.ci && row < params.h;
  let has_b = column + 1 < params.w4;
  let at = ((n * params.ci + ci) * params.h + row) * params.w4 + column;
  put_all(lane, is_one, at, Stored(tile.a0));
  put_all(lane, is_one && has_b, at + 1, Stored(tile.b0));
  let has_next = is_one && row + 1 < params.h;
  put_all(lane, has_next, at + params.w4, Stored(tile.a1));
  put_all(lane, has_next && has_b, at + params.w4 + 1, Stored(tile.b1));
}
