// Library: as read_x_vec4_of_two.wgsl, read float by float.

alias StoredX = f32; // @specialize
override FIRST: u32 = 1;
override REST: u32 = 1;

@group(0) @binding(1) var<storage, read> x: array<StoredX>;
@group(0) @binding(10) var<storage, read> x_rest: array<StoredX>;

fn x_at(i: u32) -> f32 {
  let image = i / (FIRST + REST);
  let at = i % (FIRST + REST);
  if (at < FIRST) {
    return f32(x[image * FIRST + at]);
  }
  return f32(x_rest[image * REST + at - FIRST]);
}
