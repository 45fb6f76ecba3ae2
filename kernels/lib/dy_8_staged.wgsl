// Library: gradients of heads of 8 channels, as head_8_staged.wgsl has the heads.

@group(0) @binding(4) var dy: texture_storage_2d<rgba32float, read>;

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
