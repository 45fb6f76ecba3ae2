// Library: the tensor x of a kernel where it is two tensors, one after the other in each image, and
// has no memory of its own: read as vec4, FIRST of an image from x and REST from x_rest.

alias StoredX = vec4<f32>; // @specialize
override FIRST: u32 = 1;
override REST: u32 = 1;

@group(0) @binding(1) var<storage, read> x: array<StoredX>;
@group(0) @binding(10) var<storage, read> x_rest: array<StoredX>;

fn x_at(i: u32) -> vec4<f32> {
  let image = i / (FIRST + REST);
  let at = i % (FIRST + REST);
  if (at < FIRST) {
    return vec4<f32>(x[image * FIRST + at]);
  }
  return vec4<f32>(x_rest[image * REST + at - FIRST]);
}
