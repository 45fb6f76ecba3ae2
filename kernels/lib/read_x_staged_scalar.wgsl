// Library: the tensor x of a kernel, read float by float from a texture; joined after staged.wgsl.

@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;

fn x_at(i: u32) -> f32 {
  return staged_float(x, i);
}
