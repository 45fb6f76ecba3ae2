// Library: a tile of a matrix product in registers, 16 pixels by 4 output channels. It takes 4
// input channels at a time: software Vulkan keeps the sums in memory, and so loads and stores them
// less often.

/// Sums of 16 pixels of 4 output channels, a letter for each 4 pixels.
struct Tile {
  a0: vec4<f32>,
  b0: vec4<f32>,
  c0: vec4<f32>,
  d0: vec4<f32>,
  a1: vec4<f32>,
  b1: vec4<f32>,
  c1: vec4<f32>,
  d1: vec4<f32>,
  a2: vec4<f32>,
  b2: vec4<f32>,
  c2: vec4<f32>,
  d2: vec4<f32>,
  a3: vec4<f32>,
  b3: vec4<f32>,
  c3: vec4<f32>,
  d3: vec4<f32>,
}

/// Something of 4 input channels: 4 pixels of each, or the weights of 4 output channels.
struct Four {
  v0: vec4<f32>,
  v1: vec4<f32>,
  v2: vec4<f32>,
  v3: vec4<f32>,
}

fn product(w: vec4<f32>, p: Four) -> vec4<f32> {
  return (w.x * p.v0 + w.y * p.v1) + (w.z * p.v2 + w.w * p.v3);
}

fn add_products(tile: ptr<function, Tile>, w: Four, a: Four, b: Four, c: Four, d: Four) {
  let w0 = vec4(w.v0.x, w.v1.x, w.v2.x, w.v3.x);
  let w1 = vec4(w.v0.y, w.v1.y, w.v2.y, w.v3.y);
  let w2 = vec4(w.v0.z, w.v1.z, w.v2.z, w.v3.z);
  let w3 = vec4(w.v0.w, w.v1.w, w.v2.w, w.v3.w);
  (*tile).a0 += product(w0, a);
  (*tile).b0 += product(w0, b);
  (*tile).c0 += product(w0, c);
  (*tile).d0 += product(w0, d);
  (*tile).a1 += product(w1, a);
  (*tile).b1 += product(w1, b);
  (*tile).c1 += product(w1, c);
  (*tile).d1 += product(w1, d);
  (*tile).a2 += product(w2, a);
  (*tile).b2 += product(w2, b);
  (*tile).c2 += product(w2, c);
  (*tile).d2 += product(w2, d);
  (*tile).a3 += product(w3, a);
  (*tile).b3 += product(w3, b);
  (*tile).c3 += product(w3, c);
  (*tile).d3 += product(w3, d);
}
