// Library: reads what sixteen.wgsl is for; joined after it and staged.wgsl.

/// Columns 8 * column to 8 * column + 15 of row oy of the plane of dy that begins at texel `plane`;
/// x has h rows of w4 texels.
fn load_sixteen(plane: u32, oy: i32, column: u32, h: u32, w4: u32) -> Sixteen {
  let inside = oy >= 0 && oy < i32(h) * 2;
  let at = plane + (u32(clamp(oy, 0, i32(h) * 2 - 1)) * w4 + column) * 2;
  let has_b = inside && column + 1 < w4;
  return Sixteen(
    select(0.0, staged(dy, max(at, 1) - 1).w, inside && column > 0),
    select(vec4(0.0), staged(dy, at), inside),
    select(vec4(0.0), staged(dy, at + 1), inside),
    select(vec4(0.0), staged(dy, at + 2), has_b),
    select(vec4(0.0), staged(dy, at + 3), has_b),
    select(0.0, staged(dy, at + 4).x, inside && column + 2 < w4),
  );
}
