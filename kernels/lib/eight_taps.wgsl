// Library: eight pixels of a row as a 3×3 kernel meets them; joined after taps_3x3.wgsl and
// eight_pixels.wgsl.

/// Four pixels and the four after them.
struct Row {
  a: Taps,
  b: Taps,
}

fn taps_of(e: Eight) -> Row {
  return Row(
    Taps(vec4(e.before, e.a.xyz), e.a, vec4(e.a.yzw, e.b.x)),
    Taps(vec4(e.a.w, e.b.xyz), e.b, vec4(e.b.yzw, e.after)),
  );
}
