// Library: queries as attention's backward pass knows them; joined after head_8.wgsl.

@group(0) @binding(4) var dy: texture_storage_2d<rgba32float, read>;

/// Four queries, the gradients of their outputs, log2 of their sums of exponentials, and delta.
struct Queries {
  q: Head,
  dy: Head,
  total: vec4<f32>,
  mean: vec4<f32>,
}

fn load_dy(at: u32, n: u32) -> Head {
  return Head(
    staged(dy, at),
    staged(dy, at + n),
    staged(dy, at + 2 * n),
    staged(dy, at + 3 * n),
    staged(dy, at + 4 * n),
    staged(dy, at + 5 * n),
    staged(dy, at + 6 * n),
    staged(dy, at + 7 * n),
  );
}
