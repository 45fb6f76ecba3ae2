// Library: texels of rows of ten pixels of the kernel's x, one in each invocation, for all of them:
// one read where eight would read the same. Joined after eight_pixels.wgsl.

/// Where a texel of a plane lies, and whether it is inside the image.
struct Texel {
  at: u32,
  inside: bool,
}

/// Texel `slot` of rows of four texels. The rows begin at row `top`, one texel left of `column`.
fn texel_of(slot: u32, top: i32, column: u32, h: u32, w4: u32) -> Texel {
  let iy = top + i32(slot / 4);
  let ix = i32(column + slot % 4) - 1;
  let row = u32(clamp(iy, 0, i32(h) - 1));
  let texel = u32(clamp(ix, 0, i32(w4) - 1));
  return Texel(row * w4 + texel, iy >= 0 && iy < i32(h) && ix >= 0 && ix < i32(w4));
}
