// Library: makes what sixteen.wgsl is for of texels that a subgroup holds; joined after it and
// lane_texels.wgsl.

fn sixteen_of(before: f32, t: Texels, after: f32) -> Sixteen {
  return Sixteen(before, t.a, t.b, t.c, t.d, after);
}
