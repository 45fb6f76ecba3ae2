// Library: eight pixels of a row of the kernel's x and their neighbours, zeros where the image
// ends; joined after staged.wgsl.

struct Eight {
  before: f32,
  a: vec4<f32>,
  b: vec4<f32>,
  after: f32,
}

/// Columns 4 * column to 4 * column + 7 of row iy of the plane that begins at texel `plane`, of h
/// rows of w4 texels.
fn load_eight(plane: u32, iy: i32, column: u32, h: u32, w4: u32) -> Eight {
  let inside = iy >= 0 && iy < i32(h);
  let at = plane + u32(clamp(iy, 0, i32(h) - 1)) * w4 + column;
  return Eight(
    select(0.0, staged(x, max(at, 1) - 1).w, inside && column > 0),
    select(vec4(0.0), staged(x, at), inside),
    select(vec4(0.0), staged(x, at + 1), inside && column + 1 < w4),
    select(0.0, staged(x, at + 2).x, inside && column + 2 < w4),
  );
}
